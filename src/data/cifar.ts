/**
 * The binary rows of CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning multiple layers of features
 * from tiny images", 2009): label bytes, then 32×32 red, green and blue planes, no header.
 */
import { type Either, left, right } from 'fp-ts/lib/Either.js';
import ndarray from 'ndarray';
import { type DataError, dataError, type ImageDataset } from './types.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;

/**
 * How a row begins.
 * - `one-label`: one byte, the class. CIFAR-10's official rows, and CIFAR-100 subsets that keep
 *   only the fine label.
 * - `coarse-fine`: CIFAR-100's official rows: the superclass (0–19), then the class (0–99). The
 *   superclass is checked and dropped.
 */
export type CifarRows = 'one-label' | 'coarse-fine';

const COARSE_CLASSES = 20;

/**
 * Reads CIFAR rows. A full training file becomes 614 MB of float32; pass a part of the bytes
 * (a multiple of the row size) to read fewer.
 * @param bytes the plain file (not gzip).
 * @param classes class names; labels must be below their number.
 * @returns images [n, 32, 32, 3] scaled by 1/255 (channels last), labels [n].
 */
export function parseCifar(
  bytes: Uint8Array,
  rows: CifarRows,
  classes: readonly string[],
  file = 'cifar',
): Either<DataError, ImageDataset> {
  const labelBytes = rows === 'coarse-fine' ? 2 : 1;
  const rowSize = labelBytes + 3 * PLANE;
  if (bytes.length === 0 || bytes.length % rowSize !== 0) {
    return left(
      dataError(`${file}: ${bytes.length} bytes is not a whole number of ${rowSize}-byte rows`),
    );
  }
  const count = bytes.length / rowSize;
  // Labels first, so that a file of another format is refused before the large allocation.
  const labels = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    const label = bytes[n * rowSize + labelBytes - 1] as number;
    const coarse = rows === 'coarse-fine' ? (bytes[n * rowSize] as number) : 0;
    if (label >= classes.length || coarse >= COARSE_CLASSES) {
      return left(dataError(`${file}: row ${n} has label ${label}, which is no class`));
    }
    labels[n] = label;
  }
  const images = new Float32Array(count * 3 * PLANE);
  for (let n = 0; n < count; n++) {
    const from = n * rowSize + labelBytes;
    const to = n * 3 * PLANE;
    for (let channel = 0; channel < 3; channel++) {
      for (let pixel = 0; pixel < PLANE; pixel++) {
        images[to + 3 * pixel + channel] = (bytes[from + channel * PLANE + pixel] as number) / 255;
      }
    }
  }
  return right({
    name: file,
    images: ndarray(images, [count, SIDE, SIDE, 3]),
    labels: ndarray(labels, [count]),
    classes,
  });
}

/**
 * Reads a list of class names, one a line (`fine_label_names.txt`, `batches.meta.txt`).
 * @param expected how many there must be; all different, at most 64 characters each.
 */
export function parseClassNames(
  bytes: Uint8Array,
  expected: number,
  file = 'class names',
): Either<DataError, readonly string[]> {
  const names = new TextDecoder('latin1')
    .decode(bytes)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (names.length !== expected) {
    return left(dataError(`${file}: ${names.length} class names, expected ${expected}`));
  }
  if (new Set(names).size !== expected || names.some((name) => name.length > 64)) {
    return left(dataError(`${file}: class names must be different and at most 64 characters`));
  }
  return right(names);
}
