/**
 * Examples as records, from the formats that people keep them in: JSON Lines, JSON, CSV and TSV. A
 * record is a row with named fields; what they mean is said by templates and field names later.
 */
import * as E from 'fp-ts/lib/Either.js';
import Papa from 'papaparse';
import { type DataError, dataError } from './types.js';

export type DataRecord = Readonly<Record<string, unknown>>;

export type RecordFormat = 'jsonl' | 'json' | 'csv' | 'tsv';

type Read<A> = E.Either<DataError, A>;

const bad = (message: string): E.Either<DataError, never> => E.left(dataError(message));

/** The format that a file's name speaks of. */
export function formatOf(file: string): Read<RecordFormat> {
  const ending = /\.(jsonl|ndjson|json|csv|tsv)$/i.exec(file)?.[1]?.toLowerCase();
  return ending === undefined
    ? bad(`${file}: the name ends in none of .jsonl, .json, .csv, .tsv`)
    : E.right(ending === 'ndjson' ? 'jsonl' : (ending as RecordFormat));
}

const isRecord = (x: unknown): x is DataRecord =>
  typeof x === 'object' && x !== null && !Array.isArray(x);

const utf8 = (bytes: Uint8Array, file: string): Read<string> =>
  E.tryCatch(
    () => new TextDecoder('utf-8', { fatal: true }).decode(bytes),
    () => dataError(`${file}: not a text in UTF-8`),
  );

function jsonLines(text: string, file: string): Read<readonly DataRecord[]> {
  const records: DataRecord[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return bad(`${file}: line ${i + 1} is not JSON`);
    }
    if (!isRecord(value)) return bad(`${file}: line ${i + 1} is no object with fields`);
    records.push(value);
  }
  return E.right(records);
}

function jsonList(text: string, file: string): Read<readonly DataRecord[]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return bad(`${file}: not JSON`);
  }
  // Some files wrap the list: {"data": […]}.
  const list = isRecord(value) && Array.isArray(value.data) ? value.data : value;
  if (!Array.isArray(list)) return bad(`${file}: holds no list of objects`);
  const odd = list.findIndex((item) => !isRecord(item));
  return odd < 0 ? E.right(list) : bad(`${file}: item ${odd + 1} is no object with fields`);
}

/** Rows under a line of names; TSV as GLUE has it, where a quotation mark is only a character. */
function table(
  text: string,
  file: string,
  format: 'csv' | 'tsv',
  columns: readonly string[] | undefined,
): Read<readonly DataRecord[]> {
  const parsed = Papa.parse<string[]>(text, {
    delimiter: format === 'tsv' ? '\t' : ',',
    // Without it quotation marks would have their meaning in TSV too.
    fastMode: format === 'tsv' ? true : undefined,
    skipEmptyLines: true,
  });
  const [error] = parsed.errors;
  if (error !== undefined) return bad(`${file}: row ${(error.row ?? 0) + 1}: ${error.message}`);
  const [first, ...later] = parsed.data;
  const [names, rows] = columns === undefined ? [first ?? [], later] : [columns, parsed.data];
  const odd = rows.findIndex((row) => row.length !== names.length);
  if (odd >= 0) {
    const number = odd + (columns === undefined ? 2 : 1);
    return bad(
      `${file}: row ${number} has ${rows[odd]?.length} fields, expected ${names.length}: ${names.join(', ')}`,
    );
  }
  return E.right(rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]]))));
}

export interface RecordOptions {
  /** By default what the file's name speaks of. */
  readonly format?: RecordFormat | undefined;
  /** Names of a table's columns where the first line has none, as in CoLA's files. */
  readonly columns?: readonly string[] | undefined;
}

/**
 * The records of a file.
 * @returns a problem that names the file and the line when it is not in the format.
 */
export const parseRecords = (
  bytes: Uint8Array,
  file: string,
  { format, columns }: RecordOptions = {},
): Read<readonly DataRecord[]> =>
  E.flatMap(format === undefined ? formatOf(file) : E.right(format), (known) =>
    E.flatMap(utf8(bytes, file), (text) => {
      switch (known) {
        case 'jsonl':
          return jsonLines(text, file);
        case 'json':
          return jsonList(text, file);
        default:
          return table(text, file, known, columns);
      }
    }),
  );

/** A field as text: numbers and booleans are written out; anything else is a problem. */
export function textField(record: DataRecord, field: string, where: string): Read<string> {
  const value = Object.hasOwn(record, field) ? record[field] : undefined;
  if (typeof value === 'string') return E.right(value);
  if (typeof value === 'number' || typeof value === 'boolean') return E.right(String(value));
  return bad(
    value === undefined
      ? `${where}: there is no field "${field}", only ${Object.keys(record).slice(0, 8).join(', ')}`
      : `${where}: field "${field}" is ${Array.isArray(value) ? 'a list' : typeof value}, expected a text`,
  );
}

const HOLE = /\{([A-Za-z_][A-Za-z0-9_ .-]*)\}/g;

/**
 * A template with its holes filled: `classify: {sentence} result:`. A hole is a field's name in braces;
 * other braces stay as they are.
 */
export function fillTemplate(template: string, record: DataRecord, where: string): Read<string> {
  let problem: DataError | undefined;
  const text = template.replace(HOLE, (_, field: string) => {
    const filled = textField(record, field, where);
    if (E.isLeft(filled)) {
      problem ??= filled.left;
      return '';
    }
    return filled.right;
  });
  return problem === undefined ? E.right(text) : E.left(problem);
}
