/**
 * An engine in a process of its own, so that engines' threads, memory and just-in-time compilers do not
 * disturb each other. Requests and replies are lines of JSON on its standard input and output; replies
 * start with a mark, because libraries print things of their own. `engineProcess.ts` and
 * `torch/engine.py` are the other side.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Digests, EngineInfo, Job, PairedTimes, StepFacts } from './job.js';

export const REPLY_MARK = '@reply ';

/** One request; the reply is `{ id, value }` or `{ id, error }`. */
export type Request =
  | { readonly command: 'hello' }
  | { readonly command: 'prepare'; readonly runner: string; readonly job: Job }
  | { readonly command: 'run'; readonly runner: string; readonly repeats: number }
  | { readonly command: 'facts'; readonly runner: string }
  | { readonly command: 'inTurns'; readonly pair: readonly [Job, Job]; readonly rounds: number }
  | { readonly command: 'dispose'; readonly runner: string };

export interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface EngineProcess {
  readonly hello: () => Promise<EngineInfo>;
  /** Loads, compiles and runs a job once, and tells its results. */
  readonly prepare: (runner: string, job: Job) => Promise<Digests>;
  /** Runs a prepared job and tells milliseconds per run. */
  readonly run: (runner: string, repeats: number) => Promise<number>;
  readonly facts: (runner: string) => Promise<StepFacts>;
  /** See `Engine`. */
  readonly inTurns: (pair: readonly [Job, Job], rounds: number) => Promise<PairedTimes>;
  readonly dispose: (runner: string) => Promise<void>;
  readonly end: () => void;
  /** Whether the process is gone, for whatever reason. */
  readonly hasEnded: () => boolean;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** A request that takes longer is given up together with the process. */
  readonly timeoutMs: number;
}

/** Starts an engine's process. Every request is rejected once the process has ended. */
export function startEngine({ command, args, timeoutMs }: Launch): EngineProcess {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  let lastWords = '';
  let ended: string | undefined;

  const endWith = (reason: string) => {
    ended ??= reason;
    for (const [id, settle] of waiting) settle({ id, error: ended });
    waiting.clear();
  };
  child.on('error', (error) => endWith(error.message));
  child.on('close', (code, signal) => {
    endWith(`the process ended (${signal ?? code})${lastWords === '' ? '' : `: ${lastWords}`}`);
  });
  // Writing to a process that has just ended is reported by 'close'.
  child.stdin.on('error', () => undefined);
  child.stderr.on('data', (chunk: Buffer) => {
    lastWords = lastLine(`${lastWords}\n${chunk}`);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (!line.startsWith(REPLY_MARK)) return;
    const reply = JSON.parse(line.slice(REPLY_MARK.length)) as Reply;
    waiting.get(reply.id)?.(reply);
    waiting.delete(reply.id);
  });

  const ask = (request: Request): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) {
        reject(new Error(ended));
        return;
      }
      const id = ++lastId;
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        endWith(`no answer to "${request.command}" within ${timeoutMs / 1000} s`);
      }, timeoutMs);
      waiting.set(id, ({ value, error }) => {
        clearTimeout(timer);
        if (error === undefined) resolve(value);
        else reject(new Error(error));
      });
      child.stdin.write(`${JSON.stringify({ id, ...request })}\n`);
    });

  return {
    hello: async () => (await ask({ command: 'hello' })) as EngineInfo,
    prepare: async (runner, job) => (await ask({ command: 'prepare', runner, job })) as Digests,
    run: async (runner, repeats) => (await ask({ command: 'run', runner, repeats })) as number,
    facts: async (runner) => (await ask({ command: 'facts', runner })) as StepFacts,
    inTurns: async (pair, rounds) =>
      (await ask({ command: 'inTurns', pair, rounds })) as PairedTimes,
    dispose: async (runner) => {
      await ask({ command: 'dispose', runner });
    },
    end: () => {
      ended ??= 'the process was ended';
      child.stdin.end();
      child.kill();
    },
    hasEnded: () => ended !== undefined,
  };
}

/** An engine that is started anew for its next job after its process has ended. */
export function lastingEngine(launch: Launch): EngineProcess {
  let process = startEngine(launch);
  return {
    hello: () => process.hello(),
    prepare: (runner, job) => {
      if (process.hasEnded()) process = startEngine(launch);
      return process.prepare(runner, job);
    },
    run: (runner, repeats) => process.run(runner, repeats),
    facts: (runner) => process.facts(runner),
    inTurns: (pair, rounds) => process.inTurns(pair, rounds),
    dispose: (runner) => process.dispose(runner),
    end: () => process.end(),
    hasEnded: () => process.hasEnded(),
  };
}

const lastLine = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .at(-1) ?? '';
