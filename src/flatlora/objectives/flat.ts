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
import { check, type HalfPrecision, type Loss, mul, orThrow } from '../../autodiff/index.js';
import { noise, vectorNoise } from './perturb.js';
import {
  type NoiseLaw,
  type PerturbedPart,
  requireSamples,
  underNoise,
} from './randomPerturbation.js';
import { cosineIncreasing, type NoiseSchedule } from './schedules.js';

export type { PerturbedPart } from './randomPerturbation.js';

export interface FlatOptions {
  /** σ ≥ 0. The paper suggests 0.05 or 0.1 (Appendix D); 0.05 by default. */
  readonly sigma?: number;
  /** Growth of σ over training; `cosineIncreasing` by default. */
  readonly schedule?: NoiseSchedule;
  /** `adapted` by default. */
  readonly on?: PerturbedPart;
  /**
   * Evaluations of the loss at noisy weights per step, which are averaged; each costs a forward and a
   * backward pass. 1 by default, as in the paper; 2 with antithetic pairs.
   */
  readonly samples?: number;
  /**
   * Draws the samples in pairs (ε, −ε), so `samples` must be even; false by default. Each half of a
   * pair has the law of Eq. 7. In the mean of a pair all odd orders of ε cancel, the gradient's
   * greatest noise among them: L(W′) + ½·εᵀHε + O(ε⁴) is left of the loss.
   */
  readonly antithetic?: boolean;
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

/** σ²/n·‖W′_i‖² for matrices, σ²·w_i² for the rest. */
const EQUATION_7: NoiseLaw = { matrix: noise, vector: vectorNoise };

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
  antithetic = false,
  samples = antithetic ? 2 : 1,
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
  requireSamples('flat', samples, antithetic);
  return <P, X>(loss: Loss<P, X>): Loss<P, X> =>
    sigma === 0 && precision === undefined
      ? loss
      : underNoise(loss, {
          name: 'flat',
          law: EQUATION_7,
          strength: sigma === 0 ? undefined : (progress) => mul(sigma, schedule(progress)),
          on,
          samples,
          antithetic,
          recompute,
          precision,
        });
}
