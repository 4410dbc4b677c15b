/**
 * Node as a platform. Node's modules are asked for at run time, not imported: the backend's code is
 * the same in browsers, and a bundler must not look for `node:worker_threads` there.
 */
import type * as OsModule from 'node:os';
import type * as V8Module from 'node:v8';
import type * as ThreadsModule from 'node:worker_threads';
import type { Platform, Thread, ThreadEvents } from './platform.js';

interface NodeProcess {
  readonly versions?: { readonly node?: string };
  /** Node 20.16 and later. */
  readonly getBuiltinModule?: (name: string) => unknown;
}

function startThread(
  { Worker }: typeof ThreadsModule,
  code: string,
  { onMessage, onFailure }: ThreadEvents,
): Thread {
  // The code stands alone: flags and environment meant for the main thread are nothing to it.
  const worker = new Worker(code, { eval: true, execArgv: [], stdin: false });
  let stopped = false;
  worker.on('message', onMessage);
  worker.on('error', (cause) => onFailure(String(cause)));
  worker.on('exit', (status) => {
    if (!stopped) onFailure(`it ended with status ${status}`);
  });
  return {
    post: (message) => worker.postMessage(message),
    keepAlive: (on) => (on ? worker.ref() : worker.unref()),
    stop: async () => {
      stopped = true;
      await worker.terminate();
    },
  };
}

/** Node, or `undefined` elsewhere. */
export function nodePlatform(): Platform | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  if (process?.versions?.node === undefined) return undefined;
  const builtin = <M>(name: string) => process.getBuiltinModule?.(name) as M | undefined;
  const threads = builtin<typeof ThreadsModule>('node:worker_threads');
  return {
    cores: builtin<typeof OsModule>('node:os')?.availableParallelism() ?? 1,
    ...(threads !== undefined && {
      startThread: (code: string, events: ThreadEvents) => startThread(threads, code, events),
    }),
    // Node 20 hides it behind a flag, which counts for every module compiled from now on, in all
    // threads. Later versions have no such flag and say so on stderr: ask only where it is missing.
    offerRelaxedSimd: () =>
      builtin<typeof V8Module>('node:v8')?.setFlagsFromString('--experimental-wasm-relaxed-simd'),
  };
}
