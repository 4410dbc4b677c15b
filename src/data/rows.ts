/** Text tables of numbers, one row a line: the common part of the optdigits and semeion formats. */
import { type Either, isLeft, left, right } from 'fp-ts/lib/Either.js';
import { type DataError, dataError } from './types.js';

export interface RowFormat {
  /** The file's name, for errors. */
  readonly file: string;
  /** What stands between two fields. */
  readonly separator: string;
  /** Fields per row. */
  readonly fields: number;
  /** The number a field stands for, or undefined if it may not stand there. */
  readonly read: (text: string, column: number) => number | undefined;
}

/** A hostile line is quoted only this far, so that an error stays one short line. */
const QUOTED = 20;

const quote = (text: string): string =>
  JSON.stringify(text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text);

function readRow(
  line: string,
  number: number,
  format: RowFormat,
): Either<DataError, readonly number[]> {
  const { file, separator, fields, read } = format;
  const texts = line.trim().split(separator);
  if (texts.length !== fields) {
    return left(
      dataError(`${file}: line ${number} has ${texts.length} fields, expected ${fields}`),
    );
  }
  const row: number[] = [];
  for (const [column, text] of texts.entries()) {
    const value = read(text, column);
    if (value === undefined) {
      return left(
        dataError(`${file}: line ${number}, field ${column + 1}: ${quote(text)} is not allowed`),
      );
    }
    row.push(value);
  }
  return right(row);
}

/**
 * All rows of a text file. Lines end in LF or CRLF; blank lines may only stand at the end.
 * @returns Left for the first bad line, or where there is none at all.
 */
export function parseRows(
  bytes: Uint8Array,
  format: RowFormat,
): Either<DataError, readonly (readonly number[])[]> {
  // latin1 never fails and keeps one character per byte; `read` refuses what is not a number.
  const text = new TextDecoder('latin1').decode(bytes).trimEnd();
  if (text === '') return left(dataError(`${format.file}: the file is empty`));
  const rows: (readonly number[])[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const row = readRow(line, index + 1, format);
    if (isLeft(row)) return row;
    rows.push(row.right);
  }
  return right(rows);
}
