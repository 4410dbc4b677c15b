/**
 * The optimisation step as a traceable function: keys, loss, gradient, optimiser and update are one
 * program. Large batches may be fed in parts (`accumulateGradient`, `applyAccumulated`).
 *
 * A step that is not finite changes nothing: if the loss or the norm of its gradient is NaN or
 * infinite, parameters and optimiser state stay as they were and the step number turns negative,
 * after which further steps change nothing either. So the state before the failure is never lost,
 * even though its memory is donated, and a loop may look at the numbers only now and then.
 */
import {
  abs,
  add,
  convert,
  div,
  floats,
  foldInTraced,
  globalNorm,
  type HostArray,
  identityHooks,
  ints,
  type Loss,
  type LossContext,
  lt,
  min,
  mul,
  type Operand,
  select,
  splitTraced,
  sub,
  treeLeaves,
  type Value,
  valueAndGrad,
} from '../autodiff/index.js';
import type { GradientTransformation, OptimiserState } from '../optimisers/index.js';
import { mapTrees, zerosLikeParams } from '../optimisers/transformation.js';

/** What a step takes and gives; leaves are of type `L`: values while tracing, arrays otherwise. */
export interface StepState<P, L = Value> {
  readonly params: P;
  readonly optimiser: OptimiserState;
  /** Number of the next step, from 0 (int[]); −1 − t once step t was not finite. */
  readonly step: L;
}

export interface StepResult<P> {
  readonly state: StepState<P>;
  /** The loss before the update (float[]). */
  readonly loss: Value;
  /** ‖∇loss‖ over all parameters, before clipping (float[]). */
  readonly gradientNorm: Value;
}

export interface StepOptions {
  /** T: what the context's `progress` t/T is counted against. */
  readonly totalSteps: number;
  /** Whether the program is for a step in which the optimiser refreshes; see `UpdateContext`. */
  readonly refresh?: boolean;
}

/**
 * Losses and gradient norms from here on count as not finite, on every backend: 1e38, which float32
 * can still hold.
 */
export const NOT_FINITE_FROM = 1e38;

/** The state before the first step, on the host. */
export const initialState = <P>(
  params: P,
  optimiser: GradientTransformation,
): StepState<P, HostArray> => ({
  params,
  optimiser: optimiser.init(params),
  step: ints([0], []),
});

/**
 * What the loss gets at micro-batch `micro` of step `step`. The step's key is number `step` of the
 * run's key; the sample key comes of a split of the run's key, so no key that the loss derives from
 * the step's can meet it.
 */
export function trainingContext(
  runKey: Value,
  step: Value,
  micro: Operand,
  { totalSteps }: StepOptions,
): LossContext {
  const [samples] = splitTraced(runKey, 1) as [Value];
  return {
    stepKey: foldInTraced(runKey, step),
    sampleKey: foldInTraced(foldInTraced(samples, step), micro),
    progress: min(1, div(convert(step, 'float'), totalSteps)),
    training: true,
    ...identityHooks,
  };
}

/** Loss and gradient at one micro-batch. */
export const lossAndGradient =
  <P, X>(loss: Loss<P, X>, options: StepOptions) =>
  (params: P, batch: X, runKey: Value, step: Value, micro: Operand) => {
    const context = trainingContext(runKey, step, micro, options);
    const { value, gradient } = valueAndGrad((p: P, x: X) => loss(p, x, context))(params, batch);
    return { loss: value, gradient: gradient as P };
  };

/** The update with a gradient that is complete. */
function applyGradient<P>(
  optimiser: GradientTransformation,
  { params, optimiser: old, step }: StepState<P>,
  loss: Value,
  gradient: P,
  refresh: boolean,
): StepResult<P> {
  const gradientNorm = globalNorm(treeLeaves<Value>(gradient));
  const { updates, state } = optimiser.update(gradient, old, params, {
    step,
    refresh,
  });
  // One comparison decides, and it is false for NaN.
  const size = add(abs(loss), gradientNorm);
  const good = lt(select(lt(step, 0), NOT_FINITE_FROM, size), NOT_FINITE_FROM);
  const failed = select(lt(step, 0), step, sub(-1, step));
  return {
    state: {
      params: mapTrees(
        ([p, u]) => select(good, add(p as Value, u as Value), p as Value),
        params,
        updates,
      ),
      optimiser: mapTrees(([s, o]) => select(good, s as Value, o as Value), state, old),
      step: select(good, add(step, 1), failed),
    },
    loss,
    gradientNorm,
  };
}

/**
 * One optimisation step on one batch. Compile it with the state donated:
 * `compile(trainStep(loss, optimiser, { totalSteps }), backend, { donate: [0] })`.
 */
export const trainStep =
  <P, X>(loss: Loss<P, X>, optimiser: GradientTransformation, options: StepOptions) =>
  (state: StepState<P>, batch: X, runKey: Value): StepResult<P> => {
    const at = lossAndGradient(loss, options)(state.params, batch, runKey, state.step, 0);
    return applyGradient(optimiser, state, at.loss, at.gradient, options.refresh ?? false);
  };

/** Sums over the micro-batches of a step so far. */
export interface Accumulator<P, L = Value> {
  readonly loss: L;
  readonly gradient: P;
}

/** An empty accumulator on the host. */
export const emptyAccumulator = <P>(params: P): Accumulator<P, HostArray> => ({
  loss: floats([0], []),
  gradient: zerosLikeParams(params) as P,
});

/**
 * Adds micro-batch number `micro` (int[]) to an accumulator. All micro-batches of a step share its
 * key, so that a perturbation drawn from it is the same in all of them; their sample keys differ.
 */
export const accumulateGradient =
  <P, X>(loss: Loss<P, X>, options: StepOptions) =>
  (
    accumulator: Accumulator<P>,
    { params, step }: Pick<StepState<P>, 'params' | 'step'>,
    batch: X,
    runKey: Value,
    micro: Value,
  ): Accumulator<P> => {
    const at = lossAndGradient(loss, options)(params, batch, runKey, step, micro);
    return {
      loss: add(accumulator.loss, at.loss),
      gradient: mapTrees(
        ([sum, g]) => add(sum as Value, g as Value),
        accumulator.gradient,
        at.gradient,
      ),
    };
  };

/**
 * The one update of a step whose gradient was accumulated over `microBatches` equally large parts:
 * the mean over the parts, hence what a loss that is a mean over examples has on the whole batch.
 * Compile it with both arguments donated.
 */
export const applyAccumulated =
  <P>(optimiser: GradientTransformation, microBatches: number, refresh = false) =>
  (state: StepState<P>, { loss, gradient }: Accumulator<P>): StepResult<P> => {
    const share = 1 / microBatches;
    return applyGradient(
      optimiser,
      state,
      mul(loss, share),
      mapTrees(([g]) => mul(g as Value, share), gradient),
      refresh,
    );
  };
