/**
 * Flat-LoRA as a loss transformer: the loss at randomly perturbed weights.
 *
 *     min_{A,B} E_{ε_W} L(W + s·B·A + ε_W)            Eq. 6, ε_W of Eq. 7
 *
 * One ε is drawn for each optimisation step; all micro-batches of the step see the same one. The
 * gradient with respect to the parameters is the plain gradient at the perturbed weights.
 *
 * Reference: Li et al., "Flat-LoRA: Low-Rank Adaptation over a Flat Loss Landscape", ICML 2025.
 */
import {
  add,
  check,
  FlatloraError,
  flatten,
  foldInTraced,
  type HalfPrecision,
  type Loss,
  type LossContext,
  mul,
  orThrow,
  roundTo,
  splitTraced,
  treeMap,
  type Value,
  type Weight,
} from '../../autodiff/index.js';
import { isMatrix } from '../targets.js';
import { layerKey, noise, plusNoise, rounded, vectorNoise } from './perturb.js';
import { cosineIncreasing, type NoiseSchedule } from './schedules.js';

/**
 * What is perturbed.
 * - `adapted`: the merged weights of the adapted layers (the method of the paper);
 * - `all`: every parameter of the model, "Flat-LoRA (all)" of Appendix C: matrices of whatever use by
 *   Eq. 7, arrays of other ranks (biases, norm scales, class tokens) by their absolute values;
 * - `factors`: the matrices among the trained parameters themselves (A and B; Table 6).
 */
export type PerturbedPart = 'adapted' | 'all' | 'factors';

export interface FlatOptions {
  /** σ ≥ 0. The paper suggests 0.05 or 0.1 (Appendix D); 0.05 by default. */
  readonly sigma?: number;
  /** Growth of σ over training; `cosineIncreasing` by default. */
  readonly schedule?: NoiseSchedule;
  /** `adapted` by default. */
  readonly on?: PerturbedPart;
  /** Draws of ε per step whose losses are averaged; 1 by default, as in the paper. */
  readonly samples?: number;
  /**
   * Draw ε again in the backward pass instead of keeping W + ε of the step for it; false by default.
   * Either way nothing of ε outlives the step.
   */
  readonly recompute?: boolean;
  /**
   * Rounds what is perturbed to half precision once the noise is added, as mixed-precision training
   * casts its weights: the model sees round(W′ + ε) (end of Section 3.3). The derivative goes
   * straight through the rounding. By default nothing is rounded.
   */
  readonly precision?: HalfPrecision;
}

/**
 * The loss under random weight perturbation.
 *
 * - With σ = 0 and no `precision`, and outside training, the loss is the given one, the very same tape.
 * - The noise of a step depends on `context.stepKey` and the layers' names alone. Each application
 *   splits the key and hands one half on, so the noises of composed `flat`s are independent; all of
 *   them take their norms from the unperturbed weight, so their variances add:
 *   `flat(σ₁)` after `flat(σ₂)` has the distribution of `flat(√(σ₁² + σ₂²))`.
 * - With `sam` it commutes while `samples` is 1: either way the ascent and the descent gradient are
 *   taken under the same ε. With more samples, `sam(flat(L))` ascends the mean of the noisy losses,
 *   `flat(sam(L))` ascends each of them.
 * - With a `precision` the merged matrix W + s·B·A is formed in each step, for it is what is rounded;
 *   the gradient of A and B still follows the low-rank path. LoRA's dropout must be 0 then. Of several
 *   `flat`s the innermost one rounds what all of them have added, if it is the one with a `precision`.
 *
 * @throws FlatloraError when σ or `samples` is out of range, and while tracing when the loss has no
 *   adapted weights to perturb.
 */
export function flat({
  sigma = 0.05,
  schedule = cosineIncreasing,
  on = 'adapted',
  samples = 1,
  recompute = false,
  precision,
}: FlatOptions = {}): <P, X>(loss: Loss<P, X>) => Loss<P, X> {
  orThrow(
    check(
      Number.isFinite(sigma) && sigma >= 0,
      'argument',
      () => `flat: sigma is ${sigma}, expected a number ≥ 0`,
    ),
  );
  orThrow(
    check(
      Number.isInteger(samples) && samples >= 1,
      'argument',
      () => `flat: samples is ${samples}, expected an integer ≥ 1`,
    ),
  );
  return <P, X>(loss: Loss<P, X>): Loss<P, X> => {
    if (sigma === 0 && precision === undefined) return loss;
    return (params, batch, context) => {
      if (!context.training) return loss(params, batch, context);
      const strength = sigma === 0 ? undefined : mul(sigma, schedule(context.progress));
      const [own, rest] = splitTraced(context.stepKey) as [Value, Value];
      const draws = Array.from({ length: samples }, (_, k) => {
        const change = { key: foldInTraced(own, k), sigma: strength, recompute, precision };
        const inner = { ...context, stepKey: foldInTraced(rest, k) };
        return on === 'factors'
          ? loss(changedFactors(params, change), batch, inner)
          : atChangedWeights(loss, on, change)(params, batch, inner);
      });
      return mul(
        draws.reduce((sum, term) => add(sum, term)),
        1 / samples,
      );
    };
  };
}

/** What happens to weights in a step: noise, rounding, or both. */
interface Change {
  readonly key: Value;
  /** σ of the step; `undefined` for no noise at all. */
  readonly sigma: Value | undefined;
  readonly recompute: boolean;
  readonly precision: HalfPrecision | undefined;
}

/** A weight under the noise of `of`, a weight of the same name and shape, and then rounded. */
function changed(
  weight: Weight,
  of: Weight,
  name: string,
  { key, sigma, recompute, precision }: Change,
): Weight {
  const noisy =
    sigma === undefined
      ? weight
      : plusNoise(weight, noise(of, layerKey(key, name), sigma), recompute);
  return precision === undefined ? noisy : rounded(noisy, precision);
}

/** The same for what is no matrix. */
function changedVector(
  x: Value,
  of: Value,
  name: string,
  { key, sigma, precision }: Change,
): Value {
  const noisy = sigma === undefined ? x : add(x, vectorNoise(of, layerKey(key, name), sigma));
  return precision === undefined ? noisy : roundTo(noisy, precision);
}

/** The loss whose weights are changed on their way to the model. */
const atChangedWeights =
  <P, X>(loss: Loss<P, X>, on: 'adapted' | 'all', change: Change): Loss<P, X> =>
  (params, batch, context) => {
    let touched = 0;
    // The noise is that of the weight as it is; what an outer transformer adds is added to it.
    const hooks: Pick<LossContext, 'weight' | 'vector'> = {
      weight: (weight, name, role) => {
        const outer = context.weight(weight, name, role);
        if (on === 'adapted' && role !== 'adapted') return outer;
        touched += 1;
        return changed(outer, weight, name, change);
      },
      vector: (x, name) => {
        const outer = context.vector(x, name);
        return on === 'all' ? changedVector(outer, x, name, change) : outer;
      },
    };
    const value = loss(params, batch, { ...context, ...hooks });
    if (touched === 0) {
      throw new FlatloraError(
        'argument',
        'flat: the loss shows no weights to its context; put adapt(base, method) before flat',
      );
    }
    return value;
  };

/** Eq. 7 on each matrix of the parameters themselves. */
function changedFactors<P>(params: P, change: Change): P {
  if (!flatten<Value>(params).leaves.some(isMatrix)) {
    throw new FlatloraError('argument', 'flat: no matrix among the parameters to perturb');
  }
  return treeMap(
    (x: Value, path: string) => (isMatrix(x) ? changed(x, x, path, change) : x),
    params,
  ) as P;
}
