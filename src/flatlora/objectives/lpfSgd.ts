/**
 * Low-pass filtering SGD, the ancestor of Flat-LoRA's noise: the loss convolved with a Gaussian whose
 * width follows the norms of the filters.
 *
 *     ε_ij ~ N(0, γ_t²·‖W′_i‖²),   γ_t = γ₀·(1 + 14·½(1 − cos(π t/T)))
 *
 * In Eq. 7 the variance is divided by the number n of inputs; here it is not, so γ is σ/√n of a layer
 * with n inputs. An array that is no matrix is one filter: its elements get N(0, γ²·‖w‖²). The width
 * grows fifteenfold in training; `constantNoise` keeps it.
 *
 * Reference: Bisla, Wang, Choromanska, "Low-pass filtering SGD for recovering flat optima in the deep
 * learning optimization landscape", AISTATS 2022. Its code splits the batch among the `samples`;
 * here each sees the whole micro-batch.
 */
import {
  add,
  check,
  type Loss,
  mul,
  normal,
  orThrow,
  reduceSum,
  sqrt,
  square,
  stopGradient,
  type Value,
} from '../../autodiff/index.js';
import { noise } from './perturb.js';
import {
  type NoiseLaw,
  type PerturbedPart,
  requireSamples,
  underNoise,
} from './randomPerturbation.js';
import { cosineIncreasing, type NoiseSchedule } from './schedules.js';

export interface LpfSgdOptions {
  /** γ₀ ≥ 0; 0.0005 by default (the reference's choice for ImageNet; 0.001 and 0.002 on others). */
  readonly gamma?: number;
  /** γ_t/γ₀; from 1 to 15 along a cosine by default. */
  readonly schedule?: NoiseSchedule;
  /** `adapted` by default, to be compared with `flat`; the reference perturbs all parameters. */
  readonly on?: PerturbedPart;
  /** As for `flat`: evaluations per step, 1 by default. */
  readonly samples?: number;
  /** As for `flat`: draw ε again in the backward pass; false by default. */
  readonly recompute?: boolean;
}

/** γ_t/γ₀ of the reference: 1 + 14·½(1 − cos(π t/T)). */
export const fifteenfold: NoiseSchedule = (progress) => add(1, mul(14, cosineIncreasing(progress)));

/** ‖w‖·z: a vector is a filter. */
const filterNoise = (x: Value, key: Value, gamma: Value): Value =>
  mul(normal(key, x.shape), mul(stopGradient(sqrt(reduceSum(square(x)))), gamma));

/** γ²‖W′_i‖² for matrices: Eq. 7 with σ = γ√n. */
const BY_FILTERS: NoiseLaw = {
  matrix: (weight, key, gamma) =>
    noise(weight, key, mul(gamma, Math.sqrt(weight.shape[1] as number))),
  vector: filterNoise,
};

/**
 * The loss under the noise of LPF-SGD; the key and composition are those of `flat`.
 *
 * @throws FlatloraError as `flat`.
 */
export function lpfSgd({
  gamma = 0.0005,
  schedule = fifteenfold,
  on = 'adapted',
  samples = 1,
  recompute = false,
}: LpfSgdOptions = {}): <P, X>(loss: Loss<P, X>) => Loss<P, X> {
  orThrow(
    check(
      Number.isFinite(gamma) && gamma >= 0,
      'argument',
      () => `lpfSgd: gamma is ${gamma}, expected a number ≥ 0`,
    ),
  );
  requireSamples('lpfSgd', samples, false);
  return <P, X>(loss: Loss<P, X>): Loss<P, X> =>
    gamma === 0
      ? loss
      : underNoise(loss, {
          name: 'lpfSgd',
          law: BY_FILTERS,
          strength: (progress) => mul(gamma, schedule(progress)),
          on,
          samples,
          antithetic: false,
          recompute,
          precision: undefined,
        });
}
