/**
 * Losses and their transformers: the one contract that models, Flat-LoRA and training share.
 *
 * A loss is a traceable function of parameters and a batch. Methods such as `flat` or `sam` take a
 * loss and give a loss of the same type, so they compose; what a loss needs besides its two arguments
 * (keys, how far training is, the hook that changes weights) comes in a `LossContext`.
 */
import { getMonoid } from 'fp-ts/lib/Endomorphism.js';
import type { Monoid } from 'fp-ts/lib/Monoid.js';
import type { Value } from '../core/value.js';
import { constant, scalar } from '../primitives/source.js';
import { key } from '../random/keys.js';
import type { Weight } from './linearOperator.js';

/** Whether an adapter stands on a weight or the weight is used as it was pre-trained. */
export type WeightRole = 'adapted' | 'frozen';

/** What a loss may use besides parameters and data. */
export interface LossContext {
  /** Key of this optimisation step, uint[2]: the same for all micro-batches of the step. */
  readonly stepKey: Value;
  /** Key of this micro-batch, uint[2] (dropout). */
  readonly sampleKey: Value;
  /** t/T: how far training is, 0 at the first step, 1 at the end (float[]). */
  readonly progress: Value;
  /** Whether regularisers such as dropout and noise are on. */
  readonly training: boolean;
  /**
   * What stands between an effective weight matrix and the model: the hook through which loss
   * transformers such as `flat` and full-space `sam` change the weights that the model sees.
   */
  readonly weight: (weight: Weight, name: string, role: WeightRole) => Weight;
  /** The same for what is no matrix: biases, norm scales, class tokens. */
  readonly vector: (x: Value, name: string) => Value;
}

/** A traceable loss: parameters and a batch to a scalar. */
export type Loss<P, X> = (params: P, batch: X, context: LossContext) => Value;

/** From a loss to a loss of the same type. */
export type LossTransformer<P, X> = (loss: Loss<P, X>) => Loss<P, X>;

/** The hooks that change nothing. */
export const identityHooks: Pick<LossContext, 'weight' | 'vector'> = {
  weight: (weight) => weight,
  vector: (x) => x,
};

/**
 * The context in which a model is evaluated: identity hooks, regularisers off, the end of training.
 * Its keys are constants, for nothing random may happen during evaluation.
 */
export function evaluationContext(): LossContext {
  const unused = constant(key(0));
  return {
    stepKey: unused,
    sampleKey: unused,
    progress: scalar(1),
    training: false,
    ...identityHooks,
  };
}

/**
 * Loss transformers under composition: `concat(f, g)` applies `f` first, then `g`, as
 * `pipe(loss, f, g)` does; `empty` is the identity.
 */
export const lossTransformerMonoid = <P, X>(): Monoid<LossTransformer<P, X>> =>
  getMonoid<Loss<P, X>>();
