/** From the kernels of a plan to the kernels that are launched. */
import type { Plan } from '../plan/plan.js';
import type { Step } from './program.js';
import type { ArrayLayout } from './wgsl/bindings.js';
import { printKernel } from './wgsl/kernel.js';

export const stepsOf = (plan: Plan, layout: ArrayLayout): readonly Step[] =>
  plan.kernels.map((kernel, i) => ({
    code: printKernel(kernel, layout),
    dies: plan.dies[i] ?? [],
  }));
