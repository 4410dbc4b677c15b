/**
 * EFMLoRA: flat minima of LoRA by a perturbation of B that stands for SAM's of W, with one gradient a
 * step, because the perturbation is a running average of those of earlier steps.
 *
 *     gradient at  W + s·(B + Ê_{t−1})·A
 *     Ê_t = (1 − β)·Ê_{t−1} + β·Ē_t,   Ē_t = s⁻¹·ρ·Ḡ/‖Ḡ‖_F·A⁺  (per layer)              Eq. 15, 18
 *     Ê_1 = Ē_1                                                                         Algorithm 2
 *
 * Ḡ is the full gradient as the factors show it (`fullGradient.ts`), taken at B + Ê, as in the authors'
 * code. The exact form, which takes a second gradient, is `fmLora` among the objectives. Ê [m, r] is an
 * auxiliary array of each layer.
 *
 * Reference: Deng et al., "Efficiently seeking flat minima for better generalization in fine-tuning
 * large language models and beyond", arXiv 2508.00522 (first called EFlat-LoRA).
 */
import {
  add,
  convert,
  div,
  equal,
  lowRankSum,
  min,
  mul,
  select,
  stopGradient,
  sub,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, TrainingLength } from '../adapterMethod.js';
import type { Pairs } from '../adapterPairs.js';
import { perturbationsOfB } from '../fullGradient.js';
import { constantNoise, type NoiseSchedule } from '../objectives/schedules.js';
import {
  type AuxiliaryRule,
  auxiliaryLora,
  mapLayers,
  requireBelowOne,
  requirePositive,
} from './auxiliary.js';
import { adapterDropout, type LoraOptions, type LoraPart } from './lora.js';

/** Ê [m, r], the running average of B's perturbation. */
export type EfmLoraPart = 'auxiliaryB';

export interface EfmLoraOptions extends LoraOptions {
  /** ρ > 0; 0.05 by default, as in the authors' code (the paper has 0.05 to 0.2 by task). */
  readonly rho?: number;
  /** β in (0, 1), the weight of the newest perturbation; 0.9 by default, as in the authors' code. */
  readonly beta?: number;
  /** ρ_t/ρ along training; constant by default, as in the authors' code. */
  readonly schedule?: NoiseSchedule;
  /** δ of the pseudo-inverses; 1e-6 by default (our choice, see `fullGradient.ts`). */
  readonly damping?: number;
}

interface Settings {
  readonly rho: number;
  readonly beta: number;
  readonly scale: number;
  readonly schedule: NoiseSchedule;
  readonly damping: number;
}

const averaging = (
  { rho, beta, scale, schedule, damping }: Settings,
  { totalSteps }: TrainingLength,
): AuxiliaryRule => ({
  stateSize: 0,
  init: () => [],
  next: ({ params, gradients, context: { step } }) => {
    const progress = min(1, div(convert(step, 'float'), totalSteps));
    const where = mapLayers(
      ({ a, b, auxiliaryB }) => ({ a: a as Value, b: add(b as Value, auxiliaryB as Value) }),
      params,
    );
    const newest = perturbationsOfB(where as unknown as Pairs, gradients as unknown as Pairs, {
      rho: mul(rho, schedule(progress)),
      scale,
      damping,
    });
    const weight = select(equal(step, 0), 1, beta);
    return {
      auxiliary: mapLayers(
        ({ auxiliaryB }, path) => ({
          auxiliaryB: add(
            mul(sub(1, weight), auxiliaryB as Value),
            mul(weight, newest[path] as Value),
          ),
        }),
        params,
      ),
      state: [],
    };
  },
});

/**
 * EFMLoRA on the target modules of a tree of weights. Its time is LoRA's and a few products of the
 * size of A and B.
 *
 * @throws FlatloraError 'argument' when ρ, β or the damping is out of range.
 */
export function efmLora({
  rho = 0.05,
  beta = 0.9,
  schedule = constantNoise,
  damping = 1e-6,
  ...options
}: EfmLoraOptions): AdapterMethod<LayerAdapters<LoraPart | EfmLoraPart>> {
  requirePositive('efmLora', 'rho', rho);
  requirePositive('efmLora', 'damping', damping);
  requirePositive('efmLora', 'beta', beta);
  requireBelowOne('efmLora', 'beta', beta);
  const { rank = 8, alpha = 16, dropout = 0 } = options;
  const scale = alpha / rank;
  return auxiliaryLora<EfmLoraPart>({
    name: 'efm-lora',
    lora: options,
    shapes: ([m], r) => ({ auxiliaryB: [m, r] }),
    perturbed: ({ name, frozen }, { a, b, auxiliaryB }, context) =>
      lowRankSum(frozen, {
        a,
        b: add(b, stopGradient(auxiliaryB)),
        scale,
        onInput: adapterDropout(dropout, name, context),
      }),
    rule: (_, run) => averaging({ rho, beta, scale, schedule, damping }, run),
  });
}
