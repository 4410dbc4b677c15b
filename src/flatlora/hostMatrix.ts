/** The few matrix computations that are done once, on the host, in float64. */
import {
  dtypeOfHost,
  flatData,
  type HostArray,
  type HostData,
  hostArray,
  hostNormal,
  hostUniform,
  isHalf,
  type Key,
  toFloat,
} from '../autodiff/index.js';

/** The elements as numbers, half precision widened to float32. */
export const numbersOf = (matrix: HostArray): HostData =>
  flatData(isHalf(dtypeOfHost(matrix)) ? toFloat(matrix) : matrix);

const dimensions = (matrix: HostArray) => matrix.shape as [number, number];

/** ‖W_i‖² of each row as float[m]. */
export function hostRowNormsSquared(matrix: HostArray): HostArray {
  const [m, n] = dimensions(matrix);
  const data = numbersOf(matrix);
  const norms = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (data[i * n + j] as number) ** 2;
    norms[i] = sum;
  }
  return hostArray(norms, [m]);
}

/** Fresh storage of the same class, that is, of the same precision. */
export const storageLike = (data: HostData, size: number): HostData =>
  new (data.constructor as new (size: number) => HostData)(size);

/**
 * W + scale·B·A in the storage class of W, products summed in float64. A weight in half precision
 * gives float32: rounding the sum again would change what was trained.
 */
export function hostLowRankSum(
  weight: HostArray,
  a: HostArray,
  b: HostArray,
  scale: number,
): HostArray {
  const [m, n] = dimensions(weight);
  const [rank] = dimensions(a);
  const [w, x, y] = [numbersOf(weight), numbersOf(a), numbersOf(b)];
  const out = storageLike(w, m * n);
  const row = new Float64Array(n);
  for (let i = 0; i < m; i++) {
    row.fill(0);
    for (let k = 0; k < rank; k++) {
      const factor = scale * (y[i * rank + k] as number);
      for (let j = 0; j < n; j++) row[j] = (row[j] as number) + factor * (x[k * n + j] as number);
    }
    for (let j = 0; j < n; j++) out[i * n + j] = (w[i * n + j] as number) + (row[j] as number);
  }
  return hostArray(out, [m, n]);
}

/** Independent uniform numbers in [−bound, bound), in float32. */
export const hostUniformMatrix = (key: Key, shape: readonly number[], bound: number): HostArray => {
  const size = shape.reduce((count, d) => count * d, 1);
  return hostArray(
    Float32Array.from(hostUniform(key, size), (u) => (2 * u - 1) * bound),
    shape,
  );
};

/** Independent N(0, deviation²) numbers, in float32; the bits of the traced `normal`. */
export const hostNormalMatrix = (
  key: Key,
  shape: readonly number[],
  deviation: number,
): HostArray => {
  const size = shape.reduce((count, d) => count * d, 1);
  return hostArray(
    hostNormal(key, size).map((z) => z * deviation),
    shape,
  );
};
