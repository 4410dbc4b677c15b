/** The thin QR decomposition, by Householder reflections. */
import { range, showShape } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import type { Value } from '../core/value.js';
import { matmul } from '../primitives/dot.js';
import { abs, add, div, equal, gt, lt, mul, select, sqrt, sub } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { iota, type Operand } from '../primitives/source.js';
import { broadcastTo, reshape, sliceAxis, transpose } from '../primitives/structural.js';
import { diagonals, identity, scaleOf, stackOf } from './batch.js';

/** A = Q R. */
export interface ThinQr {
  /** Q, [b…, m, n]: orthonormal columns. */
  readonly q: Value;
  /** R, [b…, n, n]: upper triangular, its diagonal not negative. */
  readonly r: Value;
}

/** I − β v vᵀ: v [L, m, 1], β [L, 1, 1]. */
interface Reflection {
  readonly v: Value;
  readonly beta: Value;
}

/** The reflection that takes column k to a multiple of the k-th unit vector, rows above k kept. */
function reflectionOf(matrices: Value, k: number): Reflection {
  const column = sliceAxis(matrices, 2, k, k + 1);
  const row = iota([1, matrices.shape[1] as number, 1], 1);
  const below = select(lt(row, k), 0, column);
  const norm = sqrt(reduceSum(mul(below, below), [1, 2], { keepAxes: true }));
  const head = sliceAxis(column, 1, k, k + 1);
  // Away from the head's own sign, so that nothing cancels.
  const signed = select(lt(head, 0), mul(-1, norm), norm);
  const v = add(below, select(equal(row, k), signed, 0));
  // ½‖v‖² = ‖x‖(‖x‖ + |head|); a column of zeros needs no reflection.
  const half = mul(norm, add(norm, abs(head)));
  const some = gt(half, 0);
  return { v, beta: select(some, div(1, select(some, half, 1)), 0) };
}

/** The reflection of all columns of [L, m, n]. */
const reflect = ({ v, beta }: Reflection, x: Value): Value =>
  sub(x, mul(mul(beta, v), matmul(transpose(v), x)));

/**
 * A = Q R for matrices [b…, m, n] with m ≥ n. Q is orthonormal to rounding whatever the columns of A
 * are: where one depends on those before it, R has a zero (to rounding) on its diagonal and Q any
 * further orthonormal column. About 4 n kernels.
 *
 * Reference: Golub & Van Loan, "Matrix Computations" (4th ed.), section 5.2.2.
 * @throws FlatloraError 'shape' where m < n.
 */
export function thinQr(x: Operand): ThinQr {
  const { matrices, count, rows: m, columns: n, restore } = stackOf('thinQr', x);
  if (m < n) {
    throw new FlatloraError(
      'shape',
      `thinQr: matrices are ${showShape([m, n])}, expected at least as many rows as columns`,
    );
  }
  const scale = scaleOf(matrices);
  const reflections: Reflection[] = [];
  let upper = div(matrices, scale);
  for (const k of range(n)) {
    const reflection = reflectionOf(upper, k);
    reflections.push(reflection);
    upper = reflect(reflection, upper);
  }
  const square = sliceAxis(upper, 1, 0, n);
  const triangle = select(lt(iota([n, n], 1), iota([n, n], 0)), 0, square);
  const signs = select(lt(diagonals(triangle), 0), -1, 1);
  const q = reflections.reduceRight(
    (columns, reflection) => reflect(reflection, columns),
    broadcastTo(identity(m, n), [count, m, n]),
  );
  return {
    q: restore(mul(q, reshape(signs, [count, 1, n]))),
    r: restore(mul(mul(triangle, scale), reshape(signs, [count, n, 1]))),
  };
}
