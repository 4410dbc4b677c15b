/** The Worker of the book's experiments. */
import { type Backend, referenceBackend, wasmBackend } from '../../../src/kernels/index.js';
import { activations, rowSpace, smoothing } from './experiments.js';
import type { FromWorker, ToWorker } from './protocol.js';

const EXPERIMENTS = { activations, 'row-space': rowSpace, smoothing };

/** Small programs on one thread; the reference where WebAssembly has no SIMD. */
const backend: Promise<Backend> = wasmBackend({ threads: 1 }).catch(() => referenceBackend());

addEventListener('message', async ({ data: { id, name, options } }: MessageEvent<ToWorker>) => {
  const say = (message: FromWorker): void => postMessage(message);
  try {
    say({ id, result: await EXPERIMENTS[name](await backend, options as never) });
  } catch (thrown) {
    say({ id, problem: (thrown as Error).message.split('\n')[0] as string });
  }
});
