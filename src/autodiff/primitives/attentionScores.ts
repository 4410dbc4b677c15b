/** What attention and its backward pass share: operand shapes and masked scores. */
import * as E from 'fp-ts/lib/Either.js';
import { type Aval, range, type Shape, sameShape, showAval } from '../core/aval.js';
import { fail, type Result } from '../core/errors.js';
import { type BatchArguments, bind, type Value } from '../core/value.js';
import { dot } from './dot.js';
import { add, lt, mul, select } from './elementwise.js';
import { iota } from './source.js';
import { broadcastPrimitive, broadcastTo } from './structural.js';

export interface AttentionParams {
  /** Factor of the scores q·kᵀ; usually 1/√d. */
  readonly scale: number;
  /** Query i sees the keys 0 … i only. */
  readonly causal: boolean;
}

/** Sizes of attention: `batch` stands for any number of leading axes. */
export interface AttentionSizes {
  readonly batch: Shape;
  /** T */
  readonly queries: number;
  /** S */
  readonly keys: number;
  /** d, of queries and keys */
  readonly depth: number;
  /** e, of values */
  readonly width: number;
}

/** Stands for −∞ in masked scores: exp of it is 0, and no difference of two of them is NaN. */
const MASKED = -1e9;

const isFloatOf = (x: Aval | undefined, shape: Shape): boolean =>
  x !== undefined && x.dtype === 'float' && sameShape(x.shape, shape);

/** The sizes of q [...B,T,d], k [...B,S,d], v [...B,S,e] and perhaps mask bool[...B,T,S]. */
export function attentionSizes(
  name: string,
  [q, k, v]: readonly Aval[],
  mask: Aval | undefined,
): Result<AttentionSizes> {
  const batch = q?.shape.slice(0, -2) ?? [];
  const [queries = -1, depth = -1] = q?.shape.slice(-2) ?? [];
  const [keys = -1, width = -1] = v?.shape.slice(-2) ?? [];
  const fits =
    isFloatOf(q, [...batch, queries, depth]) &&
    isFloatOf(k, [...batch, keys, depth]) &&
    isFloatOf(v, [...batch, keys, width]);
  if (!fits) {
    const given = [q, k, v].map((x) => (x ? showAval(x) : 'missing')).join(', ');
    return fail(
      'shape',
      `${name}: q, k, v are ${given}, expected float[b…,T,d], float[b…,S,d], float[b…,S,e]`,
    );
  }
  const seen = [...batch, queries, keys];
  if (mask !== undefined && !(mask.dtype === 'bool' && sameShape(mask.shape, seen))) {
    return fail(
      'shape',
      `${name}: mask is ${showAval(mask)}, expected ${showAval({ shape: seen, dtype: 'bool' })}`,
    );
  }
  return E.right({ batch, queries, keys, depth, width });
}

/** Σₖ over the last axis of both operands: [...B,m,k] · [...B,n,k] → [...B,m,n]. */
export const rowsTimesRows = (a: Value, b: Value): Value => product(a, b, 1, 1);

/** [...B,m,k] · [...B,k,n] → [...B,m,n] */
export const rowsTimesColumns = (a: Value, b: Value): Value => product(a, b, 1, 0);

/** [...B,k,m] · [...B,k,n] → [...B,m,n] */
export const columnsTimesColumns = (a: Value, b: Value): Value => product(a, b, 0, 0);

function product(a: Value, b: Value, contractA: 0 | 1, contractB: 0 | 1): Value {
  const lead = range(a.shape.length - 2);
  const contract = [[lead.length + contractA], [lead.length + contractB]] as const;
  return dot(a, b, { contract, batch: [lead, lead] });
}

export const scaled = (x: Value, scale: number): Value => (scale === 1 ? x : mul(x, scale));

/** A row's number beside each of its scores: [...B,T] → [...B,T,S]. */
export const besideScores = (x: Value, keys: number): Value =>
  bind(broadcastPrimitive, [x], { shape: [...x.shape, keys], axes: range(x.shape.length) });

/**
 * Scores scale·q·kᵀ [...B,T,S] where mask and causal order leave them, −10⁹ elsewhere; and what sets
 * weights made of them to 0 elsewhere. Only with a mask can a query see no key at all, and then its
 * scores are all alike and the weights would look everywhere evenly.
 */
export function maskedScores(
  q: Value,
  k: Value,
  mask: Value | undefined,
  { scale, causal }: AttentionParams,
): { readonly scores: Value; readonly zeroHidden: (weights: Value) => Value } {
  const products = rowsTimesRows(scaled(q, scale), k);
  const order = products.shape.slice(-2);
  const masks = [
    ...(mask === undefined ? [] : [mask]),
    ...(causal ? [lt(iota(order, 1), add(iota(order, 0), 1))] : []),
  ];
  const hide = (x: Value, by: number) => masks.reduce((y, shown) => select(shown, y, by), x);
  return {
    scores: hide(products, MASKED),
    zeroHidden: (weights) => (mask === undefined ? weights : hide(weights, 0)),
  };
}

/** A batch is one more leading axis: every operand gets it. */
export const withLeadingBatch = ({ inputs, batched, size }: BatchArguments<unknown>): Value[] =>
  inputs.map((x, i) => (batched[i] ? x : broadcastTo(x, [size, ...x.shape])));
