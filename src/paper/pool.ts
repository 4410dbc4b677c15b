/** Deals tasks out to worker threads, one a core. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Tinypool } from 'tinypool';
import type { Surroundings } from './experiment.js';
import type { Task } from './grid.js';
import type { FromThread, ThreadTask, ToThread } from './workerThread.js';

export interface PoolOptions {
  readonly surroundings: Surroundings;
  readonly out: string;
  readonly signal: AbortSignal;
  /** Called now and then with the share of all tasks that is done. */
  readonly progress: (done: number) => void;
  /** Threads; one a core by default, at most 8. */
  readonly threads?: number;
}

/** A task that could not be done. */
export interface Failure {
  readonly task: Task;
  readonly message: string;
}

/** How alike two tasks are: 2 when they differ in the seed alone, whose programs are the same. */
function likeness(a: Task, b: Task): number {
  if (a.experiment !== b.experiment) return 0;
  const [{ seed: _, ...x }, { seed: __, ...y }] = [a.cell, b.cell];
  return JSON.stringify(x) === JSON.stringify(y) ? 2 : 1;
}

/** Which of the waiting tasks a worker does next: the first of those most like its last one. */
export function nextTask(waiting: readonly Task[], last: Task | undefined): Task | undefined {
  if (last === undefined) return waiting[0];
  for (const wanted of [2, 1]) {
    const found = waiting.find((task) => likeness(task, last) === wanted);
    if (found !== undefined) return found;
  }
  return waiting[0];
}

/** Does all tasks, or stops at the signal; what could not be done is told, and the rest goes on. */
export async function runTasks(
  tasks: readonly Task[],
  {
    surroundings,
    out,
    signal,
    progress,
    threads = Math.min(availableParallelism(), 8),
  }: PoolOptions,
): Promise<readonly Failure[]> {
  const count = Math.min(threads, tasks.length);
  if (count === 0) return [];
  const pool = new Tinypool({
    filename: fileURLToPath(new URL('./workerThread.js', import.meta.url)),
    minThreads: count,
    maxThreads: count,
  });
  const waiting = [...tasks];
  const shares = new Map<Task, number>();
  const failures: Failure[] = [];
  const ports: MessagePort[] = [];
  const tell = (port: MessagePort, message: ToThread) => port.postMessage(message);
  const stop = () => {
    for (const port of ports) tell(port, { kind: 'stop' });
  };
  const reach = (task: Task, done: number) => {
    shares.set(task, done);
    progress([...shares.values()].reduce((sum, x) => sum + x, 0) / tasks.length);
  };

  /** One worker, from its first task to the last that there is for it. */
  const employ = async (): Promise<void> => {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1);
    let at: Task | undefined;
    port1.on('message', (message: FromThread) => {
      if (message.kind === 'ready') {
        const next = signal.aborted ? undefined : nextTask(waiting, at);
        if (next !== undefined) waiting.splice(waiting.indexOf(next), 1);
        at = next;
        tell(port1, next === undefined ? { kind: 'end' } : { kind: 'task', task: next });
        return;
      }
      const task = at as Task;
      if (message.kind === 'over' && message.error !== undefined) {
        failures.push({ task, message: message.error });
      }
      reach(task, message.kind === 'over' ? 1 : message.done);
    });
    const task: ThreadTask = { surroundings, out, port: port2 };
    await pool.run(task, { transferList: [port2], name: 'work' });
    port1.close();
  };

  signal.addEventListener('abort', stop);
  try {
    await Promise.all(Array.from({ length: count }, employ));
    return failures;
  } finally {
    signal.removeEventListener('abort', stop);
    for (const port of ports) port.close();
    await pool.destroy();
  }
}
