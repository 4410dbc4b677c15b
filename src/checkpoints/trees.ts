/** Trees of arrays as named tensors: the name is the place in the tree, such as `blocks.0.weight`. */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  avalOfHost,
  fail,
  flatten,
  floats,
  type HostArray,
  isHostArray,
  type Result,
  sameShape,
  showAval,
  unflatten,
} from '../autodiff/index.js';
import { type StoredTensor, stored, type WritableType } from './safetensors/storage.js';

const joined = (prefix: string, path: string): string =>
  prefix === '' || path === '' ? prefix + path : `${prefix}.${path}`;

/**
 * All leaves of a tree of host arrays by their place, after `prefix` and a dot where one is given.
 * Numbers become scalars.
 */
export function tensorsOfTree(
  tree: unknown,
  prefix = '',
): Result<ReadonlyMap<string, StoredTensor<WritableType>>> {
  const { leaves, paths } = flatten<unknown>(tree);
  const tensors = new Map<string, StoredTensor<WritableType>>();
  for (const [i, leaf] of leaves.entries()) {
    const name = joined(prefix, paths[i] as string);
    const array = typeof leaf === 'number' ? floats([leaf], []) : leaf;
    if (!isHostArray(array)) {
      return fail('checkpoint', `tensors: "${name}" is not on the host; download it first`);
    }
    if (tensors.has(name)) return fail('checkpoint', `tensors: two leaves are named "${name}"`);
    tensors.set(name, stored(array));
  }
  return E.right(tensors);
}

const avalOfLeaf = (leaf: unknown): Aval =>
  typeof leaf === 'number'
    ? { shape: [], dtype: 'float' }
    : isHostArray(leaf)
      ? avalOfHost(leaf)
      : (leaf as Aval);

/**
 * A tree like `template` (host arrays, traced values or anything with a shape and a dtype as leaves)
 * filled from tensors. Missing tensors, further ones under the prefix, and other shapes or dtypes are
 * problems that name the tensor.
 */
export function treeOfTensors<T>(
  template: T,
  tensors: ReadonlyMap<string, StoredTensor>,
  prefix = '',
): Result<T> {
  const { leaves, shape, paths } = flatten<unknown>(template);
  const names = paths.map((path) => joined(prefix, path));
  const arrays: HostArray[] = [];
  for (const [i, name] of names.entries()) {
    const found = tensors.get(name);
    if (found === undefined) return fail('checkpoint', `tensor "${name}" is missing`);
    const expected = avalOfLeaf(leaves[i]);
    const given = avalOfHost(found.array);
    if (given.dtype !== expected.dtype || !sameShape(given.shape, expected.shape)) {
      return fail(
        'checkpoint',
        `tensor "${name}" is ${showAval(given)}, expected ${showAval(expected)}`,
      );
    }
    arrays.push(found.array);
  }
  const own = new Set(names);
  const under = prefix === '' ? '' : `${prefix}.`;
  for (const name of tensors.keys()) {
    if (name.startsWith(under) && !own.has(name)) {
      return fail('checkpoint', `tensor "${name}" has no place in the tree`);
    }
  }
  return E.right(unflatten<T>(shape, arrays));
}
