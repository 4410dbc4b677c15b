/** What jax-js expects of a browser or a newer Node: Workers, and iterators with `map` and `filter`. */
import { resolveObjectURL } from 'node:buffer';
import { Worker as NodeWorker } from 'node:worker_threads';

/** What a worker's script expects around itself. */
const PRELUDE = `
const { parentPort } = require('node:worker_threads');
globalThis.self = globalThis;
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on('message', (data) => globalThis.onmessage?.({ data }));
`;

class WebWorker {
  onmessage: ((event: { readonly data: unknown }) => void) | null = null;
  onerror: ((event: { readonly message: string }) => void) | null = null;
  readonly #worker: Promise<NodeWorker>;

  constructor(url: string | URL) {
    this.#worker = this.#start(String(url));
  }

  async #start(url: string): Promise<NodeWorker> {
    const source = await resolveObjectURL(url)?.text();
    if (source === undefined) throw new Error(`no script at ${url}`);
    const worker = new NodeWorker(PRELUDE + source, { eval: true });
    worker.unref();
    worker.on('message', (data) => this.onmessage?.({ data }));
    worker.on('error', (error: Error) => this.onerror?.({ message: error.message }));
    return worker;
  }

  postMessage(message: unknown): void {
    void this.#worker.then((worker) => worker.postMessage(message));
  }
}

/** Gives this process `Worker` and `navigator.hardwareConcurrency`, as browsers do. */
export function provideWorkers(threads: number): void {
  Object.assign(globalThis, { Worker: WebWorker });
  Object.defineProperty(globalThis, 'navigator', {
    value: { hardwareConcurrency: threads },
    configurable: true,
  });
}

/** Gives iterators `map` and `filter` where the engine has none (Node before 22). */
export function provideIteratorHelpers(): void {
  const iterators = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  if ('map' in iterators) return;
  Object.assign(iterators, {
    *map<T, U>(this: Iterable<T>, f: (x: T) => U): Iterable<U> {
      for (const x of this) yield f(x);
    },
    *filter<T>(this: Iterable<T>, keeps: (x: T) => boolean): Iterable<T> {
      for (const x of this) if (keeps(x)) yield x;
    },
  });
}
