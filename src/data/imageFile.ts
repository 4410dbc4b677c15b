/**
 * Many images in one file (Node), as the data sets are published: IDX (MNIST, Fashion-MNIST; the labels lie
 * in a second file beside it) and the binary rows of CIFAR-10 and CIFAR-100, each plain or as .gz.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { errorCode } from './errorCode.js';
import { gunzip } from './gunzip.js';
import { parseIdx } from './idx.js';
import type { PixelImage } from './imageProcessor.js';
import { type DataError, dataError } from './types.js';

/** Images that are read from the file's bytes when they are asked for. */
export interface ImageRows {
  /** The class of each image, as a number. */
  readonly labels: Uint8Array;
  /** An image, with as many channels as the file has. */
  readonly image: (i: number) => PixelImage;
}

const IDX = /images[-.]idx3-ubyte(\.gz)?$/;
const BINARY = /\.bin(\.gz)?$/;

/** Whether the name is that of a file with many images. */
export const isImageFile = (file: string): boolean => IDX.test(file) || BINARY.test(file);

const bytesOf = (file: string): TE.TaskEither<DataError, Uint8Array> =>
  pipe(
    TE.tryCatch(
      async () => new Uint8Array(await readFile(file)),
      (thrown) => dataError(`cannot read ${file}: ${errorCode(thrown)}`),
    ),
    TE.flatMapEither((bytes) => gunzip(bytes, file)),
  );

/** train-images-idx3-ubyte.gz → train-labels-idx1-ubyte.gz */
const labelsBeside = (file: string): string =>
  path.join(
    path.dirname(file),
    path.basename(file).replace(/images([-.])idx3-ubyte/, 'labels$1idx1-ubyte'),
  );

const idxRows = (file: string): TE.TaskEither<DataError, ImageRows> =>
  pipe(
    TE.Do,
    TE.bind('imageBytes', () => bytesOf(file)),
    TE.bind('labelBytes', () => bytesOf(labelsBeside(file))),
    TE.flatMapEither(({ imageBytes, labelBytes }) =>
      pipe(
        E.Do,
        E.bind('images', () => parseIdx(imageBytes, 3, file)),
        E.bind('labels', () => parseIdx(labelBytes, 1, labelsBeside(file))),
        E.flatMap(({ images, labels }): E.Either<DataError, ImageRows> => {
          const [count, height, width] = images.shape as [number, number, number];
          if (labels.size !== count) {
            return E.left(dataError(`${file}: ${count} images but ${labels.size} labels`));
          }
          const size = height * width;
          const image = (i: number): PixelImage => ({
            width,
            height,
            channels: 1,
            pixels: images.data.subarray(images.offset + i * size, images.offset + (i + 1) * size),
          });
          return E.right({ labels: Uint8Array.from(labels.data), image });
        }),
      ),
    ),
  );

const SIDE = 32;
const PLANE = SIDE * SIDE;
/** Label bytes before the planes: CIFAR-10 and fine labels alone; CIFAR-100 as published. */
const LABEL_BYTES = [1, 2] as const;

/** Rows of `labelBytes` and three planes of 32×32; the label is the last of these bytes. */
function cifarRows(bytes: Uint8Array, file: string): E.Either<DataError, ImageRows> {
  const labelBytes = LABEL_BYTES.find((n) => bytes.length % (n + 3 * PLANE) === 0);
  if (labelBytes === undefined || bytes.length === 0) {
    return E.left(
      dataError(`${file}: ${bytes.length} bytes, no whole number of rows of 3,073 or 3,074`),
    );
  }
  const row = labelBytes + 3 * PLANE;
  const image = (i: number): PixelImage => {
    const from = i * row + labelBytes;
    const pixels = new Uint8Array(3 * PLANE);
    for (let p = 0; p < pixels.length; p++) {
      pixels[p] = bytes[from + (p % 3) * PLANE + Math.floor(p / 3)] as number;
    }
    return { width: SIDE, height: SIDE, channels: 3, pixels };
  };
  const labels = Uint8Array.from(
    { length: bytes.length / row },
    (_, i) => bytes[i * row + labelBytes - 1] as number,
  );
  return E.right({ labels, image });
}

/**
 * The images of one file.
 * @param file `…images-idx3-ubyte`, with `…labels-idx1-ubyte` beside it, or `….bin`; `.gz` may follow.
 */
export const readImageFile = (file: string): TE.TaskEither<DataError, ImageRows> =>
  IDX.test(file)
    ? idxRows(file)
    : pipe(
        bytesOf(file),
        TE.flatMapEither((bytes) => cifarRows(bytes, file)),
      );

/**
 * The same image with another number of channels: grey becomes three equal ones, colours their luma as
 * ITU-R BT.601 weighs them.
 */
export function withChannels(image: PixelImage, channels: 1 | 3): PixelImage {
  if (image.channels === channels) return image;
  const { pixels } = image;
  const count = image.width * image.height;
  const grey = (i: number) =>
    (299 * (pixels[3 * i] as number) +
      587 * (pixels[3 * i + 1] as number) +
      114 * (pixels[3 * i + 2] as number)) /
    1000;
  const made =
    channels === 3
      ? Uint8Array.from({ length: 3 * count }, (_, p) => pixels[Math.floor(p / 3)] as number)
      : Uint8Array.from({ length: count }, (_, i) => Math.round(grey(i)));
  return { ...image, channels, pixels: made };
}
