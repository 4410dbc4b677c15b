/**
 * Who runs a program: a crew of worker threads that execute it together while the calling thread only
 * waits for a message, or the calling thread itself. One job at a time; the backend sees to that.
 */
import { FlatloraError, range } from '../../../autodiff/index.js';
import type { Platform, Thread } from './platform.js';
import {
  COMMAND,
  type FromWorker,
  MAILBOX,
  MAILBOX_WORDS,
  type ToWorker,
  WORKER_CODE,
} from './workerCode.js';

/** Kernels first ≤ i < last of a program. */
export interface Job {
  readonly module: WebAssembly.Module;
  /** Address of the program's frame. */
  readonly frame: number;
  readonly first: number;
  readonly last: number;
}

export interface Threads {
  readonly count: number;
  /** Runs a job. @throws FlatloraError (rejection) when a thread traps; later jobs can still run. */
  readonly run: (job: Job) => Promise<void>;
  /** Runs a job kernel by kernel: the milliseconds that each took. */
  readonly time: (job: Job) => Promise<readonly number[]>;
  /** A program will not run again. */
  readonly forget: (module: WebAssembly.Module) => void;
  readonly stop: () => Promise<void>;
}

type Run = (frame: number, thread: number, threads: number, first: number, last: number) => void;

const failure = (reason: string) =>
  new FlatloraError('backend', `wasm: a kernel failed: ${reason.split('\n')[0]}`);

/** Everything on the calling thread, which is busy meanwhile. */
export function callingThread(memory: WebAssembly.Memory): Threads {
  const programs = new Map<WebAssembly.Module, Run>();
  const runOf = (module: WebAssembly.Module): Run => {
    const known = programs.get(module);
    if (known !== undefined) return known;
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    programs.set(module, exports.run as Run);
    return exports.run as Run;
  };
  const attempt = (job: Job, first: number, last: number) => {
    try {
      runOf(job.module)(job.frame, 0, 1, first, last);
    } catch (cause) {
      throw failure(String(cause));
    }
  };
  return {
    count: 1,
    run: async (job) => attempt(job, job.first, job.last),
    time: async (job) =>
      range(job.last - job.first).map((i) => {
        const start = performance.now();
        attempt(job, job.first + i, job.first + i + 1);
        return performance.now() - start;
      }),
    forget: (module) => void programs.delete(module),
    stop: async () => programs.clear(),
  };
}

/** Threads that were started together and know the same programs. */
interface Crew {
  readonly threads: Thread[];
  readonly programs: Map<WebAssembly.Module, number>;
  /** Numbers of programs that its threads may drop. */
  readonly forgotten: number[];
}

/** What the calling thread waits for. */
interface Awaited {
  messages: number;
  times: readonly number[];
  readonly resolve: () => void;
  readonly reject: (cause: Error) => void;
}

/**
 * Worker threads over a shared memory. They are started once and again after a failure, since a
 * thread that trapped leaves the others waiting for it.
 * @param mailbox address of `MAILBOX_WORDS` words.
 * @throws FlatloraError (rejection) when they cannot be started.
 */
export async function workerThreads(
  memory: WebAssembly.Memory,
  mailbox: number,
  count: number,
  startThread: NonNullable<Platform['startThread']>,
): Promise<Threads> {
  const words = new Int32Array(memory.buffer, mailbox, MAILBOX_WORDS);
  let crew: Crew | undefined;
  let awaited: Awaited | undefined;
  let programs = 0;

  /** Sends the crew home and tells whoever waits for it. */
  const fail = (reason: string, from: Crew): void => {
    if (crew !== from) return;
    crew = undefined;
    const waiting = awaited;
    awaited = undefined;
    void Promise.all(from.threads.map((t) => t.stop())).then(() =>
      waiting?.reject(failure(reason)),
    );
  };
  const hear = (message: FromWorker, from: Crew): void => {
    if (crew !== from) return;
    if (message.kind === 'failed') {
      fail(`thread ${message.thread}: ${message.reason}`, from);
      return;
    }
    if (awaited === undefined) return;
    if (message.kind === 'times') awaited.times = message.milliseconds;
    awaited.messages -= 1;
    if (awaited.messages === 0) awaited.resolve();
  };
  /** Waits for a number of messages after `send`; the process stays alive meanwhile. */
  const answers = async (of: Crew, messages: number, send: () => void) => {
    const anchor = of.threads[0] as Thread;
    anchor.keepAlive(true);
    const times = await new Promise<readonly number[]>((resolve, reject) => {
      const waiting: Awaited = {
        messages,
        times: [],
        resolve: () => resolve(waiting.times),
        reject,
      };
      awaited = waiting;
      send();
    }).finally(() => anchor.keepAlive(false));
    awaited = undefined;
    return times;
  };
  const wake = (command: number, program = 0, job?: Job): void => {
    words[MAILBOX.command] = command;
    words[MAILBOX.program] = program;
    words[MAILBOX.frame] = job?.frame ?? 0;
    words[MAILBOX.first] = job?.first ?? 0;
    words[MAILBOX.last] = job?.last ?? 0;
    words[MAILBOX.finished] = 0;
    Atomics.add(words, MAILBOX.sequence, 1);
    Atomics.notify(words, MAILBOX.sequence);
  };
  const start = async (): Promise<Crew> => {
    const made: Crew = { threads: [], programs: new Map(), forgotten: [] };
    crew = made;
    const { threads } = made;
    for (let i = 0; i < count; i++) {
      const events = {
        onMessage: (message: unknown) => hear(message as FromWorker, made),
        onFailure: (reason: string) => fail(reason, made),
      };
      threads.push(startThread(WORKER_CODE, events));
    }
    const seen = Atomics.load(words, MAILBOX.sequence);
    await answers(made, count, () => {
      threads.forEach((t, thread) => {
        const message: ToWorker = { start: { memory, mailbox, thread, threads: count, seen } };
        t.post(message);
      });
    });
    for (const t of threads) t.keepAlive(false);
    return made;
  };
  const numberOf = async (of: Crew, module: WebAssembly.Module): Promise<number> => {
    const known = of.programs.get(module);
    if (known !== undefined) return known;
    const id = programs++;
    const message: ToWorker = { load: { id, module }, forget: of.forgotten.splice(0) };
    await answers(of, count, () => {
      for (const t of of.threads) t.post(message);
      wake(COMMAND.listen);
    });
    of.programs.set(module, id);
    return id;
  };
  const perform = async (job: Job, command: number, messages: number) => {
    const ready = crew ?? (await start());
    const program = await numberOf(ready, job.module);
    return answers(ready, messages, () => wake(command, program, job));
  };

  await start();
  return {
    count,
    run: async (job) => void (await perform(job, COMMAND.run, 1)),
    time: (job) => perform(job, COMMAND.time, 2),
    forget: (module) => {
      const id = crew?.programs.get(module);
      if (id === undefined) return;
      crew?.programs.delete(module);
      crew?.forgotten.push(id);
    },
    stop: async () => {
      const last = crew;
      crew = undefined;
      await Promise.all((last?.threads ?? []).map((t) => t.stop()));
    },
  };
}
