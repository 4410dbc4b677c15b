/** The thin singular value decomposition, by QR and one-sided Jacobi rotations. */
import type { Value } from '../core/value.js';
import { matmul } from '../primitives/dot.js';
import { div, mul, sqrt } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import type { Operand } from '../primitives/source.js';
import { broadcastTo, reshape, transpose } from '../primitives/structural.js';
import { identity, scaleOf, stackOf } from './batch.js';
import { partnerColumns, rotations, sweeping, turnColumns } from './jacobi.js';
import { descending, orderColumns, orderValues } from './order.js';
import { thinQr } from './qr.js';
import type { JacobiOptions } from './symmetric.js';

/** A = U diag(s) Vᵀ, with k = min(m, n). */
export interface ThinSvd {
  /** U, [b…, m, k]: orthonormal columns. */
  readonly u: Value;
  /** s ≥ 0, [b…, k], the greatest first. */
  readonly s: Value;
  /** V, [b…, n, k]: orthonormal columns. */
  readonly v: Value;
}

/** Rotations W [L, n, n] that make the columns of x W orthogonal, and the lengths of these columns. */
function orthogonalise(x: Value, sweeps: number | undefined) {
  const [count, n] = x.shape as readonly [number, number, number];
  let columns = transpose(x, [1, 2, 0]);
  let turns = broadcastTo(reshape(identity(n), [n, n, 1]), [n, n, count]);
  for (const partners of sweeping('thinSvd', n, sweeps)) {
    const squares = reduceSum(mul(columns, columns), 0);
    const products = reduceSum(mul(columns, partnerColumns(columns, partners)), 0);
    const turn = rotations(squares, products, partners);
    columns = turnColumns(columns, turn, partners);
    turns = turnColumns(turns, turn, partners);
  }
  return {
    columns: transpose(columns, [2, 0, 1]),
    turns: transpose(turns, [2, 0, 1]),
    lengths: transpose(sqrt(reduceSum(mul(columns, columns), 0))),
  };
}

/**
 * A = U diag(s) Vᵀ for matrices [b…, m, n]; meant for min(m, n) up to about 32.
 *
 * A = Q R, and rotations W make the columns of Rᵀ W orthogonal: Rᵀ W = V diag(s), so U = Q W. V comes
 * of a second QR, so that it is orthonormal even where singular values vanish. Accurate to a few
 * units of rounding of the greatest singular value. Columns are unique up to sign.
 *
 * Reference: Drmač & Veselić, "New fast and accurate Jacobi SVD algorithm I", SIAM J. Matrix Anal.
 * Appl. 29 (2008), without its pivoting.
 */
export function thinSvd(x: Operand, { sweeps }: JacobiOptions = {}): ThinSvd {
  const { matrices, count, rows, columns: n, restore } = stackOf('thinSvd', x);
  if (rows < n) {
    const { u, s, v } = thinSvd(transpose(matrices), { ...(sweeps !== undefined && { sweeps }) });
    return { u: restore(v), s: restore(s), v: restore(u) };
  }
  const scale = scaleOf(matrices);
  const { q, r } = thinQr(div(matrices, scale));
  const { columns, turns, lengths } = orthogonalise(transpose(r), sweeps);
  const order = descending(lengths);
  return {
    u: restore(matmul(q, orderColumns(order, turns))),
    s: restore(mul(orderValues(order, lengths), reshape(scale, [count, 1]))),
    v: restore(thinQr(orderColumns(order, columns)).q),
  };
}
