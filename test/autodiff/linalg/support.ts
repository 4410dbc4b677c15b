/** Matrices of plain numbers, in which what the engine computes is checked. */
import type { HostArray, Shape } from '../../../src/autodiff/index.js';
import { generator, uniformArray } from '../../support/draw.js';
import { floats, toNumbers } from '../../support/numeric.js';

export type Matrix = readonly (readonly number[])[];

/** A stack [b…, m, n] as its matrices. */
export function matricesOf(x: HostArray): Matrix[] {
  const [m, n] = x.shape.slice(-2) as [number, number];
  const flat = toNumbers(x);
  return Array.from({ length: flat.length / (m * n) }, (_, l) =>
    Array.from({ length: m }, (__, i) => flat.slice((l * m + i) * n, (l * m + i + 1) * n)),
  );
}

export const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) =>
    (b[0] as readonly number[]).map((_, j) =>
      row.reduce((sum, x, k) => sum + x * ((b[k] as readonly number[])[j] as number), 0),
    ),
  );
export const transposed = (a: Matrix): Matrix =>
  (a[0] as readonly number[]).map((_, j) => a.map((row) => row[j] as number));
export const eye = (n: number): Matrix =>
  Array.from({ length: n }, (_, i) => Array.from({ length: n }, (__, j) => Number(i === j)));
export const diagonalMatrix = (d: readonly number[]): Matrix =>
  d.map((x, i) => d.map((_, j) => (i === j ? x : 0)));

/** max |a − b| over the greatest |a|. */
export function distance(
  a: Matrix,
  b: Matrix,
  scale = Math.max(...a.flat().map(Math.abs)),
): number {
  const worst = Math.max(
    ...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - ((b[i] as number[])[j] as number)))),
  );
  return scale === 0 ? worst : worst / scale;
}

export const rowsOf = (x: HostArray): readonly number[][] =>
  (
    matricesOf(floats(toNumbers(x), [1, ...x.shape].slice(-2) as number[]))[0] as number[][]
  ).slice();

/** Float32 numbers, so that every backend sees the same matrix. */
export const draw = (seed: number, shape: Shape, size = 1): HostArray => {
  const x = uniformArray(generator(seed), shape, -size, size);
  return floats(Float32Array.from(x.data as Float64Array), shape);
};

/** Symmetric matrices from a stack: ½(X + Xᵀ), or the positive definite X Xᵀ + I/20. */
export function symmetrised(x: HostArray, positive: boolean): HostArray {
  const all = matricesOf(x).map((a) =>
    positive
      ? product(a, transposed(a)).map((row, i) => row.map((v, j) => v + (i === j ? 0.05 : 0)))
      : a.map((row, i) => row.map((v, j) => (v + ((a[j] as number[])[i] as number)) / 2)),
  );
  return floats(Float32Array.from(all.flat(2)), x.shape);
}
