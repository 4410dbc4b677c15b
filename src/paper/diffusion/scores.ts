/**
 * Scores of generated images on the host: how far their distribution is from the reference's, and how
 * near they are to the training images.
 */
import { FlatloraError, flatData, type HostArray } from '../../autodiff/index.js';
import { mean } from '../../report/index.js';

type Vectors = readonly ArrayLike<number>[];

/** The rows of an array [n, …] as vectors. */
export function rowsOf(array: HostArray): Vectors {
  const data = flatData(array);
  const count = array.shape[0] as number;
  const size = data.length / count;
  return Array.from({ length: count }, (_, n) => data.subarray(n * size, (n + 1) * size));
}

/** (xᵀy/d + 1)³ */
function kernel(x: ArrayLike<number>, y: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return (sum / x.length + 1) ** 3;
}

/** Σ k(x, y) over all pairs, or over those of different places. */
function kernelSum(xs: Vectors, ys: Vectors, withSelf: boolean): number {
  let sum = 0;
  for (let i = 0; i < xs.length; i++) {
    for (let j = 0; j < ys.length; j++) {
      if (withSelf || i !== j) sum += kernel(xs[i] as Vectors[0], ys[j] as Vectors[0]);
    }
  }
  return sum;
}

/**
 * The kernel distance of two sets of feature vectors: the unbiased estimate of the squared maximum
 * mean discrepancy under (xᵀy/d + 1)³. Around 0 for samples of one distribution, where it may be
 * slightly negative.
 * Bińkowski et al., "Demystifying MMD GANs", 2018.
 * @param a [n, d], n at least 2
 * @param b [m, d], m at least 2
 */
export function kernelDistance(a: HostArray, b: HostArray): number {
  const [xs, ys] = [rowsOf(a), rowsOf(b)];
  const [n, m] = [xs.length, ys.length];
  if (n < 2 || m < 2) {
    throw new FlatloraError(
      'argument',
      `kernelDistance: given ${n} and ${m} vectors, expected at least 2 of each`,
    );
  }
  return (
    kernelSum(xs, xs, false) / (n * (n - 1)) +
    kernelSum(ys, ys, false) / (m * (m - 1)) -
    (2 * kernelSum(xs, ys, true)) / (n * m)
  );
}

/**
 * The mean over images of the distance to the nearest training image: root mean squared difference of
 * pixels on the scale from 0 to 1. Images that are copies have 0.
 * @param images [n, …] from −1 to 1.
 * @param training [m, …] from −1 to 1.
 */
export function nearestDistance(images: HostArray, training: HostArray): number {
  const known = rowsOf(training);
  return mean(
    rowsOf(images).map((x) => {
      const distances = known.map((y) => {
        let sum = 0;
        for (let i = 0; i < x.length; i++) {
          sum += (((x[i] as number) - (y[i] as number)) / 2) ** 2;
        }
        return Math.sqrt(sum / x.length);
      });
      return Math.min(...distances);
    }),
  );
}
