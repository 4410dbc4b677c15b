/**
 * Optical Recognition of Handwritten Digits (Alpaydin & Kaynak, UCI 1998, CC BY 4.0): 8×8 counts
 * of ink in 4×4 blocks of a 32×32 bitmap, so each number is 0 to 16; 43 writers, 30 of them in the
 * training file and the other 13 in the test file.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import ndarray from 'ndarray';
import { parseRows } from './rows.js';
import { type DataError, DIGIT_CLASSES, type ImageDataset } from './types.js';

const SIDE = 8;
const PIXELS = SIDE * SIDE;
/** Largest pixel: all 16 cells of a block inked. */
const FULL = 16;

function read(text: string, column: number): number | undefined {
  if (!/^\d{1,2}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= (column < PIXELS ? FULL : 9) ? value : undefined;
}

/**
 * Reads `optdigits.tra` or `optdigits.tes`: per line 64 pixels (0–16) and the digit, with commas.
 * @returns images [n, 8, 8] in sixteenths 0 … 1, labels [n].
 */
export const parseOptdigits = (
  bytes: Uint8Array,
  file = 'optdigits',
): E.Either<DataError, ImageDataset> =>
  pipe(
    parseRows(bytes, { file, separator: ',', fields: PIXELS + 1, read }),
    E.map((rows) => ({
      name: file,
      images: ndarray(
        Float32Array.from(
          rows.flatMap((row) => row.slice(0, PIXELS)),
          (value) => value / FULL,
        ),
        [rows.length, SIDE, SIDE],
      ),
      labels: ndarray(
        Int32Array.from(rows, (row) => row[PIXELS] as number),
        [rows.length],
      ),
      classes: DIGIT_CLASSES,
    })),
  );
