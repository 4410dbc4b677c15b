/**
 * The IDX format of MNIST (LeCun, Cortes & Burges) and Fashion-MNIST (Zalando, MIT): two zero
 * bytes, a type byte (8 = unsigned bytes, the only type these sets use), the number of axes, each
 * axis' length as a big-endian 32-bit word, then the numbers in row-major order.
 *
 * These functions take the plain file; `gunzip.ts` unpacks a `.gz`.
 */
import { type Either, isLeft, left, right } from 'fp-ts/lib/Either.js';
import ndarray, { type NdArray } from 'ndarray';
import { type DataError, dataError, type ImageDataset } from './types.js';

/** Class names of Fashion-MNIST, in the order of its labels. */
export const FASHION_CLASSES: readonly string[] = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

const UNSIGNED_BYTE = 8;

/**
 * Reads an IDX file of unsigned bytes with `axes` axes. The result shares the memory of `bytes`.
 * The product of the lengths is compared with the file's real size before anything is made of it,
 * so a header that claims 2³² images costs nothing.
 */
export function parseIdx(
  bytes: Uint8Array,
  axes: number,
  file = 'idx',
): Either<DataError, NdArray<Uint8Array>> {
  const header = 4 + 4 * axes;
  if (bytes.length < header) {
    return left(dataError(`${file}: ${bytes.length} bytes, too short for an IDX header`));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  const expected = (UNSIGNED_BYTE << 8) | axes;
  if (magic !== expected) {
    const hex = (word: number): string => word.toString(16).padStart(8, '0');
    return left(dataError(`${file}: IDX magic number is ${hex(magic)}, expected ${hex(expected)}`));
  }
  const shape = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  // BigInt: three 32-bit lengths overflow the exact range of a number.
  const claimed = shape.reduce((product, side) => product * BigInt(side), 1n);
  const present = bytes.length - header;
  if (claimed !== BigInt(present)) {
    return left(
      dataError(
        `${file}: the header says ${shape.join('×')} = ${claimed} bytes, the file has ${present}`,
      ),
    );
  }
  if (present === 0) return left(dataError(`${file}: no rows`));
  return right(ndarray(bytes.subarray(header), shape));
}

/**
 * Joins an image file and its label file.
 * @param names the data set's name and its class names; labels must be below their number.
 * @returns images [n, h, w] scaled by 1/255, labels [n].
 */
export function parseIdxPair(
  imageBytes: Uint8Array,
  labelBytes: Uint8Array,
  names: { readonly name: string; readonly classes: readonly string[] },
): Either<DataError, ImageDataset> {
  const images = parseIdx(imageBytes, 3, `${names.name} images`);
  if (isLeft(images)) return images;
  const labels = parseIdx(labelBytes, 1, `${names.name} labels`);
  if (isLeft(labels)) return labels;
  const count = images.right.shape[0] as number;
  if (labels.right.size !== count) {
    return left(dataError(`${names.name}: ${count} images but ${labels.right.size} labels`));
  }
  const wrong = labels.right.data.findIndex((label) => label >= names.classes.length);
  if (wrong >= 0) {
    return left(
      dataError(
        `${names.name} labels: row ${wrong} is ${labels.right.data[wrong]}, which is no class`,
      ),
    );
  }
  return right({
    name: names.name,
    images: ndarray(
      Float32Array.from(images.right.data, (value) => value / 255),
      images.right.shape,
    ),
    labels: ndarray(Int32Array.from(labels.right.data), [count]),
    classes: names.classes,
  });
}
