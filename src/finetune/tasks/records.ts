/** Records of a file, and what is read and written in each. */
import { readFile } from 'node:fs/promises';
import * as E from 'fp-ts/lib/Either.js';
import { FlatloraError } from '../../autodiff/index.js';
import {
  type DataError,
  type DataRecord,
  fillTemplate,
  parseRecords,
  textField,
} from '../../data/index.js';
import type { DataSource } from './types.js';

/** The value of a result about data, or its problem thrown. */
export function orDataError<A>(result: E.Either<DataError, A>): A {
  if (E.isLeft(result)) throw new FlatloraError('data', result.left.message);
  return result.right;
}

/** The records of a file; at least one. */
export async function recordsOf({ path, columns }: DataSource): Promise<readonly DataRecord[]> {
  let bytes: Uint8Array;
  try {
    bytes = new Uint8Array(await readFile(path));
  } catch (thrown) {
    throw new FlatloraError(
      'data',
      `cannot read ${path}: ${(thrown as NodeJS.ErrnoException).code ?? 'failed'}`,
    );
  }
  const records = orDataError(parseRecords(bytes, path, { columns }));
  if (records.length === 0) throw new FlatloraError('data', `${path}: there are no records`);
  return records;
}

const place = ({ path }: DataSource, i: number) => `${path}: record ${i + 1}`;

/** A template filled with each record. */
export const filled = (
  source: DataSource,
  records: readonly DataRecord[],
  template: string,
): readonly string[] =>
  records.map((record, i) => orDataError(fillTemplate(template, record, place(source, i))));

/** A field of each record. */
export const fields = (
  source: DataSource,
  records: readonly DataRecord[],
  field: string,
): readonly string[] =>
  records.map((record, i) => orDataError(textField(record, field, place(source, i))));

/** The first of these fields that the records have. */
export const knownField = (
  records: readonly DataRecord[],
  names: readonly string[],
): string | undefined => names.find((name) => Object.hasOwn(records[0] as DataRecord, name));

/**
 * Classes by name: those that the model knows, else those of the data in alphabetical order (numbers by
 * size). A label may also be the position of a class.
 */
export function labelsOf(
  source: DataSource,
  given: readonly string[],
  known: readonly string[] | undefined,
): { readonly labels: Int32Array; readonly classes: readonly string[] } {
  const found = [...new Set(given)];
  const allNumbers = found.every((label) => /^\d+$/.test(label));
  // Models that were never given names have LABEL_0, LABEL_1, …
  const named = known?.some((name) => !/^LABEL_\d+$/.test(name)) ? known : undefined;
  const classes =
    named !== undefined && !allNumbers
      ? named
      : allNumbers
        ? Array.from({ length: 1 + Math.max(...found.map(Number)) }, (_, i) => String(i))
        : found.sort();
  const limit = known?.length;
  if (limit !== undefined && classes.length > limit) {
    throw new FlatloraError(
      'data',
      `${source.path}: ${classes.length} classes, the model has ${limit}`,
    );
  }
  const positions = new Map(classes.map((name, i) => [name, i]));
  return {
    classes,
    labels: Int32Array.from(given, (label, i) => {
      const position = positions.get(label);
      if (position === undefined) {
        throw new FlatloraError(
          'data',
          `${place(source, i)}: label "${label}" is none of ${classes.slice(0, 8).join(', ')}`,
        );
      }
      return position;
    }),
  };
}
