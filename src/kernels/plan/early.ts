/**
 * Small kernels that wait for nothing come first: keys, row norms, deviations. Side by side, threads need
 * not meet between them, and what they fill is small enough to be kept until it is used.
 */
import { sizeOf, type Var } from '../../autodiff/index.js';
import type { AnyKernel } from './plan.js';

/** Elements of a buffer that may be kept long before it is used. */
const SMALL = 8192;

/**
 * The kernels in another order, in which each still comes after those whose results it reads.
 * @param known what is there from the start: inputs and constants
 * @param results what the plan gives out; such kernels keep their turn, for they may write over inputs
 */
export function earlyFirst(
  kernels: readonly AnyKernel[],
  known: readonly Var[],
  results: readonly Var[],
): readonly AnyKernel[] {
  const there = new Set(known.map((v) => v.id));
  const given = new Set(results.map((v) => v.id));
  const early: AnyKernel[] = [];
  const late: AnyKernel[] = [];
  for (const kernel of kernels) {
    const outputs = 'output' in kernel ? [kernel.output] : kernel.outputs;
    const waits = kernel.reads.some((v) => !there.has(v.id));
    const isSmall = outputs.every((v) => sizeOf(v.shape) <= SMALL && !given.has(v.id));
    if (waits || !isSmall) {
      late.push(kernel);
      continue;
    }
    early.push(kernel);
    for (const v of outputs) there.add(v.id);
  }
  return [...early, ...late];
}
