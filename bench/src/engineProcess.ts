/**
 * The process of one JavaScript engine: loads its module from `peers/` and answers requests one after
 * another. Usage: node engineProcess.js NAME [OPTIONS as JSON]
 */

import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import type { Engine, Runner } from './harness/job.js';
import { REPLY_MARK, type Reply, type Request } from './harness/process.js';
import { provideIteratorHelpers, provideWorkers } from './peers/webPlatform.js';

/** Each peer's module is loaded in its own process only. */
const ENGINES: Readonly<Record<string, (options: EngineOptions) => Promise<Engine>>> = {
  flatlora: async (options) => (await import('./peers/flatlora.js')).flatloraEngine(options),
  tfjs: async () => (await import('./peers/tfjs.js')).tfjsEngine(),
  jaxjs: async () => {
    provideIteratorHelpers();
    return (await import('./peers/jaxjs.js')).jaxjsEngine({ threads: 1 });
  },
  'jaxjs-threads': async ({ threads }) => {
    provideIteratorHelpers();
    // It looks for Workers while it loads.
    provideWorkers(threads);
    return (await import('./peers/jaxjs.js')).jaxjsEngine({ threads });
  },
  gpujs: async ({ threads }) => (await import('./peers/gpujs.js')).gpujsEngine({ threads }),
};

export interface EngineOptions {
  /** Name of flatlora's backend; its own choice by default. */
  readonly backend?: string;
  /** Products with float16 operands, on WebGPU. */
  readonly products?: 'float16';
  /** Threads that the machine can run at once. */
  readonly threads: number;
}

const [name = '', options = '{}'] = process.argv.slice(2);
const make = ENGINES[name];
if (make === undefined) throw new Error(`no engine "${name}"`);
const engine = make(JSON.parse(options) as EngineOptions);
// The first request is told why an engine could not be made.
engine.catch(() => undefined);
const runners = new Map<string, Runner>();

function runnerOf(key: string): Runner {
  const runner = runners.get(key);
  if (runner === undefined) throw new Error(`no runner "${key}"`);
  return runner;
}

async function answer(request: Request): Promise<unknown> {
  const { info, prepare, inTurns } = await engine;
  switch (request.command) {
    case 'hello':
      return info;
    case 'prepare': {
      const runner = await prepare(request.job);
      runners.set(request.runner, runner);
      return runner.results();
    }
    case 'run': {
      const runner = runnerOf(request.runner);
      const start = performance.now();
      for (let i = 0; i < request.repeats; i++) await runner.run();
      return (performance.now() - start) / request.repeats;
    }
    case 'facts':
      return runnerOf(request.runner).facts?.();
    case 'inTurns':
      return inTurns?.(request.pair, request.rounds);
    case 'dispose':
      await runners.get(request.runner)?.dispose();
      runners.delete(request.runner);
      return undefined;
  }
}

const say = (reply: Reply) => process.stdout.write(`${REPLY_MARK}${JSON.stringify(reply)}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, ...request } = JSON.parse(line) as Request & { readonly id: number };
  try {
    say({ id, value: (await answer(request as Request)) ?? null });
  } catch (cause) {
    const error = cause instanceof Error ? cause.message : String(cause);
    say({ id, error: error.split('\n')[0] ?? error });
  }
}
process.exit(0);
