/**
 * BAR, balancedness-aware regularisation: what SAM does to the balance of two factors, without SAM.
 *
 * SAM on a product of two factors drives their norms towards each other (or by the ratio of their
 * gradients, where they enter as x yᵀ). BAR does this directly: before each optimiser step, in each
 * layer, with learning rate η_t and strength a_t,
 *
 *     one factor ← (1 + a_t η_t) · factor,   the other ← (1 − a_t η_t) · factor
 *
 *     nBAR grows the factor with the greater gradient norm (ties: A);
 *     oBAR shrinks the factor with the greater norm (ties: A).
 *
 * The gradient is that of before; the optimiser's own decay sees the rescaled factors.
 *
 * Reference: Li, Zhang & He, "Implicit regularization of sharpness-aware minimization for
 * scale-invariant problems", NeurIPS 2024, Algorithms 2 and 3.
 */
import {
  add,
  FlatloraError,
  lt,
  mul,
  reduceSum,
  select,
  square,
  sub,
  type Value,
} from '../../autodiff/index.js';
import {
  asSchedule,
  type GradientTransformation,
  type OptimiserState,
  type Schedule,
  type UpdateContext,
} from '../../optimisers/index.js';
import { mapTrees } from '../../optimisers/transformation.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { type Pair, requirePairs } from '../adapterPairs.js';
import { layerwise } from '../layerwise.js';
import { type LoraOptions, type LoraPart, loraLayer } from './lora.js';

export interface BalanceOptions {
  readonly variant: 'nbar' | 'obar';
  /** a_t ≥ 0, perhaps decreasing; 0.5 by default (the BAR paper searches 0.2, 0.5, 1, 2). */
  readonly strength?: number | Schedule;
  /** η_t; that of the inner optimiser by default. */
  readonly learningRate?: number | Schedule;
}

const sumOfSquares = (x: Value): Value => reduceSum(square(x));

/**
 * An optimiser that balances A and B before each step of another one.
 * @throws FlatloraError 'argument' when neither options nor inner optimiser tell a learning rate;
 *   'tree' when a layer's parameters are no pair of A and B.
 */
export function balanced(
  inner: GradientTransformation,
  { variant, strength = 0.5, learningRate = inner.learningRate }: BalanceOptions,
): GradientTransformation {
  if (variant !== 'nbar' && variant !== 'obar') {
    throw new FlatloraError('argument', `bar: variant is "${variant}", expected "nbar" or "obar"`);
  }
  if (typeof strength === 'number' && !(strength >= 0 && Number.isFinite(strength))) {
    throw new FlatloraError(
      'argument',
      `${variant}: strength is ${strength}, expected a number ≥ 0`,
    );
  }
  if (learningRate === undefined) {
    throw new FlatloraError(
      'argument',
      `${variant}: the inner optimiser tells no learning rate, expected the option learningRate`,
    );
  }
  const [amount, rate] = [asSchedule(strength), asSchedule(learningRate)];
  return {
    ...inner,
    init: (params) => inner.init(requirePairs(variant, params)),
    update: <P>(gradients: P, state: OptimiserState, params: P, context: UpdateContext) => {
      const slopes = requirePairs<Value>(variant, gradients);
      const change = mul(amount.traced(context.step), rate.traced(context.step));
      const rescaled = Object.fromEntries(
        Object.entries(requirePairs<Value>(variant, params)).map(([path, { a, b }]) => {
          const { a: da, b: db } = slopes[path] as Pair;
          // `lt` is false at ties: then nBAR grows A, and oBAR shrinks it.
          const forA =
            variant === 'nbar'
              ? select(lt(sumOfSquares(da), sumOfSquares(db)), mul(-1, change), change)
              : select(lt(sumOfSquares(a), sumOfSquares(b)), change, mul(-1, change));
          return [path, { a: mul(a, add(1, forA)), b: mul(b, sub(1, forA)) }];
        }),
      ) as P;
      const { updates, state: next } = inner.update(gradients, state, rescaled, context);
      return {
        updates: mapTrees(
          ([u, after, before]) => add(u as Value, sub(after as Value, before as Value)),
          updates,
          rescaled,
          params,
        ),
        state: next,
      };
    },
  };
}

export interface BarOptions extends LoraOptions, Omit<BalanceOptions, 'variant'> {}

const barLayer =
  (variant: BalanceOptions['variant']) =>
  ({ strength, learningRate, ...options }: BarOptions): LayerMethod<LoraPart> => ({
    ...loraLayer(options),
    name: variant,
    optimiser: (inner) =>
      balanced(inner, {
        variant,
        ...(strength !== undefined && { strength }),
        ...(learningRate !== undefined && { learningRate }),
      }),
  });

/** nBAR of one weight matrix: LoRA but for the optimiser. */
export const nbarLayer = barLayer('nbar');

/** oBAR of one weight matrix: LoRA but for the optimiser. */
export const obarLayer = barLayer('obar');

/** LoRA balanced by the norms of the gradients of A and B. */
export const nbar = (options: BarOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(nbarLayer(options));

/** LoRA balanced by the norms of A and B. */
export const obar = (options: BarOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(obarLayer(options));
