/** Kernels of attention: the primitive's two passes without the T×S scores in memory. */
import type { AttentionKernel } from '../plan/attention.js';
import { emitBackward } from './attention/backward.js';
import { emitForward } from './attention/forward.js';
import type { FunctionOptions } from './functions.js';
import type { KernelCode } from './program.js';

export function attentionCode(kernel: AttentionKernel, options: FunctionOptions): KernelCode {
  const { function: code, scratchBytes } =
    kernel.kind === 'attention' ? emitForward(kernel, options) : emitBackward(kernel, options);
  return { steps: [{ name: kernel.kind, function: code }], scratchBytes, sharedBytes: 0 };
}
