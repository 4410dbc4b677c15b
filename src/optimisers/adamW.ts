/** AdamW: Adam with weight decay that is not part of the gradient. */
import { add, div, floats, mul, neg, sqrt, square, type Value } from '../autodiff/index.js';
import { asSchedule, type Schedule } from './schedules.js';
import {
  type GradientTransformation,
  mapTrees,
  requireFraction,
  requireNonNegative,
  zerosLikeParams,
} from './transformation.js';

export interface AdamWOptions {
  readonly learningRate: number | Schedule;
  /** Forgetting factor of the mean of gradients; 0.9 by default. */
  readonly beta1?: number;
  /** Forgetting factor of the mean of squared gradients; 0.999 by default. */
  readonly beta2?: number;
  /** Added to the root of the mean square; 1e-8 by default. */
  readonly epsilon?: number;
  /** λ: each step also shrinks the parameters by learning rate × λ; 0 by default. */
  readonly weightDecay?: number;
  /** Which parameters shrink, by their place in the tree; all by default. */
  readonly decays?: (path: string) => boolean;
}

interface AdamState {
  readonly mean: unknown;
  readonly meanSquare: unknown;
  /** The same averages of the number 1, which tell how far both are from having forgotten zero. */
  readonly meanWeight: Value;
  readonly squareWeight: Value;
}

/** β·old + (1 − β)·x, the exponential moving average. */
const average = (beta: number, old: Value, x: Value | number): Value =>
  add(mul(beta, old), mul(1 - beta, x));

/**
 * θ ← θ − η (m̂ / (√v̂ + ε) + λ θ), with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ) and m, v the moving
 * averages of g and g².
 *
 * 1 − βᵗ is the moving average of ones, and is kept as such: in float32 the power would lose four of
 * seven digits in the first steps.
 *
 * Reference: Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019; equal to
 * `torch.optim.AdamW`.
 */
export function adamW({
  learningRate,
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
  weightDecay = 0,
  decays = () => true,
}: AdamWOptions): GradientTransformation {
  requireFraction('adamW', 'beta1', beta1);
  requireFraction('adamW', 'beta2', beta2);
  requireNonNegative('adamW', 'epsilon', epsilon);
  requireNonNegative('adamW', 'weightDecay', weightDecay);
  const rate = asSchedule(learningRate);
  return {
    stateSize: 1,
    learningRate: rate,
    ...(weightDecay > 0 && { decay: { weightDecay, decays } }),
    init: (params) => [
      {
        mean: zerosLikeParams(params),
        meanSquare: zerosLikeParams(params),
        meanWeight: floats([0], []),
        squareWeight: floats([0], []),
      },
    ],
    update: (gradients, [state], params, { step }) => {
      const old = state as AdamState;
      const mean = mapTrees(
        ([g, m]) => average(beta1, m as Value, g as Value),
        gradients,
        old.mean,
      );
      const meanSquare = mapTrees(
        ([g, v]) => average(beta2, v as Value, square(g as Value)),
        gradients,
        old.meanSquare,
      );
      const meanWeight = average(beta1, old.meanWeight, 1);
      const squareWeight = average(beta2, old.squareWeight, 1);
      const descent = neg(rate.traced(step));
      const updates = mapTrees(
        ([m, v, p], path) => {
          const spread = add(sqrt(div(v as Value, squareWeight)), epsilon);
          const adam = div(div(m as Value, meanWeight), spread);
          const decay = weightDecay > 0 && decays(path);
          return mul(descent, decay ? add(adam, mul(weightDecay, p as Value)) : adam);
        },
        mean,
        meanSquare,
        params,
      );
      return { updates, state: [{ mean, meanSquare, meanWeight, squareWeight }] };
    },
  };
}
