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
 * The backend of one worker. Workers are as many as cores, so each computes on one thread: threads
 * that share a step of this small model wait for each other after most kernels. On two cores two runs
 * side by side took 6.4 ms a step each, runs in turn on both cores 3.6 to 4.5 ms.
 */
export const openWorkerBackend = async (name: string): Promise<Backend> =>
  reusingPrograms(
    name === 'wasm' ? await wasmBackend({ threads: 1 }) : await nodeBackendByName(name),
  );
