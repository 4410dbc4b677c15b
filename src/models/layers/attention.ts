/** Multi-head attention. Vaswani et al., "Attention is all you need", 2017. */
import {
  add,
  dot,
  FlatloraError,
  type HostArray,
  iota,
  type Key,
  lt,
  moveAxis,
  mul,
  reshape,
  type Shape,
  select,
  showAval,
  softmax,
  split,
  type Value,
} from '../../autodiff/index.js';
import type { MatrixOf, MaybeKey } from '../weights.js';
import { dropout } from './dropout.js';
import { initLinear, type LinearWeights, linear } from './linear.js';

export interface MaskOptions {
  /** Query i sees the keys 0 … i only. */
  readonly causal?: boolean | undefined;
  /**
   * Bool, true where a query may look: [b, S] for all queries (padding) or [b, T, S]. A query that
   * may look nowhere gets zeros.
   */
  readonly mask?: Value | undefined;
  /** Added to the scores: [heads, T, S]. */
  readonly bias?: Value | undefined;
}

export interface ScoreOptions extends MaskOptions {
  /** Factor of the scores; 1/√d by default. */
  readonly scale?: number;
  /** Dropout of the attention weights. */
  readonly dropout?: number;
  readonly key?: MaybeKey;
}

/** Stands for −∞ in masked scores: exp of it is 0, and no difference of two of them is NaN. */
const MASKED = -1e9;

/**
 * Query head h reads key head ⌊h/R⌋. Scores have axes [b, G, T, R, S], G key heads and R query heads
 * for each; where R is 1 its axis is left out. This puts a size at the place of that axis.
 */
const grouped =
  (perGroup: number) =>
  (before: Shape, size: number, after: number): Shape => [
    ...before,
    ...(perGroup === 1 ? [] : [size]),
    after,
  ];

/** The masks, in shapes that broadcast to those of the scores. */
function masksOf(
  { causal, mask }: MaskOptions,
  perGroup: number,
  queries: number,
  keys: number,
): readonly Value[] {
  const shaped = (m: Value, batch: number, rows: number) =>
    reshape(m, grouped(perGroup)([batch, 1, rows], 1, keys));
  const masks: Value[] = [];
  if (mask !== undefined) {
    const { dtype, shape } = mask;
    const perQuery = shape.length === 3;
    const fits =
      shape.at(-1) === keys && (shape.length === 2 || (perQuery && shape[1] === queries));
    if (dtype !== 'bool' || !fits) {
      throw new FlatloraError(
        dtype === 'bool' ? 'shape' : 'dtype',
        `attention: mask is ${showAval(mask)}, expected bool[batch,${keys}] or bool[batch,${queries},${keys}]`,
      );
    }
    masks.push(shaped(mask, shape[0] as number, perQuery ? queries : 1));
  }
  if (causal) {
    const order = lt(iota([queries, keys], 1), add(iota([queries, keys], 0), 1));
    masks.push(shaped(order, 1, queries));
  }
  return masks;
}

/** Bias [heads, T, S] with the scores' axes behind the batch. */
function groupedBias(bias: Value, groups: number, perGroup: number): Value {
  const [, queries, keys] = bias.shape as readonly [number, number, number];
  return perGroup === 1 ? bias : moveAxis(reshape(bias, [groups, perGroup, queries, keys]), 1, 2);
}

/**
 * softmax(scale·q·kᵀ + bias)·v for each head, over what the masks leave.
 *
 * There may be fewer key heads G than query heads H (grouped-query attention; Ainslie et al. 2023).
 * The R = H/G query heads of a group are one more free axis of the products, so keys and values are
 * never repeated in memory.
 *
 * @param q [b, T, H, d]
 * @param k [b, S, G, d]
 * @param v [b, S, G, d]
 * @returns [b, T, H, d]
 */
export function dotProductAttention(
  q: Value,
  k: Value,
  v: Value,
  { scale, dropout: rate = 0, key, ...options }: ScoreOptions = {},
): Value {
  const [batch, queries, heads, d] = q.shape as readonly [number, number, number, number];
  const [, keys, groups] = k.shape as readonly [number, number, number];
  const perGroup = heads / groups;
  const factor = scale ?? 1 / Math.sqrt(d);
  const rows = reshape(
    factor === 1 ? q : mul(q, factor),
    grouped(perGroup)([batch, queries, groups], perGroup, d),
  );
  const last = rows.shape.length - 1;
  const byHead: Shape = [0, 2];
  const products = dot(rows, k, { contract: [[last], [3]], batch: [byHead, byHead] });
  const { bias } = options;
  const scores = bias === undefined ? products : add(products, groupedBias(bias, groups, perGroup));

  const masks = masksOf(options, perGroup, queries, keys);
  const attended = softmax(masks.reduce((s, mask) => select(mask, s, MASKED), scores));
  // Where a mask hides a whole row, softmax alone would look everywhere evenly.
  const weights =
    options.mask === undefined ? attended : masks.reduce((w, mask) => select(mask, w, 0), attended);

  const mixed = dot(dropout(rate, key, weights), v, {
    contract: [[last], [1]],
    batch: [[0, 1], byHead],
  });
  return reshape(moveAxis(mixed, 1, 2), [batch, queries, heads, d]);
}

export interface AttentionConfig {
  readonly width: number;
  readonly heads: number;
  /** Heads of keys and values; a divisor of `heads`. */
  readonly keyValueHeads: number;
  readonly headWidth: number;
  readonly biases: boolean;
  readonly attentionDropout: number;
}

export interface AttentionWeights<V = Value, M = MatrixOf<V>> {
  /** [heads·headWidth, width] */
  readonly query: LinearWeights<V, M>;
  /** [keyValueHeads·headWidth, width] */
  readonly key: LinearWeights<V, M>;
  /** [keyValueHeads·headWidth, width] */
  readonly value: LinearWeights<V, M>;
  /** [width, heads·headWidth] */
  readonly out: LinearWeights<V, M>;
}

export interface AttentionInputs extends MaskOptions {
  /** What is looked at, [b, S, width]; the queries' own sequence by default. */
  readonly context?: Value;
  /** Applied to queries and keys [b, T, heads, d] (rotary positions). */
  readonly rotate?: ((x: Value) => Value) | undefined;
  readonly key?: MaybeKey;
}

/** Projections, attention over all heads, output projection: [b, T, width] → [b, T, width]. */
export function attention(
  { heads, keyValueHeads, headWidth, attentionDropout }: AttentionConfig,
  weights: AttentionWeights,
  x: Value,
  { context = x, rotate = (y) => y, key, ...masks }: AttentionInputs = {},
): Value {
  const [batch, queries] = x.shape as readonly [number, number];
  const keys = context.shape[1] as number;
  // Scaled here, where it joins the bias's addition, rather than on the larger scores.
  const q = mul(linear(weights.query, x), 1 / Math.sqrt(headWidth));
  const kvShape = [batch, keys, keyValueHeads, headWidth];
  const mixed = dotProductAttention(
    rotate(reshape(q, [batch, queries, heads, headWidth])),
    rotate(reshape(linear(weights.key, context), kvShape)),
    reshape(linear(weights.value, context), kvShape),
    { ...masks, scale: 1, dropout: attentionDropout, key },
  );
  return linear(weights.out, reshape(mixed, [batch, queries, heads * headWidth]));
}

export function initAttention(
  { width, heads, keyValueHeads, headWidth, biases: bias }: AttentionConfig,
  key: Key,
): AttentionWeights<HostArray> {
  const [kq, kk, kv, ko] = split(key, 4) as [Key, Key, Key, Key];
  const [inner, shared] = [heads * headWidth, keyValueHeads * headWidth];
  return {
    query: initLinear(kq, width, inner, { bias }),
    key: initLinear(kk, width, shared, { bias }),
    value: initLinear(kv, width, shared, { bias }),
    out: initLinear(ko, inner, width, { bias }),
  };
}
