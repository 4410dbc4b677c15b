/**
 * A worker thread of the main job: asks for jobs until there are none, on one backend whose programs
 * serve all of them; tells how far it is, stops when told to.
 */
import type { MessagePort } from 'node:worker_threads';
import { openWorkerBackend } from './backend.js';
import { type Job, type JobResult, type Premises, revive, runJob } from './job.js';

export interface WorkerTask {
  readonly premises: Premises;
  readonly backend: string;
  readonly port: MessagePort;
}

export type ToWorker =
  | { readonly kind: 'job'; readonly job: Job }
  | { readonly kind: 'end' }
  | { readonly kind: 'stop' };

export type FromWorker =
  /** Ready for a job. */
  | { readonly kind: 'ready' }
  /** How far the job at hand is, from 0 to 1. */
  | { readonly kind: 'progress'; readonly done: number }
  | { readonly kind: 'result'; readonly result: JobResult };

export async function work({ premises, backend: name, port }: WorkerTask): Promise<void> {
  const say = (message: FromWorker) => port.postMessage(message);
  const controller = new AbortController();
  let take: (job: Job | undefined) => void = () => undefined;
  port.on('message', (message: ToWorker) => {
    if (message.kind === 'stop') controller.abort();
    else take(message.kind === 'job' ? message.job : undefined);
  });
  const nextJob = () =>
    new Promise<Job | undefined>((resolve) => {
      take = resolve;
      say({ kind: 'ready' });
    });

  const own = revive(premises);
  const backend = await openWorkerBackend(name);
  try {
    for (let job = await nextJob(); job !== undefined; job = await nextJob()) {
      const progress = (done: number) => say({ kind: 'progress', done });
      say({
        kind: 'result',
        result: await runJob(job, own, backend, controller.signal, progress),
      });
    }
  } finally {
    await backend.dispose();
    port.close();
  }
}
