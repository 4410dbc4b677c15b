/**
 * What a worker thread does, as text. Text, because a second file would have to be found: from
 * TypeScript sources under test, from compiled files, and from whatever a bundler makes of them.
 *
 * A worker sleeps in `Atomics.wait` on a mailbox in the shared memory and wakes to run a program's
 * kernels together with the other workers. Sleeping so, it hears no messages. New programs come as
 * messages, so before the host sends one it wakes the workers with the command LISTEN, which sends
 * them back to their event loop for exactly one message.
 */

/** Words of the mailbox. */
export const MAILBOX = {
  /** Number of commands so far; workers sleep until it changes. */
  sequence: 0,
  command: 1,
  program: 2,
  frame: 3,
  first: 4,
  last: 5,
  /** Workers that are through with the command. */
  finished: 6,
} as const;

/** Words that the mailbox takes. */
export const MAILBOX_WORDS = 8;

export const COMMAND = {
  /** Go and hear one message. */
  listen: 0,
  /** Run kernels `first` ≤ i < `last` of a program. */
  run: 1,
  /** The same one by one, and tell how long each took. */
  time: 2,
} as const;

/** A message to a worker. */
export interface ToWorker {
  /** First message only: who it is, and where its mailbox lies. */
  readonly start?: {
    readonly memory: WebAssembly.Memory;
    readonly mailbox: number;
    readonly thread: number;
    readonly threads: number;
    /** Value of `sequence` before its first command. */
    readonly seen: number;
  };
  /** A program to get ready. */
  readonly load?: { readonly id: number; readonly module: WebAssembly.Module };
  /** Programs that will not run again. */
  readonly forget?: readonly number[];
}

/** A message from a worker: it heard a message, all are through, times of kernels, or a failure. */
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done' }
  /** Milliseconds of each kernel; from thread 0. */
  | { readonly kind: 'times'; readonly milliseconds: readonly number[] }
  | { readonly kind: 'failed'; readonly thread: number; readonly reason: string };

const { sequence, command, program, frame, first, last, finished } = MAILBOX;

/**
 * How often a worker looks for the next command before it sleeps, some 50 µs. Workers that wake may
 * find themselves on one core and share it for a while; those of a training loop need not sleep
 * between its steps. Measured: [512, 512] products in 2.6 ms each, without looking 2.5 to 3.8.
 */
const LOOKS = 5000;

export const WORKER_CODE = `
'use strict';
const port = typeof require === 'function' ? require('node:worker_threads').parentPort : self;
const programs = new Map();
let self_, words, seen;

const runKernels = (timed) => {
  const { thread, threads } = self_;
  const run = programs.get(words[${program}]);
  const [frame, first, last] = [words[${frame}], words[${first}], words[${last}]];
  if (!timed) return run(frame, thread, threads, first, last);
  const milliseconds = [];
  for (let i = first; i < last; i++) {
    const start = performance.now();
    run(frame, thread, threads, i, i + 1);
    milliseconds.push(performance.now() - start);
  }
  if (thread === 0) port.postMessage({ kind: 'times', milliseconds });
};

const serve = () => {
  for (;;) {
    for (let i = 0; i < ${LOOKS} && Atomics.load(words, ${sequence}) === seen; i++);
    while (Atomics.load(words, ${sequence}) === seen) Atomics.wait(words, ${sequence}, seen);
    seen = Atomics.load(words, ${sequence});
    const command = words[${command}];
    if (command === ${COMMAND.listen}) return;
    runKernels(command === ${COMMAND.time});
    if (Atomics.add(words, ${finished}, 1) + 1 === self_.threads) port.postMessage({ kind: 'done' });
  }
};

port.onmessage = ({ data: { start, load, forget = [] } }) => {
  try {
    if (start) {
      self_ = start;
      seen = start.seen;
      words = new Int32Array(start.memory.buffer, start.mailbox, ${MAILBOX_WORDS});
    }
    for (const id of forget) programs.delete(id);
    if (load) {
      const { exports } = new WebAssembly.Instance(load.module, { env: { memory: self_.memory } });
      programs.set(load.id, exports.run);
    }
    port.postMessage({ kind: 'ready' });
    serve();
  } catch (cause) {
    port.postMessage({ kind: 'failed', thread: self_.thread, reason: String(cause) });
  }
};
`;
