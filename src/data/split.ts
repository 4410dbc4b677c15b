/** Few-shot splits and mini-batches, both chosen by an explicit key. */
import { type Either, left, right } from 'fp-ts/lib/Either.js';
import { foldIn, hostPermutation, type Key } from '../autodiff/random/keys.js';
import { type DataError, dataError, type ImageDataset, takeRows } from './types.js';

/** `chosen` has exactly `perClass` rows of each class; `rest` has all others, in their order. */
export interface ClassSplit {
  readonly chosen: ImageDataset;
  readonly rest: ImageDataset;
}

/**
 * A stratified split: `perClass` random rows of every class, and what is left.
 *
 * The rows of `chosen` go round the classes (0, 1, …, 9, 0, 1, …), so any prefix is nearly
 * balanced too. The same key gives nested choices: the split with 5 per class is contained in the
 * split with 10, which makes curves over the number of labels comparable.
 * @param perClass rows per class, a positive integer.
 * @returns Left where a class has fewer than `perClass` rows.
 */
export function splitByClass(
  dataset: ImageDataset,
  perClass: number,
  key: Key,
): Either<DataError, ClassSplit> {
  if (!Number.isInteger(perClass) || perClass < 1) {
    return left(dataError(`splitByClass: perClass must be a positive integer, given ${perClass}`));
  }
  const count = dataset.labels.shape[0] ?? 0;
  const rowsOf: number[][] = dataset.classes.map(() => []);
  for (const row of hostPermutation(key, count)) rowsOf[dataset.labels.get(row)]?.push(row);

  const short = rowsOf.findIndex((rows) => rows.length < perClass);
  if (short >= 0) {
    const have = rowsOf[short]?.length ?? 0;
    const name = dataset.classes[short] ?? String(short);
    return left(
      dataError(`${dataset.name}: class '${name}' has ${have} rows, ${perClass} were asked for`),
    );
  }
  const chosen = Array.from({ length: perClass }, (_, i) =>
    rowsOf.map((rows) => rows[i] as number),
  ).flat();
  const taken = new Set(chosen);
  const rest = Array.from({ length: count }, (_, row) => row).filter((row) => !taken.has(row));
  return right({ chosen: takeRows(dataset, chosen), rest: takeRows(dataset, rest) });
}

/**
 * Endless mini-batches of row numbers. Every epoch is a fresh random order of 0 … count − 1, made
 * from `foldIn(key, epoch)`; batches run on over the end of an epoch, so all have the same size
 * (compiled programs want one shape) and no row is ever left out: the first `count` numbers that
 * come out are one permutation, the next `count` another.
 * @param count rows of the data set, at least 1.
 * @param batchSize rows per batch, at least 1; it may exceed `count`.
 * @throws RangeError where either is not a positive integer.
 */
export function* batches(
  key: Key,
  count: number,
  batchSize: number,
): Generator<Int32Array, never, undefined> {
  for (const [name, value] of Object.entries({ count, batchSize })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`batches: ${name} must be a positive integer, given ${value}`);
    }
  }
  let batch = new Int32Array(batchSize);
  let filled = 0;
  for (let epoch = 0; ; epoch++) {
    for (const row of hostPermutation(foldIn(key, epoch), count)) {
      batch[filled++] = row;
      if (filled === batchSize) {
        yield batch;
        batch = new Int32Array(batchSize);
        filled = 0;
      }
    }
  }
}

/**
 * The rows 0 … count − 1 in their order, in pieces of at most `batchSize`: for evaluation, where
 * each row must be seen exactly once.
 */
export function inOrder(count: number, batchSize: number): readonly Int32Array[] {
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, piece) =>
    Int32Array.from(
      { length: Math.min(batchSize, count - piece * batchSize) },
      (_unused, i) => piece * batchSize + i,
    ),
  );
}
