/** The backends that tests run on, each with the precision that it is held to. */
import type { Backend } from '../../src/kernels/index.js';
import { referenceBackend } from '../../src/kernels/index.js';

export interface TestBackend {
  readonly name: string;
  /** Greatest error relative to max(1, |expected|) against float64 results from elsewhere. */
  readonly tolerance: number;
  /** Makes a backend; whoever opens it disposes it. */
  readonly open: () => Promise<Backend>;
}

/** Every backend that can run here. */
export const testBackends = (): readonly TestBackend[] => [
  { name: 'reference', tolerance: 1e-10, open: async () => referenceBackend() },
];
