/**
 * A folder of images, one subfolder per class (Node). Decoding is done by `sharp`, an optional
 * dependency: it bounds the pixels that a file may unfold to, whatever its header promises.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { errorCode } from './errorCode.js';
import { type DataError, dataError } from './types.js';

/** An image as it was decoded: 8 bits a channel. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3;
  /** [height, width, channels], row-major. */
  readonly pixels: Uint8Array;
}

export interface ImageFile {
  readonly file: string;
  /** Position in the list of classes. */
  readonly label: number;
}

export interface ImageFolder {
  /** Names of the subfolders, in alphabetical order. */
  readonly classes: readonly string[];
  readonly files: readonly ImageFile[];
}

const IMAGE = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;

/** Far more than any photograph, far less than what fills a memory. */
const MAX_PIXELS = 50_000_000;

/** Which images there are, in alphabetical order; nothing is decoded. */
export const listImages = (folder: string): TE.TaskEither<DataError, ImageFolder> =>
  TE.tryCatch(
    async () => {
      const entries = await readdir(folder, { withFileTypes: true });
      const classes = entries
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
        .sort();
      if (classes.length < 2) {
        throw new Error(`${classes.length} subfolders, expected one for each class`);
      }
      const files: ImageFile[] = [];
      for (const [label, name] of classes.entries()) {
        const names = (await readdir(path.join(folder, name))).filter((f) => IMAGE.test(f)).sort();
        if (names.length === 0) throw new Error(`no images in ${name}`);
        files.push(...names.map((f) => ({ file: path.join(folder, name, f), label })));
      }
      return { classes, files };
    },
    (thrown) => dataError(`${folder}: ${errorCode(thrown)}`),
  );

type Sharp = typeof import('sharp')['default'];

const withSharp: TE.TaskEither<DataError, Sharp> = TE.tryCatch(
  async () => (await import('sharp')).default,
  () => dataError('images are decoded by the optional package sharp: npm install sharp'),
);

/** Decodes a file; transparent parts become white. */
export const decodeImage = (
  file: string,
  { channels }: Pick<DecodedImage, 'channels'>,
): TE.TaskEither<DataError, DecodedImage> =>
  TE.flatMap((sharp: Sharp) =>
    TE.tryCatch(
      async () => {
        const image = sharp(file, { limitInputPixels: MAX_PIXELS, failOn: 'truncated' })
          .rotate()
          .flatten({ background: 'white' })
          .toColourspace(channels === 1 ? 'b-w' : 'srgb');
        const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
        if (info.channels !== channels) {
          throw new Error(`${info.channels} channels, expected ${channels}`);
        }
        return { width: info.width, height: info.height, channels, pixels: new Uint8Array(data) };
      },
      (thrown) => dataError(`${file}: ${errorCode(thrown).slice(0, 200)}`),
    ),
  )(withSharp);
