/**
 * Symmetric matrices: eigenvalues and what follows from them, and linear systems.
 *
 * Everything is composed of primitives and works on stacks [b…, n, n], so that the small matrices of
 * many layers are one part of a program. Meant for n up to about 32. Derivatives exist only where
 * eigenvalues are distinct; optimisers, for which this is, need none.
 */
import { range, showShape } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { ints } from '../core/host.js';
import type { Value } from '../core/value.js';
import { matmul, matmulTransposed } from '../primitives/dot.js';
import { abs, add, div, equal, lt, mul, select, sub } from '../primitives/elementwise.js';
import { gather } from '../primitives/indexing.js';
import { constant, iota, lift, type Operand } from '../primitives/source.js';
import { broadcastTo, concat, reshape, sliceAxis, transpose } from '../primitives/structural.js';
import { identity, scaleColumns, scaleOf, squareStackOf, TINY } from './batch.js';
import { type Partners, rotations, sweeping, turnBoth, turnColumns } from './jacobi.js';
import { descending, orderColumns, orderValues } from './order.js';

/** A = V diag(λ) Vᵀ. */
export interface SymmetricEigen {
  /** λ, [b…, n], the greatest first. */
  readonly values: Value;
  /** V, [b…, n, n]: orthonormal columns, up to sign (and up to rotation where values coincide). */
  readonly vectors: Value;
}

export interface JacobiOptions {
  /** How often all pairs of columns are gone through; ⌈log₂ n⌉ + 3 by default, enough for float64. */
  readonly sweeps?: number;
}

/** Element (i, partner of i) of each row of [n, n, L] as [n, L], the same number for both of a pair. */
function couplings(x: Value, partners: Partners): Value {
  const [n, , count] = x.shape as readonly [number, number, number];
  const index = partners.map((k, i) => Math.min(i, k) * n + Math.max(i, k));
  return gather(reshape(x, [n * n, count]), constant(ints(index)));
}

/** The diagonals of [n, n, L] as [n, L]. */
const diagonal = (x: Value): Value => couplings(x, range(x.shape[0] as number));

/**
 * Eigenvalues and eigenvectors of symmetric matrices [b…, n, n], by Jacobi's method with a fixed
 * number of sweeps. That they are symmetric is not checked.
 *
 * Accurate to a few units of rounding of the greatest |eigenvalue|.
 * @throws FlatloraError 'shape' unless the last two axes are equal.
 */
export function symmetricEigen(x: Operand, { sweeps }: JacobiOptions = {}): SymmetricEigen {
  const { matrices, count, rows: n, restore } = squareStackOf('symmetricEigen', x);
  const scale = scaleOf(matrices);
  let turned = transpose(div(matrices, scale), [1, 2, 0]);
  let vectors = broadcastTo(reshape(identity(n), [n, n, 1]), [n, n, count]);
  for (const partners of sweeping('symmetricEigen', n, sweeps)) {
    const turn = rotations(diagonal(turned), couplings(turned, partners), partners);
    turned = turnBoth(turned, turn, partners);
    vectors = turnColumns(vectors, turn, partners);
  }
  const values = mul(transpose(diagonal(turned)), reshape(scale, [count, 1]));
  const order = descending(values);
  return {
    values: restore(orderValues(order, values)),
    vectors: restore(orderColumns(order, transpose(vectors, [2, 0, 1]))),
  };
}

/** V diag(f(λ)) Vᵀ: a function of a symmetric matrix, such as its inverse or its root. */
export function symmetricFunction(
  { values, vectors }: SymmetricEigen,
  f: (eigenvalues: Value) => Value,
): Value {
  const { matrices, restore } = squareStackOf('symmetricFunction', vectors);
  const n = matrices.shape[1] as number;
  const scaled = scaleColumns(matrices, reshape(f(values), [-1, n]));
  return restore(matmulTransposed(scaled, matrices));
}

export interface SylvesterOperands {
  /** P, [b…, m, m], by its eigenvalues and -vectors. */
  readonly left: SymmetricEigen;
  /** Q, [b…, n, n]. */
  readonly right: SymmetricEigen;
  /** C, [b…, m, n]. */
  readonly constant: Value;
}

/**
 * X of P X + X Q = C for symmetric P and Q:
 *
 *     X = U ((Uᵀ C V)ᵢⱼ / (λᵢ + μⱼ)) Vᵀ,   P = U diag(λ) Uᵀ,  Q = V diag(μ) Vᵀ
 *
 * Where λᵢ + μⱼ = 0 there is no solution or more than one; that component is taken as 0.
 */
export function solveSylvester({ left, right, constant: c }: SylvesterOperands): Value {
  const [u, v] = [left.vectors, right.vectors];
  const turned = matmul(transpose(u), matmul(c, v));
  const lead = left.values.shape.slice(0, -1);
  const [m, n] = turned.shape.slice(-2) as [number, number];
  const sums = add(reshape(left.values, [...lead, m, 1]), reshape(right.values, [...lead, 1, n]));
  const vanishes = lt(abs(sums), TINY);
  const solved = select(vanishes, 0, div(turned, select(vanishes, 1, sums)));
  return matmul(u, matmulTransposed(solved, v));
}

export interface SolveOptions {
  /** δ ≥ 0: solves (A + δI) X = B; 0 by default. */
  readonly damping?: number;
}

/**
 * X of A X = B for symmetric positive definite matrices A [b…, n, n] and B [b…, n, k], by Gauss–Jordan
 * elimination: n kernels of the size of [A B]. No pivots are looked for, which positive definite
 * matrices do not need; a singular A gives infinite or NaN elements, so damp it where that may be.
 * @throws FlatloraError 'shape' where A is not square or B has other rows or leading axes.
 */
export function solveSymmetric(a: Operand, b: Operand, { damping = 0 }: SolveOptions = {}): Value {
  const { matrices, count, rows: n } = squareStackOf('solveSymmetric', a);
  const [left, right] = [lift(a), lift(b)];
  const lead = left.shape.slice(0, -1);
  if (right.shape.length !== left.shape.length || right.shape.slice(0, -1).join() !== lead.join()) {
    throw new FlatloraError(
      'shape',
      `solveSymmetric: right sides are ${showShape(right.shape)}, expected [${lead.join(',')},k]`,
    );
  }
  const k = right.shape.at(-1) as number;
  const damped = damping === 0 ? matrices : add(matrices, mul(damping, identity(n)));
  const start = concat([damped, reshape(right, [count, n, k])], 2);
  const end = range(n).reduce((rows, i) => {
    const pivotRow = sliceAxis(rows, 1, i, i + 1);
    const unit = div(pivotRow, sliceAxis(pivotRow, 2, i, i + 1));
    const others = sub(rows, mul(sliceAxis(rows, 2, i, i + 1), unit));
    return select(equal(iota([1, n, 1], 1), i), unit, others);
  }, start);
  return reshape(sliceAxis(end, 2, n, n + k), right.shape);
}

/** (A + δI)⁻¹ of symmetric positive definite matrices [b…, n, n]; see `solveSymmetric`. */
export function invertSymmetric(a: Operand, options: SolveOptions = {}): Value {
  const value = lift(a);
  const { rows } = squareStackOf('invertSymmetric', value);
  return solveSymmetric(value, broadcastTo(identity(rows), value.shape), options);
}
