/** What writing text begins with: prompts that fit, and weights that are on the device. */
import { FlatloraError, type HostArray, treeMap } from '../autodiff/index.js';
import { type Backend, type DeviceArray, isDeviceArray } from '../kernels/index.js';

/** @throws FlatloraError when a prompt is empty or longer than `longest`, or when there is none. */
export function checkPrompts(prompts: readonly (readonly number[])[], longest: number): void {
  if (prompts.length === 0) throw new FlatloraError('argument', 'generate: there are no prompts');
  const odd = prompts.findIndex((prompt) => prompt.length === 0 || prompt.length > longest);
  if (odd >= 0) {
    throw new FlatloraError(
      'argument',
      `generate: prompt ${odd} has ${prompts[odd]?.length} tokens, expected 1 to ${longest}`,
    );
  }
}

/** Weights on the device, and which of them were uploaded here and are to be released. */
export function placed(backend: Backend, weights: unknown) {
  const ours: DeviceArray[] = [];
  const onDevice = treeMap((leaf: HostArray | DeviceArray) => {
    if (isDeviceArray(leaf)) return leaf;
    const array = backend.upload(leaf);
    ours.push(array);
    return array;
  }, weights);
  return { onDevice, ours: ours as readonly DeviceArray[] };
}
