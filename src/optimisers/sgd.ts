/** Stochastic gradient descent, with momentum where wanted. */
import { add, mul, neg, type Value } from '../autodiff/index.js';
import { asSchedule, type Schedule } from './schedules.js';
import {
  chain,
  type GradientTransformation,
  mapTrees,
  requireFraction,
  requireNonNegative,
  stateless,
  zerosLikeParams,
} from './transformation.js';

export interface SgdOptions {
  readonly learningRate: number | Schedule;
  /** μ; 0, the default, keeps no state. */
  readonly momentum?: number;
  /** Looks one step ahead along the momentum; false by default. */
  readonly nesterov?: boolean;
  /** λ: λθ is added to the gradient, before the momentum; 0 by default. */
  readonly weightDecay?: number;
}

/** g + λθ: weight decay as the gradient of ½λ‖θ‖². */
const coupledDecay = (weightDecay: number): GradientTransformation =>
  stateless((gradients, params) =>
    mapTrees(([g, p]) => add(g as Value, mul(weightDecay, p as Value)), gradients, params),
  );

/** b ← μb + g; gives b, or g + μb with Nesterov's look-ahead. */
const accumulateMomentum = (momentum: number, nesterov: boolean): GradientTransformation => ({
  stateSize: 1,
  init: (params) => [zerosLikeParams(params)],
  update: (gradients, [old]) => {
    const velocity = mapTrees(
      ([g, b]) => add(mul(momentum, b as Value), g as Value),
      gradients,
      old,
    );
    const updates = nesterov
      ? mapTrees(([g, b]) => add(g as Value, mul(momentum, b as Value)), gradients, velocity)
      : velocity;
    return { updates, state: [velocity] };
  },
});

/** −η times the updates: the end of an optimiser. */
export const descend = (learningRate: number | Schedule): GradientTransformation => {
  const rate = asSchedule(learningRate);
  return {
    ...stateless((updates, _, { step }) => {
      const factor = neg(rate.traced(step));
      return mapTrees(([u]) => mul(factor, u as Value), updates);
    }),
    learningRate: rate,
  };
};

/** θ ← θ − η b, b the momentum of g + λθ; equal to `torch.optim.SGD` without dampening. */
export function sgd({
  learningRate,
  momentum = 0,
  nesterov = false,
  weightDecay = 0,
}: SgdOptions): GradientTransformation {
  requireFraction('sgd', 'momentum', momentum);
  requireNonNegative('sgd', 'weightDecay', weightDecay);
  return chain(
    ...(weightDecay > 0 ? [coupledDecay(weightDecay)] : []),
    ...(momentum > 0 ? [accumulateMomentum(momentum, nesterov)] : []),
    descend(learningRate),
  );
}
