/**
 * Bi-LoRA: SAM over a second low-rank pair that climbs while the first descends, in one backward pass.
 *
 *     min_{A₁,B₁} max_{‖B₂A₂‖_F ≤ ρ} L(W + s·B₁A₁ + B₂A₂)                              Eq. 8
 *     B₁, A₁ ← descent,  B₂, A₂ ← ascent, at the same gradient                          Eq. 9
 *     then B₂, A₂ ← √(ρ/c)·(B₂, A₂)  if  c = √(Σ_layers ‖B₂A₂‖_F²) > ρ                  Eq. 10
 *
 * The second pair is auxiliary: it is dropped at the end. A₂ starts as LoRA's A and B₂ at 0, so
 * training starts at the pre-trained model, and LoRA's norms of it are what `flat` perturbs by.
 *
 * Both pairs are updated by the user's optimiser, the second with the opposite gradient and a state of
 * its own: the paper uses one learning rate for both (Section 4.6), and says nothing of another
 * optimiser. Weight decay does not touch the second pair, whose size ρ alone decides. The paper leaves
 * out the scaling s; here the second pair has none, so that ρ is the size of what is added to W.
 *
 * Reference: Liu et al., "Bi-LoRA: Efficient sharpness-aware minimization for fine-tuning large-scale
 * models", ICLR 2026 (arXiv 2508.19564).
 */
import {
  add,
  div,
  FlatloraError,
  gt,
  type HostArray,
  lowRankSum,
  matmul,
  matmulTransposed,
  mul,
  neg,
  reduceSum,
  select,
  sqrt,
  transpose,
  type Value,
  zerosLike,
} from '../../autodiff/index.js';
import type { GradientTransformation } from '../../optimisers/index.js';
import type { AdapterMethod, LayerAdapters } from '../adapterMethod.js';
import { hostUniformMatrix } from '../hostMatrix.js';
import {
  type AuxiliaryRule,
  auxiliaryLora,
  type LayerTree,
  mapLayers,
  requirePositive,
  zeroArray,
} from './auxiliary.js';
import { type LoraOptions, type LoraPart, loraLayer } from './lora.js';

/** The second pair: A₂ [r₂, n] and B₂ [m, r₂]. */
export type BiLoraPart = 'auxiliaryA' | 'auxiliaryB';

export interface BiLoraOptions extends LoraOptions {
  /** ρ > 0; 0.05 by default (the paper's best on CoLA; 0.01 to 0.1 are alike there, Table A4). */
  readonly rho?: number;
  /** r₂, an integer ≥ 1; 8 by default (Section 4.6). */
  readonly auxiliaryRank?: number;
}

/** The second pairs under the names of the first, so that optimisers that know A and B know them. */
const secondPairs = <L>(tree: LayerTree<L>): LayerTree<L> =>
  mapLayers(({ auxiliaryA, auxiliaryB }) => ({ a: auxiliaryA as L, b: auxiliaryB as L }), tree);

/** ‖B A‖_F² = Σ (BᵀB) ∘ (A Aᵀ). */
const productNormSquared = (a: Value, b: Value): Value =>
  reduceSum(mul(matmul(transpose(b), b), matmulTransposed(a, a)));

/** Ascent of the second pairs, kept in the ball of radius ρ over all layers together. */
const climbing = (inner: GradientTransformation, rho: number): AuxiliaryRule => ({
  stateSize: inner.stateSize,
  init: (params) => inner.init(secondPairs<HostArray>(params)),
  next: ({ params, gradients, state, context }) => {
    const negated = (layer: Readonly<Record<string, Value>>) => ({
      a: neg(layer.a as Value),
      b: neg(layer.b as Value),
    });
    // Where the parameters are said to be zero there is nothing that weight decay could shrink.
    const nowhere = mapLayers(
      ({ a, b }) => ({ a: zerosLike(a as Value), b: zerosLike(b as Value) }),
      secondPairs(params),
    );
    const climbed = inner.update(
      mapLayers(negated, secondPairs(gradients)),
      state,
      nowhere,
      context,
    );
    const next = mapLayers(
      ({ auxiliaryA, auxiliaryB }, path) => ({
        a: add(auxiliaryA as Value, climbed.updates[path]?.a as Value),
        b: add(auxiliaryB as Value, climbed.updates[path]?.b as Value),
      }),
      params,
    );
    const size = sqrt(
      Object.values(next)
        .map(({ a, b }) => productNormSquared(a as Value, b as Value))
        .reduce((sum, term) => add(sum, term)),
    );
    const outside = gt(size, rho);
    const shrink = select(outside, sqrt(div(rho, select(outside, size, 1))), 1);
    return {
      auxiliary: mapLayers(
        ({ a, b }) => ({
          auxiliaryA: mul(a as Value, shrink),
          auxiliaryB: mul(b as Value, shrink),
        }),
        next,
      ),
      state: climbed.state,
    };
  },
});

/**
 * Bi-LoRA on the target modules of a tree of weights. It costs two low-rank paths, one gradient.
 *
 * @throws FlatloraError 'argument' when ρ or the auxiliary rank is out of range.
 */
export function biLora({
  rho = 0.05,
  auxiliaryRank = 8,
  ...options
}: BiLoraOptions): AdapterMethod<LayerAdapters<LoraPart | BiLoraPart>> {
  requirePositive('biLora', 'rho', rho);
  if (!(Number.isInteger(auxiliaryRank) && auxiliaryRank >= 1)) {
    throw new FlatloraError(
      'argument',
      `biLora: auxiliaryRank is ${auxiliaryRank}, expected an integer ≥ 1`,
    );
  }
  const layer = loraLayer(options);
  return auxiliaryLora<BiLoraPart>({
    name: 'bi-lora',
    lora: options,
    shapes: ([m, n]) => ({ auxiliaryA: [auxiliaryRank, n], auxiliaryB: [m, auxiliaryRank] }),
    start: ({ auxiliaryA, auxiliaryB }, key) => ({
      auxiliaryA: hostUniformMatrix(key, auxiliaryA, 1 / Math.sqrt(auxiliaryA[1] as number)),
      auxiliaryB: zeroArray(auxiliaryB),
    }),
    perturbed: (at, { auxiliaryA, auxiliaryB, ...pair }, context) =>
      lowRankSum(layer.effective(at, pair, context), { a: auxiliaryA, b: auxiliaryB, scale: 1 }),
    rule: (inner) => climbing(inner, rho),
  });
}
