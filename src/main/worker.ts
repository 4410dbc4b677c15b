/** A worker thread of the main job: takes jobs, tells how far they are, stops when told to. */
import type { MessagePort } from 'node:worker_threads';
import { type Job, type JobResult, revive, runJob } from './job.js';

export interface WorkerJob {
  readonly job: Job;
  /** Sends numbers from 0 to 1; receives `stop`. */
  readonly port: MessagePort;
}

export async function work({ job, port }: WorkerJob): Promise<JobResult> {
  const controller = new AbortController();
  port.on('message', () => controller.abort());
  try {
    return await runJob(revive(job), controller.signal, (done) => port.postMessage(done));
  } finally {
    port.close();
  }
}
