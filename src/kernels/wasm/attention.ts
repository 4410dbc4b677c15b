/** Kernels of attention: the primitive's two passes without the T×S scores in memory. */
import type { AttentionKernel } from '../plan/attention.js';
import { emitBackward } from './attention/backward.js';
import { emitForward } from './attention/forward.js';
import type { FunctionOptions } from './functions.js';
import type { KernelCode } from './program.js';

export function attentionCode(kernel: AttentionKernel, options: FunctionOptions): KernelCode {
  const { function: code, scratchBytes } =
    kernel.kind === 'attention' ? emitForward(kernel, options) : emitBackward(kernel, options);
  const own = new Set(kernel.outputs.map((v) => v.id));
  const buffers = [...kernel.outputs, ...kernel.reads.filter((v) => !own.has(v.id))];
  const name = `${kernel.outputs.map((v) => `b${v.id}`).join(' ')} ${kernel.kind}`;
  return { steps: [{ name, function: code, buffers }], scratchBytes, sharedBytes: 0 };
}
