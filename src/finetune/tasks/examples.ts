/** Examples as arrays: rows of one length, or token sequences that are padded batch by batch. */
import { type HostArray, type Key, range } from '../../autodiff/index.js';
import { bucketedBatches, bucketLengths } from '../../data/index.js';
import { countRows, shuffledBatches, takeRows } from '../../training/index.js';
import type { Examples } from './types.js';

type Rows = Readonly<Record<string, HostArray>>;

/** Arrays whose first axis counts the examples. */
export const fixedRows = (all: Rows): Examples => ({
  count: countRows(all),
  all,
  batches: (key, batchSize) => {
    const order = shuffledBatches(key, countRows(all), batchSize);
    return (step) => takeRows(all, order(step));
  },
  pick: (rows) => fixedRows(takeRows(all, rows)),
});

/** Examples of different lengths; `arrays` makes a batch of some, padded to a length. */
export function ragged<S>(
  sequences: readonly S[],
  lengthOf: (sequence: S) => number,
  buckets: number,
  arrays: (sequences: readonly S[], length: number) => Rows,
): Examples {
  const lengths = sequences.map(lengthOf);
  const limits = bucketLengths(lengths, buckets);
  return {
    count: sequences.length,
    all: arrays(sequences, limits.at(-1) ?? 1),
    batches: (key: Key, batchSize: number) => {
      const batch = bucketedBatches(key, lengths, batchSize, limits);
      return (step) => {
        const { rows, length } = batch(step);
        return arrays(
          rows.map((row) => sequences[row] as S),
          length,
        );
      };
    },
    pick: (rows) =>
      ragged(
        range(rows.length).map((i) => sequences[rows[i] as number] as S),
        lengthOf,
        buckets,
        arrays,
      ),
  };
}
