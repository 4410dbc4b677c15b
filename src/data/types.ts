/**
 * What a labelled image set is, and how anything in this folder fails.
 *
 * Images are float32 with 0 for empty paper (or black) and 1 for full ink (or white); labels are
 * positions in `classes`. Data sets are values: every function here returns a new one.
 */
import ndarray, { type NdArray } from 'ndarray';

/** A batch of grey images [count, height, width] or colour images [count, height, width, 3]. */
export type Images = NdArray<Float32Array>;

/** Labels [count], each from 0 to `classes.length` − 1. */
export type Labels = NdArray<Int32Array>;

export interface ImageDataset {
  /** A short name for reports, such as `optdigits/train`. */
  readonly name: string;
  /** [n, h, w] or [n, h, w, 3], row-major, values 0 to 1. */
  readonly images: Images;
  /** [n] */
  readonly labels: Labels;
  /** Names of the classes; label 3 means `classes[3]`. */
  readonly classes: readonly string[];
}

/**
 * Why data could not be had. `message` is one line that names the file and what is wrong. The
 * `kind` makes it one of the library's `Problem`s as well, so `orThrow` takes it as it is.
 */
export interface DataError {
  readonly _tag: 'DataError';
  readonly kind: 'data';
  readonly message: string;
}

export const dataError = (message: string): DataError => ({
  _tag: 'DataError',
  kind: 'data',
  message,
});

/** The ten class names of every digit set here. */
export const DIGIT_CLASSES: readonly string[] = Array.from('0123456789');

/** Numbers per image: height · width, times 3 for colour. */
export const imageSize = (images: Images): number =>
  images.shape.slice(1).reduce((product, side) => product * side, 1);

/**
 * The images' numbers in row-major order: the array itself where it already is in that order and
 * exactly that long, else a copy (a transposed or cropped view).
 */
export function flatImages(images: Images): Float32Array {
  const [count = 0, height = 0, width = 0, channels] = images.shape;
  const rowMajor = images.shape.reduceRight<{ ok: boolean; step: number }>(
    (seen, side, axis) => ({
      ok: seen.ok && (side === 1 || images.stride[axis] === seen.step),
      step: seen.step * side,
    }),
    { ok: images.offset === 0 && images.data.length === images.size, step: 1 },
  );
  if (rowMajor.ok) return images.data;
  const flat = new Float32Array(images.size);
  let at = 0;
  for (let n = 0; n < count; n++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (channels === undefined) flat[at++] = images.get(n, y, x);
        else for (let c = 0; c < channels; c++) flat[at++] = images.get(n, y, x, c);
      }
    }
  }
  return flat;
}

/**
 * The rows of `dataset` that `rows` names, in that order; a row may be named more than once.
 * @param rows positions from 0 to n − 1.
 * @throws RangeError for a position outside the data set (a mistake of the program, not of a file).
 */
export function takeRows(dataset: ImageDataset, rows: ArrayLike<number>): ImageDataset {
  const count = dataset.labels.shape[0] ?? 0;
  const size = imageSize(dataset.images);
  const from = flatImages(dataset.images);
  const images = new Float32Array(rows.length * size);
  const labels = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    if (!Number.isInteger(row) || row < 0 || row >= count) {
      throw new RangeError(`takeRows: row ${row} of ${dataset.name}, which has ${count}`);
    }
    images.set(from.subarray(row * size, (row + 1) * size), i * size);
    labels[i] = dataset.labels.get(row);
  }
  return {
    ...dataset,
    images: ndarray(images, [rows.length, ...dataset.images.shape.slice(1)]),
    labels: ndarray(labels, [rows.length]),
  };
}
