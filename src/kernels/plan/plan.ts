/**
 * Plans: what a code-generating backend runs. A list of kernels in order, the constants that they
 * read, and for each kernel the buffers that are no longer needed after it.
 */
import {
  type Equation,
  type HostArray,
  sizeOf,
  type Tape,
  type Var,
} from '../../autodiff/index.js';
import { inlineTape } from '../inline.js';
import { type AttentionKernel, cutAtAttention } from './attention.js';
import { earlyFirst } from './early.js';
import { buffersOf, type Kernel, positionsOf } from './expression.js';
import { type FusionLimits, storedVariables } from './fuse.js';
import { cutLoop, cutOf, elementOf, joint } from './lower.js';
import { hasDivision, type LoopVariable, ofAtom, unflatten } from './position.js';
import { prepare } from './prepare.js';

export { printPlan } from './print.js';

export interface Constant {
  readonly variable: Var;
  readonly value: HostArray;
}

/** What one launch of a plan may be. */
export type AnyKernel = Kernel | AttentionKernel;

export interface Plan<K extends AnyKernel = Kernel> {
  readonly inputs: readonly Var[];
  readonly outputs: readonly Var[];
  readonly constants: readonly Constant[];
  readonly kernels: readonly K[];
  /** By kernel: intermediate buffers that no later kernel reads. */
  readonly dies: readonly (readonly Var[])[];
}

/** The buffers that a kernel fills. */
export const outputsOf = (kernel: AnyKernel): readonly Var[] =>
  'output' in kernel ? [kernel.output] : kernel.outputs;

/** Names of the fused primitives for which plans have kernels. */
export type FusedName = AttentionKernel['kind'];

export interface FusedLimits extends FusionLimits {
  /** The fused primitives that a backend runs as one kernel; the others run as defined. */
  readonly fused: ReadonlySet<FusedName>;
}

/** The kernel that fills a variable, over one flat loop where no position then needs a division. */
function kernelOf(
  tape: Tape,
  definitions: ReadonlyMap<number, Equation>,
  stored: ReadonlySet<number>,
  output: Var,
): Kernel {
  const flat: LoopVariable = { kind: 'loop', name: 'i', size: sizeOf(output.shape) };
  const overFlat = elementOf(
    tape,
    definitions,
    stored,
    output,
  )(output, unflatten(output.shape, ofAtom(flat)));
  if (!positionsOf(overFlat).some(hasDivision)) {
    return { output, axes: [flat], body: overFlat, reads: buffersOf(overFlat) };
  }
  let count = 0;
  const fresh = (size: number): LoopVariable => ({ kind: 'loop', name: `i${count++}`, size });
  let axes = output.shape.map((size): readonly LoopVariable[] => [fresh(size)]);
  for (;;) {
    const body = elementOf(tape, definitions, stored, output)(output, axes.map(joint));
    const cut = cutOf(body, axes.flat());
    if (cut === undefined) return { output, axes: axes.flat(), body, reads: buffersOf(body) };
    axes = axes.map((parts) => cutLoop(parts, cut, fresh));
  }
}

const NONE: ReadonlySet<FusedName> = new Set();

/** Plans a tape. */
export function planTape(original: Tape, limits: FusedLimits): Plan<AnyKernel>;
export function planTape(original: Tape, limits: FusionLimits): Plan;
export function planTape(
  original: Tape,
  { fused = NONE, ...limits }: FusionLimits & Partial<FusedLimits>,
): Plan<AnyKernel> {
  const tape = prepare(inlineTape(original, fused), limits);
  const definitions = new Map<number, Equation>();
  const constants: Constant[] = [];
  for (const equation of tape.equations) {
    for (const v of equation.outputs) definitions.set(v.id, equation);
    const { primitive, params, outputs } = equation;
    if (primitive.name === 'constant' && (outputs[0] as Var).shape.length > 0) {
      constants.push({ variable: outputs[0] as Var, value: params.value });
    }
  }
  const { rest, kernels: attention } = cutAtAttention(tape, definitions);
  const stored = storedVariables(rest, limits);
  const inTurn = tape.equations
    .flatMap((e) => e.outputs)
    .flatMap((v): readonly AnyKernel[] => {
      const whole = attention.get(v.id);
      if (whole !== undefined) return [whole];
      const filled = stored.has(v.id) && sizeOf(v.shape) > 0;
      return filled ? [kernelOf(rest, definitions, stored, v)] : [];
    });
  const known = [...tape.inputs, ...constants.map((c) => c.variable)];
  const kernels = earlyFirst(inTurn, known, tape.outputs);
  const read = new Set(kernels.flatMap((k) => k.reads.map((v) => v.id)));

  const kept = new Set([...tape.inputs, ...tape.outputs].map((v) => v.id));
  for (const { variable } of constants) kept.add(variable.id);
  const dies: Var[][] = kernels.map(() => []);
  const seen = new Set<number>();
  for (let i = kernels.length - 1; i >= 0; i--) {
    const kernel = kernels[i] as AnyKernel;
    for (const v of [...kernel.reads, ...outputsOf(kernel)]) {
      if (!kept.has(v.id) && !seen.has(v.id)) (dies[i] as Var[]).push(v);
      seen.add(v.id);
    }
  }
  return {
    inputs: tape.inputs,
    outputs: tape.outputs,
    constants: constants.filter((c) => read.has(c.variable.id)),
    kernels,
    dies,
  };
}
