/** Multi-head attention. Vaswani et al., "Attention is all you need", 2017. */
import {
  add,
  broadcastTo,
  FlatloraError,
  fusedAttention,
  type HostArray,
  type Key,
  matmul,
  moveAxis,
  mul,
  reshape,
  showAval,
  softmax,
  split,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import { maskedScores } from '../../autodiff/primitives/attentionScores.js';
import type { MatrixOf, MaybeKey } from '../weights.js';
import { dropout } from './dropout.js';
import { initLinear, type LinearWeights, linear } from './linear.js';
import { type NormWeights, rmsNorm } from './norm.js';

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

/** Bool [b, S] or [b, T, S] as [b, rows, S], rows being 1 or T. */
function rowsOfMask(mask: Value, queries: number, keys: number): Value {
  const { dtype, shape } = mask;
  const perQuery = shape.length === 3;
  const fits = shape.at(-1) === keys && (shape.length === 2 || (perQuery && shape[1] === queries));
  if (dtype !== 'bool' || !fits) {
    throw new FlatloraError(
      dtype === 'bool' ? 'shape' : 'dtype',
      `attention: mask is ${showAval(mask)}, expected bool[batch,${keys}] or bool[batch,${queries},${keys}]`,
    );
  }
  return perQuery ? mask : reshape(mask, [shape[0] as number, 1, keys]);
}

/**
 * softmax(scale·q·kᵀ + bias)·v for each head, over what the masks leave.
 *
 * There may be fewer key heads G than query heads H (grouped-query attention; Ainslie et al. 2023):
 * query head h reads key head ⌊h/R⌋, R = H/G. Scores have axes [b, G, R, T, S]; keys and values are
 * broadcast along R, which only changes positions: they are never repeated in memory.
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
  { scale, causal = false, mask, bias, dropout: rate = 0, key }: ScoreOptions = {},
): Value {
  const [batch, queries, heads, d] = q.shape as readonly [number, number, number, number];
  const [, keys, groups] = k.shape as readonly [number, number, number];
  const perGroup = heads / groups;
  const lead = [batch, groups, perGroup];
  const byGroup = transpose(reshape(q, [batch, queries, groups, perGroup, d]), [0, 2, 3, 1, 4]);
  const shared = (x: Value): Value => {
    const width = x.shape[3] as number;
    const one = reshape(moveAxis(x, 2, 1), [batch, groups, 1, keys, width]);
    return broadcastTo(one, [...lead, keys, width]);
  };
  const seen = mask && rowsOfMask(mask, queries, keys);
  const whole: Operands = {
    q: byGroup,
    k: shared(k),
    v: shared(v),
    scale: scale ?? 1 / Math.sqrt(d),
    causal,
    mask:
      seen &&
      broadcastTo(reshape(seen, [batch, 1, 1, seen.shape[1] as number, keys]), [
        ...lead,
        queries,
        keys,
      ]),
  };
  // Bias and dropout act between the scores and their use, where the fused kernel has no place.
  const inside = bias !== undefined || (rate > 0 && key !== undefined);
  const mixed = inside
    ? composedAttention(whole, bias && reshape(bias, [groups, perGroup, queries, keys]), (w) =>
        dropout(rate, key, w),
      )
    : fusedAttention(whole.q, whole.k, whole.v, whole).out;
  return reshape(transpose(mixed, [0, 3, 1, 2, 4]), [batch, queries, heads, v.shape[3] as number]);
}

interface Operands {
  /** [b, G, R, T, d] */
  readonly q: Value;
  /** [b, G, R, S, d] */
  readonly k: Value;
  readonly v: Value;
  readonly scale: number;
  readonly causal: boolean;
  /** [b, G, R, T, S] */
  readonly mask: Value | undefined;
}

/** Attention with a bias [G, R, T, S] on the scores and something done to the weights. */
function composedAttention(
  { q, k, v, scale, causal, mask }: Operands,
  bias: Value | undefined,
  treat: (weights: Value) => Value,
): Value {
  const { scores, zeroHidden } = maskedScores(q, k, mask, { scale, causal });
  const weights = softmax(bias === undefined ? scores : add(scores, bias));
  return matmul(treat(zeroHidden(weights)), v);
}

export interface AttentionConfig {
  readonly width: number;
  readonly heads: number;
  /** Heads of keys and values; a divisor of `heads`. */
  readonly keyValueHeads: number;
  readonly headWidth: number;
  readonly biases: boolean;
  readonly attentionDropout: number;
  /** Whether scores are divided by √headWidth; they are by default. */
  readonly scaledScores?: boolean;
  /** Of the norms of queries and keys; 10⁻⁶ by default. */
  readonly normEpsilon?: number;
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
  /** RMS norm of each head's queries, [headWidth], where there is one (Qwen 3). */
  readonly queryNorm?: NormWeights<V>;
  /** The same of keys. */
  readonly keyNorm?: NormWeights<V>;
}

/** What queries look at: keys and values, each [b, S, keyValueHeads, headWidth]; keys are turned. */
export interface KeyValues<V = Value> {
  readonly keys: V;
  readonly values: V;
}

export interface AttentionInputs extends MaskOptions {
  /** What is looked at, [b, S, width]; the queries' own sequence by default. */
  readonly context?: Value;
  /** Puts others in the place of the context's keys and values: a cache with these written into it. */
  readonly remember?: ((fresh: KeyValues) => KeyValues) | undefined;
  /** Applied to queries and keys [b, T, heads, d] (rotary positions). */
  readonly rotate?: ((x: Value) => Value) | undefined;
  readonly key?: MaybeKey;
}

/**
 * Projections, attention over all heads, output projection: [b, T, width] → [b, T, width]; and the
 * keys and values that were looked at.
 */
export function attentionWithKeyValues(
  {
    heads,
    keyValueHeads,
    headWidth,
    attentionDropout,
    scaledScores = true,
    normEpsilon,
  }: AttentionConfig,
  weights: AttentionWeights,
  x: Value,
  {
    context = x,
    rotate = (y) => y,
    remember = (fresh) => fresh,
    key,
    ...masks
  }: AttentionInputs = {},
): { readonly out: Value; readonly keyValues: KeyValues } {
  const [batch, queries] = x.shape as readonly [number, number];
  const keys = context.shape[1] as number;
  const { queryNorm, keyNorm } = weights;
  const normed = (w: NormWeights | undefined, y: Value) =>
    w === undefined ? y : rmsNorm(w, y, normEpsilon);
  // Scaled early, where that joins the bias's addition, rather than on the larger scores.
  const scaled = (y: Value) => (scaledScores ? mul(y, 1 / Math.sqrt(headWidth)) : y);
  const inHeads = (y: Value) => reshape(y, [batch, queries, heads, headWidth]);
  const projected = linear(weights.query, x);
  const q =
    queryNorm === undefined
      ? inHeads(scaled(projected))
      : scaled(normed(queryNorm, inHeads(projected)));
  const kvShape = [batch, keys, keyValueHeads, headWidth];
  const keyValues = remember({
    keys: rotate(normed(keyNorm, reshape(linear(weights.key, context), kvShape))),
    values: reshape(linear(weights.value, context), kvShape),
  });
  const mixed = dotProductAttention(rotate(q), keyValues.keys, keyValues.values, {
    ...masks,
    scale: 1,
    dropout: attentionDropout,
    key,
  });
  const out = linear(weights.out, reshape(mixed, [batch, queries, heads * headWidth]));
  return { out, keyValues };
}

/** `attentionWithKeyValues`, of which only the result is wanted. */
export const attention = (...args: Parameters<typeof attentionWithKeyValues>): Value =>
  attentionWithKeyValues(...args).out;

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
