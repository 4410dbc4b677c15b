/** The backends that tests run on, each with the precision that it is held to. */
import {
  type Backend,
  gpujsAvailability,
  gpujsBackend,
  referenceBackend,
  wasmBackend,
  webgpuBackend,
} from '../../src/kernels/index.js';
import { provideNodeWebgpu } from '../../src/kernels/nodeWebgpu.js';

export interface TestBackend {
  readonly name: string;
  /** Greatest error relative to max(1, |expected|) against float64 results from elsewhere. */
  readonly tolerance: number;
  /** Makes a backend; whoever opens it disposes it. */
  readonly open: () => Promise<Backend>;
}

/** Whether a missing WebGPU adapter fails the tests instead of leaving it out. */
export const webgpuIsRequired = (process.env.FLATLORA_REQUIRE_WEBGPU ?? '') !== '';

/** Why WebGPU cannot be tested here, or `undefined`. */
export const webgpuMissing: string | undefined =
  (await provideNodeWebgpu()) ?? (await gpujsAvailability('webgpu'));

const FLOAT32 = 1e-5;

/**
 * Every backend that can run here. Where WebGPU is required it is always in the list, so that its
 * tests fail when it cannot be opened.
 */
export const testBackends = (): readonly TestBackend[] => [
  { name: 'reference', tolerance: 1e-10, open: async () => referenceBackend() },
  { name: 'gpujs-cpu', tolerance: FLOAT32, open: () => gpujsBackend('cpu') },
  { name: 'gpujs-webasm', tolerance: FLOAT32, open: () => gpujsBackend('webasm') },
  { name: 'wasm', tolerance: FLOAT32, open: () => wasmBackend() },
  ...(webgpuMissing === undefined || webgpuIsRequired
    ? [
        { name: 'gpujs-webgpu', tolerance: FLOAT32, open: () => gpujsBackend('webgpu') },
        { name: 'webgpu', tolerance: FLOAT32, open: () => webgpuBackend() },
      ]
    : []),
];
