/** Which backend the main job runs on; every worker opens its own of that name. */
import { chooseNodeBackend, nodeBackendByName } from '../kernels/node.js';

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
