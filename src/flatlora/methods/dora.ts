/**
 * DoRA: the length of each output row and its direction are trained apart.
 *
 *     W′ = μ ⊙_row (W + s·B·A) / ‖W + s·B·A‖_row,   μ ∈ R^m
 *
 * μ starts at ‖W‖_row and B at zero, so training starts at the pre-trained model. The norm is taken as
 * a constant of the differentiation by default (Section 4.3 of the DoRA paper; PEFT and the authors'
 * code do so), which spares a part of the backward pass.
 *
 * - The norms come from A and B without the matrix being formed (see `lowRankSum`).
 * - Under `flat` the rows of the effective W′ are what the noise is in proportion to: ‖W′_i‖ = |μ_i|.
 * - Dropout falls on the input of A alone, as in LoRA; PEFT drops it for what μ changes of W x too.
 * - A row of W that is zero stays zero, since μ is; PEFT's is NaN.
 *
 * Reference: Liu et al., "DoRA: Weight-decomposed low-rank adaptation", ICML 2024, Eqs. 5 and 11.
 */
import {
  div,
  gt,
  type HostArray,
  hostArray,
  lowRankSum,
  scaledLowRankSum,
  select,
  sqrt,
  stopGradient,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { hostLowRankSum, hostRowNormsSquared, numbersOf, storageLike } from '../hostMatrix.js';
import { layerwise } from '../layerwise.js';
import { adapterDropout, checkLora, type LoraOptions, type LoraPart, loraLayer } from './lora.js';

/** The trained arrays of a layer: A [r, n], B [m, r] and the rows' lengths μ [m]. */
export type DoraPart = LoraPart | 'magnitude';

export interface DoraOptions extends LoraOptions {
  /** Whether the norm gets no gradient; true by default (Eq. 11). */
  readonly normDetached?: boolean;
}

/** The factor μ/‖V‖ of each row V of W + s·B·A; μ itself where the row is zero. */
const rowFactors = (magnitude: Value, normsSquared: Value, detached: boolean): Value => {
  const norms = sqrt(select(gt(normsSquared, 0), normsSquared, 1));
  return div(magnitude, detached ? stopGradient(norms) : norms);
};

/** ‖W_i‖ of each row, in the precision of W (float32 for half precision). */
function hostRowNorms(weight: HostArray): HostArray {
  const squares = numbersOf(hostRowNormsSquared(weight));
  const norms = storageLike(numbersOf(weight), squares.length);
  squares.forEach((x, i) => {
    norms[i] = Math.sqrt(x);
  });
  return hostArray(norms, [squares.length]);
}

/** Row i times `factor(i)`. */
function hostScaledRows(weight: HostArray, factor: (row: number) => number): HostArray {
  const n = weight.shape[1] as number;
  const data = numbersOf(weight);
  const out = storageLike(data, data.length);
  data.forEach((x, i) => {
    out[i] = x * factor(Math.floor(i / n));
  });
  return hostArray(out, weight.shape);
}

/** DoRA of one weight matrix. */
export function doraLayer({ normDetached = true, ...options }: DoraOptions): LayerMethod<DoraPart> {
  const { rank = 8, alpha = 16, dropout = 0 } = options;
  const lora = loraLayer(options);
  const scale = alpha / rank;
  return {
    name: 'dora',
    targetModules: options.targetModules,
    check: (path, shape) => checkLora(path, shape, { rank, alpha, dropout }),
    shapes: ([m, n]) => ({ ...lora.shapes([m, n]), magnitude: [m] }),
    init: (weight, key, path) => ({
      adapter: { ...lora.init(weight, key, path).adapter, magnitude: hostRowNorms(weight) },
    }),
    effective: ({ name, frozen }, { a, b, magnitude }, context) => {
      const update = { a, b, scale, onInput: adapterDropout(dropout, name, context) };
      const normsSquared = lowRankSum(frozen, update).rowNormsSquared();
      return scaledLowRankSum(frozen, update, rowFactors(magnitude, normsSquared, normDetached));
    },
    learningRates: { a: 1, b: 1, magnitude: 1 },
    merge: (weight, { a, b, magnitude }) => {
      const sum = hostLowRankSum(weight, a, b, scale);
      const [mu, norms] = [numbersOf(magnitude), numbersOf(hostRowNorms(sum))];
      return hostScaledRows(sum, (i) => (mu[i] as number) / (norms[i] || 1));
    },
    savedNames: { a: 'lora_A.weight', b: 'lora_B.weight', magnitude: 'lora_magnitude_vector' },
  };
}

/** DoRA on the target modules of a tree of weights. */
export const dora = (options: DoraOptions): AdapterMethod<LayerAdapters<DoraPart>> =>
  layerwise(doraLayer(options));
