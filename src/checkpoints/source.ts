/**
 * Where tensors come from: a file's header is known, a tensor is read when it is asked for. A whole file
 * in memory, a folder of shards on disk and a download look the same from here.
 */
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type HostArray, type Problem, problem, type Shape } from '../autodiff/index.js';
import type { Safetensors } from './safetensors/codec.js';
import type { StorageType } from './safetensors/storage.js';

/** What a header says of a tensor. */
export interface TensorInfo {
  readonly storage: StorageType;
  readonly shape: Shape;
}

export interface TensorSource {
  readonly entries: ReadonlyMap<string, TensorInfo>;
  /** Reads one tensor; a problem of kind `checkpoint` that names it when that fails. */
  readonly read: (name: string) => TE.TaskEither<Problem, HostArray>;
}

/** Tensors that are in memory already. */
export const sourceOfTensors = ({ tensors }: Pick<Safetensors, 'tensors'>): TensorSource => ({
  entries: new Map(
    [...tensors].map(([name, { storage, array }]) => [name, { storage, shape: array.shape }]),
  ),
  read: (name) => {
    const found = tensors.get(name);
    return found === undefined
      ? TE.left(problem('checkpoint', `tensor "${name}" is missing`))
      : TE.right(found.array);
  },
});
