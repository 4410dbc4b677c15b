/** Small makers and measures for the data tests. */
import { type Either, isLeft, isRight } from 'fp-ts/lib/Either.js';
import ndarray from 'ndarray';
import { flatImages, type ImageDataset, type Images, imageSize } from '../../src/data/index.js';

/** The value of a Right; fails the test with the error's message otherwise. */
export function ok<E extends { readonly message: string }, A>(either: Either<E, A>): A {
  if (isRight(either)) return either.right;
  throw new Error(`expected a Right, got: ${either.left.message}`);
}

/** The message of a Left; fails the test otherwise. It must be one line of sensible length. */
export function message<E extends { readonly message: string }>(
  either: Either<E, unknown>,
): string {
  if (!isLeft(either)) throw new Error('expected a Left');
  expect(either.left).toMatchObject({ _tag: 'DataError', kind: 'data' });
  expect(either.left.message).not.toContain('\n');
  expect(either.left.message.length).toBeLessThan(300);
  return either.left.message;
}

export const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A data set [n, 1, 2] whose pixels tell the row and whose labels are `labels`. */
export function labelled(labels: readonly number[], classes = 3): ImageDataset {
  return {
    name: 'tiny',
    images: ndarray(Float32Array.from(labels.flatMap((label, row) => [row, label])), [
      labels.length,
      1,
      2,
    ]),
    labels: ndarray(Int32Array.from(labels), [labels.length]),
    classes: Array.from({ length: classes }, (_, i) => `class ${i}`),
  };
}

/** Root mean squared difference of two batches of images. */
export function distortion(a: Images, b: Images): number {
  const [x, y] = [flatImages(a), flatImages(b)];
  const sum = x.reduce((total, value, i) => total + (value - (y[i] as number)) ** 2, 0);
  return Math.sqrt(sum / x.length);
}

/** Share of `test` that the nearest class mean of `train` gets right. */
export function centroidAccuracy(train: ImageDataset, test: ImageDataset): number {
  const size = imageSize(train.images);
  const rows = (set: ImageDataset): readonly Float32Array[] =>
    Array.from({ length: set.labels.size }, (_, n) =>
      flatImages(set.images).subarray(n * size, (n + 1) * size),
    );
  const images = rows(train);
  const means = train.classes.map((_, label) => {
    const own = images.filter((_row, n) => train.labels.get(n) === label);
    return Float64Array.from(
      { length: size },
      (_p, i) => own.reduce((sum, row) => sum + (row[i] as number), 0) / own.length,
    );
  });
  const distance = (a: Float32Array, b: Float64Array): number =>
    a.reduce((sum, value, i) => sum + (value - (b[i] as number)) ** 2, 0);
  const right = rows(test).filter((row, n) => {
    const distances = means.map((mean) => distance(row, mean));
    return distances.indexOf(Math.min(...distances)) === test.labels.get(n);
  });
  return right.length / test.labels.size;
}
