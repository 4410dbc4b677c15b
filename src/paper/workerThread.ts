/** A worker thread: asks for tasks until there are none, tells how far it is, stops when told to. */
import type { MessagePort } from 'node:worker_threads';
import { openWorkerBackend } from '../main/backend.js';
import type { Surroundings } from './experiment.js';
import type { Task } from './grid.js';
import { EXPERIMENTS } from './registry.js';
import { worker } from './work.js';

export interface ThreadTask {
  readonly surroundings: Surroundings;
  readonly out: string;
  readonly port: MessagePort;
}

export type ToThread =
  | { readonly kind: 'task'; readonly task: Task }
  | { readonly kind: 'end' }
  | { readonly kind: 'stop' };

export type FromThread =
  | { readonly kind: 'ready' }
  /** How far the task at hand is, from 0 to 1. */
  | { readonly kind: 'progress'; readonly done: number }
  /** The task at hand is done, or was stopped; with an error, why it could not be done. */
  | { readonly kind: 'over'; readonly error?: string };

export async function work({ surroundings, out, port }: ThreadTask): Promise<void> {
  const say = (message: FromThread) => port.postMessage(message);
  const controller = new AbortController();
  let take: (task: Task | undefined) => void = () => undefined;
  port.on('message', (message: ToThread) => {
    if (message.kind === 'stop') controller.abort();
    else take(message.kind === 'task' ? message.task : undefined);
  });
  const next = () =>
    new Promise<Task | undefined>((resolve) => {
      take = resolve;
      say({ kind: 'ready' });
    });
  const own = worker({
    experiments: EXPERIMENTS,
    surroundings,
    out,
    openBackend: () => openWorkerBackend('wasm'),
  });
  try {
    for (let task = await next(); task !== undefined; task = await next()) {
      try {
        await own.work(task, controller.signal, (done) => say({ kind: 'progress', done }));
        say({ kind: 'over' });
      } catch (error) {
        say({ kind: 'over', error: error instanceof Error ? error.message : String(error) });
      }
    }
  } finally {
    await own.dispose();
    port.close();
  }
}
