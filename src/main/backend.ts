/** Which backend the main job runs on, and how its workers open it. */
import { type Backend, wasmBackend } from '../kernels/index.js';
import { chooseNodeBackend, nodeBackendByName } from '../kernels/node.js';
import { reusingPrograms } from './reuse.js';

export async function chooseBackend(
  name: string | undefined,
): Promise<{ readonly name: string; readonly reason: string }> {
  const { backend, reason } =
    name === undefined
      ? await chooseNodeBackend()
      : { backend: await nodeBackendByName(name), reason: 'asked for by name' };
  await backend.dispose();
  return { name: backend.name, reason };
}

/**
 * The backend of one worker. Workers are as many as cores, so each computes on one thread. Threads
 * that share a step of this small model wait for each other at every kernel: on two cores it took
 * 9.8 ms on both, and 6.6 ms on one with another run beside it.
 */
export const openWorkerBackend = async (name: string): Promise<Backend> =>
  reusingPrograms(
    name === 'wasm' ? await wasmBackend({ threads: 1 }) : await nodeBackendByName(name),
  );
