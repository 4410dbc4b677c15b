/** Runs jobs on worker threads, one per core, with one progress bar for all of them. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Tinypool } from 'tinypool';
import type { Job, JobResult, Premises } from './job.js';
import type { FromWorker, ToWorker, WorkerTask } from './worker.js';

export interface PoolOptions {
  readonly signal: AbortSignal;
  /** Called now and then with the share of all work that is done. */
  readonly progress: (done: number) => void;
  readonly threads?: number;
}

/**
 * Which of the waiting jobs a worker does next, by number: one of the method that it did last, whose
 * programs it has, else one of the method of which most are waiting.
 */
export function nextJob(
  waiting: readonly number[],
  jobs: readonly Job[],
  last: number | undefined,
): number | undefined {
  const methodOf = (i: number) => jobs[i]?.method;
  const same = waiting.find((i) => last !== undefined && methodOf(i) === methodOf(last));
  const alike = (i: number) => waiting.filter((k) => methodOf(k) === methodOf(i)).length;
  return same ?? waiting.toSorted((a, b) => alike(b) - alike(a) || a - b)[0];
}

/** The results in the order of the jobs; what was not begun before the signal is `interrupted`. */
export async function runJobs(
  jobs: readonly Job[],
  premises: Premises,
  backend: string,
  { signal, progress, threads = Math.min(availableParallelism(), 8) }: PoolOptions,
): Promise<readonly JobResult[]> {
  const count = Math.min(threads, jobs.length);
  const pool = new Tinypool({
    filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
    minThreads: count,
    maxThreads: count,
  });
  const results = jobs.map((): JobResult => ({ reason: 'interrupted' }));
  const shares = jobs.map(() => 0);
  const waiting = jobs.map((_, i) => i);
  const ports: MessagePort[] = [];
  const reach = (i: number, done: number) => {
    shares[i] = done;
    progress(shares.reduce((sum, x) => sum + x, 0) / jobs.length);
  };
  const tell = (port: MessagePort, message: ToWorker) => port.postMessage(message);
  const stop = () => {
    for (const port of ports) tell(port, { kind: 'stop' });
  };

  /** One worker, from its first job to the last that there is for it. */
  const employ = async (): Promise<void> => {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1);
    let at: number | undefined;
    port1.on('message', (message: FromWorker) => {
      if (message.kind === 'ready') {
        const next = signal.aborted ? undefined : nextJob(waiting, jobs, at);
        if (next !== undefined) waiting.splice(waiting.indexOf(next), 1);
        at = next;
        tell(port1, next === undefined ? { kind: 'end' } : { kind: 'job', job: jobs[next] as Job });
        return;
      }
      const current = at as number;
      if (message.kind === 'result') results[current] = message.result;
      reach(current, message.kind === 'result' ? 1 : message.done);
    });
    const task: WorkerTask = { premises, backend, port: port2 };
    await pool.run(task, { transferList: [port2], name: 'work' });
    port1.close();
  };

  signal.addEventListener('abort', stop);
  try {
    await Promise.all(Array.from({ length: count }, employ));
    return results;
  } finally {
    signal.removeEventListener('abort', stop);
    for (const port of ports) port.close();
    await pool.destroy();
  }
}
