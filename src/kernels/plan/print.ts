/** Plans as text, for people who wonder what a program does and what it costs. */
import { showAval } from '../../autodiff/index.js';
import { kernelCost, totalCost } from './cost.js';
import { bytesOf, placeIntermediates, showBytes } from './memory.js';
import { type AnyKernel, outputsOf, type Plan } from './plan.js';

/** What a plan costs at least, in two lines: see `Cost` and `Placement`. */
function summary(plan: Plan<AnyKernel>): readonly string[] {
  const { kernels, constants, inputs, outputs } = plan;
  const { flops, bytes } = totalCost(kernels.map(kernelCost));
  const { arenaBytes, lowerBound } = placeIntermediates(plan);
  const held = [...inputs, ...constants.map((c) => c.variable), ...outputs].reduce(
    (sum, v) => sum + bytesOf(v),
    0,
  );
  return [
    `${kernels.length} kernels, ${constants.length} constants, ${bytes} bytes moved at least, ${flops} flops`,
    `peak memory ${showBytes(held + arenaBytes)}: inputs, constants and outputs ${showBytes(held)}, intermediates ${showBytes(arenaBytes)} (no placement needs less than ${showBytes(lowerBound)})`,
  ];
}

const line = (kernel: AnyKernel): string => {
  const filled = outputsOf(kernel).map((v) => `b${v.id}: ${showAval(v)}`);
  const from = ['kind' in kernel ? [kernel.kind] : [], kernel.reads.map((v) => `b${v.id}`)].flat();
  return `${filled.join(', ')} <- ${from.join(' ')}`;
};

/** A plan as text: two lines on its costs, then one a kernel. */
export const printPlan = (plan: Plan<AnyKernel>): string =>
  [...summary(plan), ...plan.kernels.map(line)].join('\n');
