/**
 * Exact Hessians of small models and their eigenvalues, independent of the tools under test: H column
 * by column, eigenvalues by Jacobi's rotations.
 */
import {
  evaluationContext,
  flatten,
  type HostArray,
  hvp,
  type Loss,
  unflatten,
  type Value,
} from '../../../src/autodiff/index.js';
import { floats, toNumbers, traced } from '../../support/numeric.js';
import type { Matrix } from '../matrices.js';

/** ∇²L at the weights, the leaves' numbers one after the other. */
export function exactHessian<W, X>(loss: Loss<W, X>, weights: unknown, batch: unknown): Matrix {
  const { leaves } = flatten<HostArray>(weights);
  const unit = (place: number) => {
    let from = 0;
    return leaves.map((leaf) => {
      const numbers = Array.from({ length: leaf.size }, (_, i) => Number(from + i === place));
      from += leaf.size;
      return floats(numbers, leaf.shape);
    });
  };
  const { shape } = flatten(weights);
  const rebuild = (parts: readonly unknown[]) => unflatten<W>(shape, parts);
  const column = traced(
    (w: W, v: readonly Value[], b: X) =>
      hvp((p: W): Value => loss(p, b, evaluationContext()))(rebuild(v), w),
    weights,
    unit(0),
    batch,
  );
  const size = leaves.reduce((sum, leaf) => sum + leaf.size, 0);
  return Array.from({ length: size }, (_, place) =>
    column(weights, unit(place), batch).flatMap(toNumbers),
  );
}

/** All eigenvalues of a symmetric matrix in falling order, by cyclic Jacobi rotations. */
export function jacobiEigenvalues(matrix: Matrix): readonly number[] {
  const n = matrix.length;
  const a = matrix.map((row) => Float64Array.from(row));
  const get = (i: number, j: number) => (a[i] as Float64Array)[j] as number;
  const set = (i: number, j: number, x: number) => {
    (a[i] as Float64Array)[j] = x;
  };
  const size = Math.hypot(...matrix.flat());
  const off = () => {
    let sum = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) sum += get(i, j) ** 2;
    return Math.sqrt(sum);
  };
  for (let sweep = 0; sweep < 40 && off() > 1e-14 * size; sweep++) {
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (get(p, q) === 0) continue;
        const angle = 0.5 * Math.atan2(2 * get(p, q), get(q, q) - get(p, p));
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        for (let k = 0; k < n; k++) {
          const [x, y] = [get(k, p), get(k, q)];
          set(k, p, c * x - s * y);
          set(k, q, s * x + c * y);
        }
        for (let k = 0; k < n; k++) {
          const [x, y] = [get(p, k), get(q, k)];
          set(p, k, c * x - s * y);
          set(q, k, s * x + c * y);
        }
      }
    }
  }
  return Array.from({ length: n }, (_, i) => get(i, i)).sort((x, y) => y - x);
}

export const traceOf = (matrix: Matrix): number =>
  matrix.reduce((sum, row, i) => sum + (row[i] as number), 0);

/** v ↦ M·v */
export const productWith =
  (matrix: Matrix) =>
  async (v: Float64Array): Promise<Float64Array> =>
    Float64Array.from(matrix, (row) => row.reduce((sum, x, j) => sum + x * (v[j] as number), 0));
