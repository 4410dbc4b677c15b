/** Runs jobs on worker threads, one per core, with one progress bar for all of them. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Tinypool } from 'tinypool';
import type { Job, JobResult } from './job.js';
import type { WorkerJob } from './worker.js';

export interface PoolOptions {
  readonly signal: AbortSignal;
  /** Called now and then with the share of all work that is done. */
  readonly progress: (done: number) => void;
  readonly threads?: number;
}

export async function runJobs(
  jobs: readonly Job[],
  { signal, progress, threads = Math.min(availableParallelism(), 8) }: PoolOptions,
): Promise<readonly JobResult[]> {
  const pool = new Tinypool({
    filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
  });
  const shares = jobs.map(() => 0);
  const running = new Set<MessagePort>();
  const stop = () => {
    for (const port of running) port.postMessage('stop');
  };
  signal.addEventListener('abort', stop);
  try {
    return await Promise.all(
      jobs.map(async (job, i): Promise<JobResult> => {
        if (signal.aborted) return { reason: 'interrupted' };
        const { port1, port2 } = new MessageChannel();
        running.add(port1);
        port1.on('message', (done: number) => {
          shares[i] = done;
          progress(shares.reduce((sum, x) => sum + x, 0) / jobs.length);
        });
        const task: WorkerJob = { job, port: port2 };
        const result = (await pool.run(task, { transferList: [port2], name: 'work' })) as JobResult;
        running.delete(port1);
        port1.close();
        shares[i] = 1;
        progress(shares.reduce((sum, x) => sum + x, 0) / jobs.length);
        return result;
      }),
    );
  } finally {
    signal.removeEventListener('abort', stop);
    await pool.destroy();
  }
}
