/**
 * The backward pass of attention as one fused primitive. With the weights P = exp(s − logSumExp)
 * computed again from the scores s = scale·q·kᵀ:
 *
 *     dS = P ∘ (dOut·vᵀ − shift),  dq = scale·dS·k,  dk = scale·dSᵀ·q,  dv = Pᵀ·dOut
 *
 * `shift` is the row sum of dOut ∘ out, less the cotangent of logSumExp.
 */
import * as E from 'fp-ts/lib/Either.js';
import { type Aval, aval, showAval } from '../core/aval.js';
import { fail } from '../core/errors.js';
import { apply, type Primitive, type Value } from '../core/value.js';
import { fused } from '../transforms/fused.js';
import {
  type AttentionParams,
  attentionSizes,
  besideScores,
  columnsTimesColumns,
  maskedScores,
  rowsTimesColumns,
  rowsTimesRows,
  scaled,
  withLeadingBatch,
} from './attentionScores.js';
import { exp, mul, sub } from './elementwise.js';

export const attentionBackwardPrimitive: Primitive<AttentionParams> = fused<AttentionParams>({
  name: 'attentionBackward',
  doc: 'dq, dk, dv of `attention` from q, k, v, logSumExp [b…,T], dOut [b…,T,e], shift [b…,T] = Σ dOut∘out − dLogSumExp, and perhaps the mask.',
  shape: ([q, k, v, logSumExp, dOut, shift, mask]) => {
    const operands = [q, k, v] as readonly Aval[];
    const sizes = attentionSizes('attentionBackward', operands, mask);
    if (E.isLeft(sizes)) return sizes;
    const { batch, queries, width } = sizes.right;
    const rows = aval([...batch, queries], 'float');
    const wanted = [rows, aval([...rows.shape, width], 'float'), rows].map(showAval);
    const given = [logSumExp, dOut, shift].map((x) => (x === undefined ? 'missing' : showAval(x)));
    return given.join() === wanted.join()
      ? E.right(operands)
      : fail(
          'shape',
          `attentionBackward: logSumExp, dOut, shift are ${given.join(', ')}, expected ${wanted.join(', ')}`,
        );
  },
  definition: (inputs, params) => {
    const [q, k, v, logSumExp, dOut, shift] = inputs as readonly [
      Value,
      Value,
      Value,
      Value,
      Value,
      Value,
    ];
    const keys = k.shape.at(-2) as number;
    const { scores, zeroHidden } = maskedScores(q, k, inputs[6], params);
    const weights = zeroHidden(exp(sub(scores, besideScores(logSumExp, keys))));
    const dScores = mul(weights, sub(rowsTimesRows(dOut, v), besideScores(shift, keys)));
    return [
      scaled(rowsTimesColumns(dScores, k), params.scale),
      columnsTimesColumns(dScores, scaled(q, params.scale)),
      columnsTimesColumns(weights, dOut),
    ];
  },
  batch: (args) => apply(attentionBackwardPrimitive, withLeadingBatch(args), args.params),
});
