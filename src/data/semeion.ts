/**
 * Semeion Handwritten Digit (Semeion Research Center, UCI 1998, CC BY 4.0): 1593 digits of about
 * 80 Italian writers, stretched to fill 16×16 and binarised. There is no official split.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import ndarray from 'ndarray';
import { parseRows } from './rows.js';
import { type DataError, DIGIT_CLASSES, dataError, type ImageDataset } from './types.js';

const SIDE = 16;
const PIXELS = SIDE * SIDE;
const CLASSES = 10;

/** The official file writes pixels as `0.0000`; shortened copies write `0`. Both are read. */
const read = (text: string): number | undefined =>
  /^[01](\.0{1,8})?$/.test(text) ? Number(text[0]) : undefined;

/**
 * Reads `semeion.data`: per line 256 pixels (0 or 1), then ten numbers of which exactly one is 1
 * and marks the digit; single spaces between them.
 * @returns images [n, 16, 16] of 0 and 1, labels [n].
 */
export const parseSemeion = (
  bytes: Uint8Array,
  file = 'semeion.data',
): E.Either<DataError, ImageDataset> =>
  pipe(
    parseRows(bytes, { file, separator: ' ', fields: PIXELS + CLASSES, read }),
    E.filterOrElse(
      (rows) => rows.every((row) => marks(row) === 1),
      (rows) => {
        const line = rows.findIndex((row) => marks(row) !== 1);
        const count = marks(rows[line] ?? []);
        return dataError(`${file}: line ${line + 1} marks ${count} digits, expected 1`);
      },
    ),
    E.map((rows) => ({
      name: file,
      images: ndarray(Float32Array.from(rows.flatMap((row) => row.slice(0, PIXELS))), [
        rows.length,
        SIDE,
        SIDE,
      ]),
      labels: ndarray(
        Int32Array.from(rows, (row) => row.indexOf(1, PIXELS) - PIXELS),
        [rows.length],
      ),
      classes: DIGIT_CLASSES,
    })),
  );

const marks = (row: readonly number[]): number =>
  row.slice(PIXELS).reduce((sum, value) => sum + value, 0);
