/**
 * Token sequences as batches: cut, padded by length bucket or packed into full rows, the prompt's labels
 * masked. All of it are values and pure functions of the step, so a run that goes on asks for batch t.
 */
import {
  FlatloraError,
  foldIn,
  type HostArray,
  hostArray,
  hostPermutation,
  type Key,
} from '../autodiff/index.js';

/** Of labels that are not asked for. */
export const IGNORED = -100;

/** Token ids, of which those before `from` are only read. */
export interface TokenSequence {
  readonly ids: readonly number[];
  /** The first position that is asked for; 0 asks for everything. */
  readonly from: number;
}

/** Arrays of equal first axis: int [n, T]; `mask` bool [n, T] is false at padding. */
export interface TokenRows {
  readonly tokens: HostArray;
  readonly labels: HostArray;
  readonly mask: HostArray;
}

/**
 * Sequences longer than `longest` without their end, or of what is read without its beginning where
 * otherwise nothing would be left to be asked for.
 */
export function cut({ ids, from }: TokenSequence, longest: number): TokenSequence {
  if (ids.length <= longest) return { ids, from };
  if (from < longest) return { ids: ids.slice(0, longest), from };
  const asked = ids.slice(from, from + Math.ceil(longest / 2));
  const read = ids.slice(0, from).slice(-(longest - asked.length));
  return { ids: [...read, ...asked], from: read.length };
}

/** Sequences as rows of one length, padded at their ends. */
export function paddedRows(
  sequences: readonly TokenSequence[],
  length: number,
  padding: number,
): TokenRows {
  const shape = [sequences.length, length];
  const size = sequences.length * length;
  const [tokens, labels, mask] = [
    new Int32Array(size).fill(padding),
    new Int32Array(size).fill(IGNORED),
    new Uint8Array(size),
  ];
  for (const [row, { ids, from }] of sequences.entries()) {
    if (ids.length > length) {
      throw new FlatloraError(
        'data',
        `paddedRows: sequence ${row} has ${ids.length} tokens, expected at most ${length}`,
      );
    }
    tokens.set(ids, row * length);
    labels.set(ids.slice(from), row * length + from);
    mask.fill(1, row * length, row * length + ids.length);
  }
  return {
    tokens: hostArray(tokens, shape),
    labels: hostArray(labels, shape),
    mask: hostArray(mask, shape),
  };
}

/**
 * Sequences one after another in rows of `length` tokens, cut where a row ends: no padding, as in
 * pre-training. Tokens see those before them in their row, whichever text they are of.
 */
export function packedRows(sequences: readonly TokenSequence[], length: number): TokenRows {
  const tokens: number[] = [];
  const labels: number[] = [];
  for (const { ids, from } of sequences) {
    tokens.push(...ids);
    labels.push(...ids.map((id, i) => (i < from ? IGNORED : id)));
  }
  const count = Math.floor(tokens.length / length);
  if (count === 0) {
    throw new FlatloraError(
      'data',
      `packedRows: ${tokens.length} tokens fill no row of ${length}; give more text or shorter rows`,
    );
  }
  const whole = (list: readonly number[]) =>
    hostArray(Int32Array.from(list.slice(0, count * length)), [count, length]);
  return {
    tokens: whole(tokens),
    labels: whole(labels),
    mask: hostArray(new Uint8Array(count * length).fill(1), [count, length]),
  };
}

/** The lengths that rows are padded to: about `count` of them, each holding as many examples. */
export function bucketLengths(
  lengths: readonly number[],
  count: number,
  multiple = 8,
): readonly number[] {
  const sorted = [...lengths].sort((a, b) => a - b);
  const last = sorted.at(-1) ?? 1;
  const rounded = Array.from({ length: count }, (_, i) => {
    const at = sorted[Math.ceil(((i + 1) * sorted.length) / count) - 1] ?? last;
    return Math.ceil(at / multiple) * multiple;
  });
  return [...new Set(rounded)];
}

/** The examples of a batch, and the length that they are padded to. */
export interface BucketBatch {
  readonly rows: readonly number[];
  readonly length: number;
}

/**
 * Walks through all examples again and again, each batch of one bucket. An epoch's batches come in
 * random order; what does not fill a batch at the end of a bucket is filled up from its beginning.
 */
export function bucketedBatches(
  key: Key,
  lengths: readonly number[],
  batchSize: number,
  buckets: readonly number[],
): (step: number) => BucketBatch {
  const members = buckets.map((length, i) => {
    const above = buckets[i - 1] ?? 0;
    return { length, rows: lengths.flatMap((n, row) => (n > above && n <= length ? [row] : [])) };
  });
  const filled = members.filter(({ rows }) => rows.length > 0);
  if (filled.reduce((n, { rows }) => n + rows.length, 0) < lengths.length) {
    throw new FlatloraError('argument', 'bucketedBatches: an example is longer than every bucket');
  }
  const epochBatches = (epoch: number): readonly BucketBatch[] => {
    const own = foldIn(key, epoch);
    const batches = filled.flatMap(({ length, rows }, i) => {
      const order = Array.from(
        hostPermutation(foldIn(own, i), rows.length),
        (place) => rows[place] as number,
      );
      return Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, n) => ({
        length,
        rows: Array.from(
          { length: batchSize },
          (__, j) => order[(n * batchSize + j) % order.length] as number,
        ),
      }));
    });
    return Array.from(
      hostPermutation(foldIn(own, filled.length), batches.length),
      (place) => batches[place] as BucketBatch,
    );
  };
  const perEpoch = filled.reduce((n, { rows }) => n + Math.ceil(rows.length / batchSize), 0);
  // The last epoch asked for, kept because drawing one orders all examples.
  let last: { readonly epoch: number; readonly batches: readonly BucketBatch[] } | undefined;
  return (step) => {
    const epoch = Math.floor(step / perEpoch);
    if (last?.epoch !== epoch) last = { epoch, batches: epochBatches(epoch) };
    return last.batches[step % perEpoch] as BucketBatch;
  };
}
