/**
 * Decompositions on the host, in float64, for what is done once before training: singular vectors of
 * weights and gradients (PiSSA, LoRA-GA), equations with covariances (CorDA).
 *
 * The algorithms are ml-matrix's (Golub–Reinsch SVD, Householder QR, Cholesky): plain JavaScript
 * without native code, so it runs in browsers too, small, MIT, and kept up since 2014. Only this file
 * knows it. A full SVD takes O(mn·min(m, n)); the randomised one, which finds the first k singular
 * vectors alone, O(mnk).
 */
import {
  CholeskyDecomposition,
  Matrix,
  QrDecomposition,
  SingularValueDecomposition,
} from 'ml-matrix';
import {
  FlatloraError,
  flatData,
  type HostArray,
  hostArray,
  hostNormal,
  type Key,
  showShape,
} from '../autodiff/index.js';
import { numbersOf } from './hostMatrix.js';

/** M ≈ U·diag(s)·Vᵀ with orthonormal columns in U and V, s falling. All in float64. */
export interface Svd {
  /** Left singular vectors as columns, [m, k]. In each the element of greatest size is positive. */
  readonly u: HostArray;
  /** Singular values, k of them. */
  readonly s: readonly number[];
  /** Right singular vectors as columns, [n, k]. */
  readonly v: HostArray;
}

export interface HostSvdOptions {
  /**
   * Power iterations: each multiplies the weight of the k-th direction against the rest by
   * (s_k/s_{k+1})². 4 by default, as in scikit-learn and in LoRA-GA's code.
   */
  readonly iterations?: number;
  /** Directions that are followed beyond those asked for; 10 by default, as in scikit-learn. */
  readonly oversampling?: number;
}

/** All singular vectors, or the first ones by a randomised method. */
export type SvdMethod = 'exact' | HostSvdOptions;

/** NaN would keep the iterations of an SVD going forever. */
function toMatrix(x: HostArray): Matrix {
  const [m, n] = x.shape;
  if (x.shape.length !== 2 || m === undefined || n === undefined) {
    throw new FlatloraError(
      'shape',
      `decomposition: array is ${showShape(x.shape)}, expected [m,n]`,
    );
  }
  const data = numbersOf(x);
  if (!data.every(Number.isFinite)) {
    throw new FlatloraError('not-finite', 'decomposition: matrix has NaN or infinity in it');
  }
  return Matrix.from1DArray(m, n, data);
}

const toHost = (x: Matrix): HostArray =>
  hostArray(Float64Array.from(x.to1DArray()), [x.rows, x.columns]);

/** A·B by rows of both, which is several times as fast here as by columns. */
function product(a: Matrix, b: Matrix): Matrix {
  const [m, n, k] = [a.rows, a.columns, b.columns];
  const [x, y] = [a.to1DArray(), b.to1DArray()];
  const out = new Float64Array(m * k);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const factor = x[i * n + j] as number;
      for (let l = 0; l < k; l++) {
        out[i * k + l] = (out[i * k + l] as number) + factor * (y[j * k + l] as number);
      }
    }
  }
  return Matrix.from1DArray(m, k, out);
}

/** A·B for host matrices [m, n] and [n, k], in float64. */
export const hostProduct = (a: HostArray, b: HostArray): HostArray =>
  toHost(product(toMatrix(a), toMatrix(b)));

/** An orthonormal basis, [m, k], of the columns of a matrix [m, k] with k ≤ m. */
export const orthonormalBasis = (x: HostArray): HostArray =>
  toHost(new QrDecomposition(toMatrix(x)).orthogonalMatrix);

/** Signs of singular vectors are free; this choice makes them the same for every method. */
function withSigns(u: Matrix, s: readonly number[], v: Matrix): Svd {
  const signs = s.map((_, k) => {
    const column = u.getColumn(k);
    const greatest = column.reduce((top, x) => (Math.abs(x) > Math.abs(top) ? x : top), 0);
    return greatest < 0 ? -1 : 1;
  });
  return { u: toHost(u.mulRowVector(signs)), s, v: toHost(v.mulRowVector(signs)) };
}

/** All min(m, n) singular values and vectors of a matrix [m, n]. */
export function thinSvd(x: HostArray): Svd {
  const found = new SingularValueDecomposition(toMatrix(x), { autoTranspose: true });
  return withSigns(found.leftSingularVectors, found.diagonal, found.rightSingularVectors);
}

/**
 * The first k singular values and vectors, found in the range of M·Ω for a random Ω of few columns,
 * improved by power iterations that are made orthonormal at each step. Exact where k and the
 * oversampling reach min(m, n).
 *
 * Reference: Halko, Martinsson, Tropp, "Finding structure with randomness", SIAM Review 2011,
 * Algorithms 4.4 and 5.1.
 *
 * @param key the random numbers of Ω.
 */
export function randomisedSvd(
  x: HostArray,
  k: number,
  key: Key,
  { iterations = 4, oversampling = 10 }: HostSvdOptions = {},
): Svd {
  const matrix = toMatrix(x);
  const transposed = matrix.transpose();
  const columns = Math.min(k + oversampling, matrix.rows, matrix.columns);
  const basis = (y: Matrix): Matrix => new QrDecomposition(y).orthogonalMatrix;
  const omega = hostNormal(key, matrix.columns * columns);
  let q = basis(product(matrix, Matrix.from1DArray(matrix.columns, columns, omega)));
  for (let t = 0; t < iterations; t++) {
    q = basis(product(matrix, basis(product(transposed, q))));
  }
  // M ≈ Q·QᵀM, and (QᵀM)ᵀ = V·diag(s)·Uᵀ is small in one direction.
  const small = new SingularValueDecomposition(product(transposed, q));
  const all = withSigns(
    product(q, small.rightSingularVectors),
    small.diagonal,
    small.leftSingularVectors,
  );
  return components(all, 0, k);
}

/** The first k singular values and vectors by the method asked for. */
export const firstComponents = (x: HostArray, k: number, method: SvdMethod, key: Key): Svd =>
  method === 'exact' ? components(thinSvd(x), 0, k) : randomisedSvd(x, k, key, method);

/** Components from number `start` to before number `end` of a decomposition. */
export const components = ({ u, s, v }: Svd, start: number, end: number): Svd => ({
  u: hostColumns(u, start, end),
  s: s.slice(start, end),
  v: hostColumns(v, start, end),
});

/** The columns from number `start` to before number `end` of a matrix. */
export function hostColumns(x: HostArray, start: number, end: number): HostArray {
  const [m, n] = x.shape as [number, number];
  const data = flatData(x);
  const width = end - start;
  return hostArray(
    Float64Array.from(
      { length: m * width },
      (_, i) => data[Math.floor(i / width) * n + start + (i % width)] as number,
    ),
    [m, width],
  );
}

/**
 * B ↦ C⁻¹B for a symmetric matrix C [n, n], B [n, k]; `undefined` when C is not positive definite (to
 * rounding). C⁻¹ itself is never formed.
 */
export function positiveDefiniteSolver(c: HostArray): ((b: HostArray) => HostArray) | undefined {
  const cholesky = new CholeskyDecomposition(toMatrix(c));
  return cholesky.isPositiveDefinite() ? (b) => toHost(cholesky.solve(toMatrix(b))) : undefined;
}
