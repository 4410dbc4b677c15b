/**
 * Attention as one fused primitive (`transforms/fused.ts`): softmax(scale·q·kᵀ)·v over what the masks
 * leave. The T×S scores lie between its operands and results, so a backend that runs it as one kernel
 * never writes them to memory; the second result, one number a query, is what the backward pass needs
 * to compute them again.
 *
 * Dao, Fu, Ermon, Rudra, Ré, "FlashAttention", 2022; Dao, "FlashAttention-2", 2023.
 */
import * as E from 'fp-ts/lib/Either.js';
import { aval } from '../core/aval.js';
import { apply, type Primitive, type Value } from '../core/value.js';
import { fused } from '../transforms/fused.js';
import { attentionBackwardPrimitive } from './attentionBackward.js';
import {
  type AttentionParams,
  type AttentionSizes,
  attentionSizes,
  besideScores,
  maskedScores,
  rowsTimesColumns,
  withLeadingBatch,
} from './attentionScores.js';
import { add, div, exp, log, mul, stopGradient, sub } from './elementwise.js';
import { reduceMax, reduceSum } from './reduce.js';

export type { AttentionParams } from './attentionScores.js';

export const attentionPrimitive: Primitive<AttentionParams> = fused<AttentionParams>({
  name: 'attention',
  doc: 'Of q [b…,T,d], k [b…,S,d], v [b…,S,e] and perhaps mask bool[b…,T,S]: softmax(scale·q·kᵀ)·v [b…,T,e] over the keys that the mask and causal order (key ≤ query) leave, zeros for a query that sees none; and ln Σ exp of the scores [b…,T].',
  shape: (operands) =>
    E.map(({ batch, queries, width }: AttentionSizes) => [
      aval([...batch, queries, width], 'float'),
      aval([...batch, queries], 'float'),
    ])(attentionSizes('attention', operands.slice(0, 3), operands[3])),
  definition: ([q, k, v, mask], params) => {
    const { scores, zeroHidden } = maskedScores(q as Value, k as Value, mask, params);
    const keys = scores.shape.at(-1) as number;
    // The greatest score as a constant is the usual guard against overflow.
    const greatest = stopGradient(reduceMax(scores, -1));
    const e = exp(sub(scores, besideScores(greatest, keys)));
    const sum = reduceSum(e, -1);
    const weights = zeroHidden(div(e, besideScores(sum, keys)));
    return [rowsTimesColumns(weights, v as Value), add(greatest, log(sum))];
  },
  vjp: ({ inputs, outputs, cotangents, params }) => {
    const [q, k, v, ...mask] = inputs as readonly [Value, Value, Value];
    const [out, logSumExp] = outputs as readonly [Value, Value];
    const [dOut, dLogSumExp] = cotangents as readonly [Value, Value];
    const shift = sub(reduceSum(mul(dOut, out), -1), dLogSumExp);
    const operands = [q, k, v, logSumExp, dOut, shift, ...mask];
    return [...apply(attentionBackwardPrimitive, operands, params), ...mask.map(() => undefined)];
  },
  batch: (args) => apply(attentionPrimitive, withLeadingBatch(args), args.params),
});

export interface FusedAttentionOptions extends AttentionParams {
  /** bool[b…,T,S], true where a query may look. */
  readonly mask?: Value | undefined;
}

/**
 * softmax(scale·q·kᵀ)·v for operands with any number of equal leading axes.
 *
 * @param q [b…,T,d]
 * @param k [b…,S,d]
 * @param v [b…,S,e]
 * @returns `out` [b…,T,e], zeros for a query that sees no key, and `logSumExp` [b…,T] of its scores
 *   (about −10⁹ for such a query).
 * @throws FlatloraError where the shapes do not fit.
 */
export function fusedAttention(
  q: Value,
  k: Value,
  v: Value,
  { scale, causal, mask }: FusedAttentionOptions,
): { readonly out: Value; readonly logSumExp: Value } {
  const operands = [q, k, v, ...(mask === undefined ? [] : [mask])];
  const [out, logSumExp] = apply(attentionPrimitive, operands, { scale, causal });
  return { out: out as Value, logSumExp: logSumExp as Value };
}
