/** The backends' Node side: as `auto.ts`, with WebGPU from the optional package `webgpu`. */
import { FlatloraError } from '../autodiff/index.js';
import { autoBackend, backendByName, type ChosenBackend } from './auto.js';
import type { Backend } from './backend.js';
import { provideNodeWebgpu } from './nodeWebgpu.js';

export { provideNodeWebgpu } from './nodeWebgpu.js';

/** `autoBackend` for Node: the fastest backend that passes its self-test. */
export async function chooseNodeBackend(): Promise<ChosenBackend> {
  // Without the package WebGPU is rejected by `autoBackend`, which says so.
  await provideNodeWebgpu();
  return autoBackend();
}

/** `backendByName` for Node. */
export async function nodeBackendByName(name: string): Promise<Backend> {
  if (name.endsWith('webgpu')) {
    const missing = await provideNodeWebgpu();
    if (missing !== undefined) throw new FlatloraError('backend', `${name}: ${missing}`);
  }
  return backendByName(name);
}
