/** Plans for a GPU: what it can fuse, and how its kernels are written. */
import type { Tape } from '../../autodiff/index.js';
import { type AnyKernel, type Plan, planTape } from '../plan/plan.js';
import type { GpuDevice } from './device.js';
import type { Step } from './program.js';
import { type ChooseTiling, productShapes, type StepOptions, stepsOf } from './steps.js';
import type { ProductShape } from './tiles.js';
import type { ArrayLayout } from './wgsl/bindings.js';

/** Arithmetic up to this cost is done while a product copies its operands (`plan/fuse.ts`). */
const OPERAND_COST = 12;
/** Kernels that read more buffers than this are cut, even where a device could bind them. */
const MOST_READS = 12;
/** A software adapter compiles a workgroup's invocations one by one. */
const LANES_IN_SOFTWARE = 16;

export interface PlanningOptions {
  readonly layout: ArrayLayout;
  readonly lanes: number | undefined;
  readonly precision: StepOptions['precision'];
  readonly choose: ChooseTiling;
  /** Told the plan's products before `choose` is asked. */
  readonly prepare: (shapes: readonly ProductShape[]) => Promise<void>;
}

export interface Planned {
  readonly plan: Plan<AnyKernel>;
  readonly steps: readonly Step[];
}

/** What a device's workgroups can hold. */
export const tileLimits = ({ device, software }: GpuDevice, lanes?: number) => ({
  lanes: Math.min(
    lanes ?? (software ? LANES_IN_SOFTWARE : Number.POSITIVE_INFINITY),
    device.limits.maxComputeInvocationsPerWorkgroup,
    device.limits.maxComputeWorkgroupSizeX,
  ),
  workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
});

/** What kernels may take in on a device with so many bindings. */
export const fusionFor = (bindings: number) => ({
  // One binding is the result's, one the table's.
  maxReads: Math.min(MOST_READS, bindings - 2),
  operandCost: OPERAND_COST,
});

/** The plan of a tape and its launches: attention as one kernel where the device can. */
export async function planFor(
  tape: Tape,
  gpu: GpuDevice,
  { layout, lanes, precision, choose, prepare }: PlanningOptions,
): Promise<Planned> {
  const limits = tileLimits(gpu, lanes);
  const { matrixUnit } = gpu;
  const bindings = gpu.device.limits.maxStorageBuffersPerShaderStage;
  const options: StepOptions = { layout, limits, bindings, precision, matrixUnit, choose };
  const fusion = fusionFor(bindings);
  const fused = planTape(tape, { ...fusion, fused: new Set(['attention', 'attentionBackward']) });
  await prepare(productShapes(fused));
  const steps = stepsOf(fused, options);
  if (steps !== undefined) return { plan: fused, steps };
  const plan = planTape(tape, fusion);
  await prepare(productShapes(plan));
  return { plan, steps: stepsOf(plan, options) ?? [] };
}
