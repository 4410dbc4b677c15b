/**
 * Batches as pure functions of the step: a run that resumes at step t needs no iterator state, it
 * asks for batch t.
 */
import {
  FlatloraError,
  flatData,
  flatten,
  foldIn,
  type HostArray,
  type HostData,
  hostArray,
  hostPermutation,
  type Key,
  sizeOf,
  treeMap,
} from '../autodiff/index.js';

/** Which examples make up batch number n, n from 0. */
export type BatchIndices = (batch: number) => Int32Array;

const requireCount = (name: string, argument: string, x: number): void => {
  if (!Number.isInteger(x) || x < 1) {
    throw new FlatloraError(
      'argument',
      `${name}: ${argument} is ${x}, expected a positive integer`,
    );
  }
};

/**
 * Walks through all `count` examples in a random order, then in another one, without end. Every
 * batch is full: one that starts near the end of an epoch goes on with the next. Epoch e's order is
 * that of the key number e of `key`.
 */
export function shuffledBatches(key: Key, count: number, batchSize: number): BatchIndices {
  requireCount('shuffledBatches', 'count', count);
  requireCount('shuffledBatches', 'batchSize', batchSize);
  // The last order asked for, kept because drawing one sorts all examples.
  let last: { readonly epoch: number; readonly order: Int32Array } | undefined;
  const orderOf = (epoch: number): Int32Array => {
    if (last?.epoch !== epoch) last = { epoch, order: hostPermutation(foldIn(key, epoch), count) };
    return last.order;
  };
  return (batch) =>
    Int32Array.from({ length: batchSize }, (_, i) => {
      const position = batch * batchSize + i;
      return orderOf(Math.floor(position / count))[position % count] as number;
    });
}

/** The rows of an array with the given numbers, in their order. */
function pickRows(array: HostArray, rows: ArrayLike<number>): HostArray {
  const [count, ...rest] = array.shape as [number, ...number[]];
  const width = sizeOf(rest);
  const from = flatData(array);
  const to = new (from.constructor as new (n: number) => HostData)(rows.length * width);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    if (!(row >= 0 && row < count)) {
      throw new FlatloraError('argument', `takeRows: row ${row}, expected 0 to ${count - 1}`);
    }
    to.set(from.subarray(row * width, (row + 1) * width) as never, i * width);
  }
  return hostArray(to, [rows.length, ...rest]);
}

/** The examples with the given numbers, from every array of a tree whose first axis counts them. */
export const takeRows = <X>(examples: X, rows: ArrayLike<number>): X =>
  treeMap((array: HostArray) => pickRows(array, rows), examples) as X;

/** How many examples a tree holds: the size of every array's first axis. */
export function countRows(examples: unknown): number {
  const { leaves, paths } = flatten<HostArray>(examples);
  const [first] = leaves;
  const count = first?.shape[0];
  const odd = leaves.findIndex((x) => x.shape[0] !== count);
  if (count === undefined || odd >= 0) {
    const given = odd >= 0 ? `"${paths[odd]}" has ${leaves[odd]?.shape[0]}` : 'there is none';
    throw new FlatloraError(
      'shape',
      `examples: every array's first axis must count the examples (${count}), but ${given}`,
    );
  }
  return count;
}
