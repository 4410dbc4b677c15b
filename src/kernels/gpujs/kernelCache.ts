/** Kernel objects by source: layers of one shape share them, and programs of one backend do. */
import type { Var } from '../../autodiff/index.js';
import type { KernelFunction } from './device.js';
import { floatsOf, type KernelSource } from './source.js';

/** The kernels of one program. */
export interface ProgramKernels {
  /** @param reads what the kernel is called with: code may depend on the sizes. */
  readonly of: (source: KernelSource, reads: readonly Var[]) => KernelFunction;
  /** Destroys the kernels that no other program uses. */
  readonly release: () => void;
}

/** Gives each program its view of the kernels. */
export type KernelCache = () => ProgramKernels;

interface Shared {
  readonly kernel: KernelFunction;
  users: number;
}

/**
 * @param make compiles one.
 * @param keepsAll for WebGL, whose kernels share the state of vertex buffers: taking one away breaks the
 * others, so they stay until the backend ends.
 */
export function kernelCache(
  make: (source: KernelSource) => KernelFunction,
  { keepsAll = false } = {},
): KernelCache {
  const made = new Map<string, Shared>();
  return () => {
    const own = new Map<string, Shared>();
    return {
      of: (source, reads) => {
        const key = `${reads.map(floatsOf)} > ${source.output} ${source.source}`;
        const mine = own.get(key);
        if (mine !== undefined) return mine.kernel;
        const shared = made.get(key) ?? { kernel: make(source), users: 0 };
        shared.users++;
        made.set(key, shared);
        own.set(key, shared);
        return shared.kernel;
      },
      release: () => {
        for (const [key, shared] of own) {
          shared.users--;
          if (shared.users > 0 || keepsAll) continue;
          made.delete(key);
          (shared.kernel as unknown as { destroy: () => void }).destroy();
        }
        own.clear();
      },
    };
  };
}
