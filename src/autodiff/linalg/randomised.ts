/**
 * The leading singular subspace of large matrices, from products with a few random vectors.
 *
 * Reference: Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
 * algorithms 4.4 (subspace iteration) and 5.1.
 */
import { range } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import type { Value } from '../core/value.js';
import { matmul } from '../primitives/dot.js';
import { lift, type Operand } from '../primitives/source.js';
import { sliceAxis, transpose } from '../primitives/structural.js';
import { normal } from '../random/random.js';
import { stackOf } from './batch.js';
import { thinQr } from './qr.js';
import { type ThinSvd, thinSvd } from './svd.js';
import type { JacobiOptions } from './symmetric.js';

export interface RangeOptions {
  /** Columns of the basis, from 1 to min(m, n). */
  readonly size: number;
  /** How often A Aᵀ is applied to sharpen the basis; 2 by default (Halko et al., section 1.6). */
  readonly powerIterations?: number;
}

/**
 * An orthonormal basis Q [b…, m, size] that nearly spans the leading left singular vectors of
 * A [b…, m, n]: ‖A − Q Qᵀ A‖ is near its least possible value.
 * @param key of the random vectors, uint[2].
 */
export function rangeFinder(
  a: Operand,
  key: Operand,
  { size, powerIterations = 2 }: RangeOptions,
): Value {
  const { matrices, count, rows, columns, restore } = stackOf('rangeFinder', a);
  const greatest = Math.min(rows, columns);
  if (!Number.isInteger(size) || size < 1 || size > greatest) {
    throw new FlatloraError(
      'argument',
      `rangeFinder: size is ${size}, expected an integer from 1 to ${greatest}, the smaller side of [${rows},${columns}]`,
    );
  }
  const transposed = transpose(matrices);
  const first = thinQr(matmul(matrices, normal(key, [count, columns, size]))).q;
  return restore(
    range(powerIterations).reduce(
      (q) => thinQr(matmul(matrices, thinQr(matmul(transposed, q)).q)).q,
      first,
    ),
  );
}

export interface RandomisedSvdOptions extends JacobiOptions {
  /** Singular values wanted, from 1 to min(m, n). */
  readonly rank: number;
  /** Random vectors beyond the rank; 8 by default (Halko et al. advise 5 to 10), as far as they fit. */
  readonly oversampling?: number;
  /** See `RangeOptions`. */
  readonly powerIterations?: number;
}

/**
 * The `rank` greatest singular values of A [b…, m, n] and their vectors: the SVD of Qᵀ A for Q of
 * `rangeFinder`. Exact to rounding where rank + oversampling reaches min(m, n).
 */
export function randomisedSvd(
  a: Operand,
  key: Operand,
  { rank, oversampling = 8, powerIterations = 2, sweeps }: RandomisedSvdOptions,
): ThinSvd {
  const value = lift(a);
  const { rows, columns } = stackOf('randomisedSvd', value);
  const greatest = Math.min(rows, columns);
  if (!Number.isInteger(rank) || rank < 1 || rank > greatest) {
    throw new FlatloraError(
      'argument',
      `randomisedSvd: rank is ${rank}, expected an integer from 1 to ${greatest}, the smaller side of [${rows},${columns}]`,
    );
  }
  const size = Math.min(rank + oversampling, greatest);
  const q = rangeFinder(value, key, { size, powerIterations });
  const inside = thinSvd(matmul(transpose(q), value), sweeps === undefined ? {} : { sweeps });
  const leading = (x: Value) => sliceAxis(x, -1, 0, rank);
  return { u: leading(matmul(q, inside.u)), s: leading(inside.s), v: leading(inside.v) };
}
