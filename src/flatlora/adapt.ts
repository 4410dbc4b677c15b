/**
 * From a loss of weights to a loss of adapters: θ ↦ L(W(θ)).
 *
 *     pipe(
 *       taskLoss,                                          // Loss<Weights, Batch>
 *       adapt(base, lora({ targetModules: ['query'] })),   // Loss<Adapters, Batch>
 *       flat({ sigma: 0.05 }),                             // the same type
 *     )
 */
import {
  add,
  asOperator,
  evaluationContext,
  type Loss,
  type LossContext,
  type MapLeaves,
  orThrow,
  type Value,
} from '../autodiff/index.js';
import type { AdapterMethod } from './adapterMethod.js';

/**
 * Puts a method's effective weights in the place of the weights, and in training adds what the method
 * wants to be small (`penalty`).
 *
 * The frozen weights are constants of the differentiation: the gradient of LoRA's factors follows
 * the low-rank path, and no array of the shape of a frozen weight's gradient is formed.
 *
 * @param base the frozen weights: host arrays, which become constants of the program, or values of
 *   the program that is being traced. Matrices may be in half precision (`storeAs` of the models);
 *   they are widened in the products that read them, and everything else is as with float weights.
 * @throws FlatloraError when the method does not fit the base (unknown target, rank out of range).
 */
export function adapt<H>(
  base: unknown,
  method: AdapterMethod<H>,
): <W, X>(loss: Loss<W, X>) => Loss<MapLeaves<H, Value>, X> {
  const effective = orThrow(method.effective(base));
  return <W, X>(loss: Loss<W, X>): Loss<MapLeaves<H, Value>, X> =>
    (adapters, batch, context) => {
      const value = loss(effective(adapters, context) as W, batch, context);
      return method.penalty === undefined || !context.training
        ? value
        : add(value, method.penalty(adapters));
    };
}

/**
 * The merged weights W′ inside a program: a tree of plain arrays like the base. (On the host:
 * `method.merge`.)
 */
export function mergeTraced<H>(
  base: unknown,
  method: AdapterMethod<H>,
): (adapters: MapLeaves<H, Value>) => unknown {
  const effective = orThrow(method.effective(base));
  const context: LossContext = {
    ...evaluationContext(),
    weight: (weight) => asOperator(weight).dense(),
  };
  return (adapters) => effective(adapters, context);
}
