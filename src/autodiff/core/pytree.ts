/**
 * Pytrees: nested arrays and objects whose leaves are arrays. Parameters, batches, optimiser states
 * and results all have this form; transforms work on the flat list of leaves and put the same tree
 * around what they give back.
 */
import { FlatloraError } from './errors.js';
import { isHostArray } from './host.js';
import { isValue } from './value.js';

/** A tree without its leaves. Objects are walked in the order of their sorted keys. */
export type TreeShape =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'static'; readonly value: unknown }
  | { readonly kind: 'list'; readonly items: readonly TreeShape[] }
  | {
      readonly kind: 'record';
      readonly keys: readonly string[];
      readonly items: readonly TreeShape[];
    };

/** Tree `T` with every leaf replaced by an `L`. */
export type MapLeaves<T, L> = T extends { readonly _tag: 'Value' }
  ? L
  : T extends { readonly data: ArrayLike<unknown>; readonly stride: number[] }
    ? L
    : T extends number
      ? L
      : T extends object
        ? T extends (...args: never[]) => unknown
          ? T
          : { readonly [K in keyof T]: MapLeaves<T[K], L> }
        : T;

const isDevice = (x: unknown): boolean =>
  typeof x === 'object' && x !== null && (x as { _tag?: unknown })._tag === 'DeviceArray';

const isLeaf = (x: unknown): boolean =>
  typeof x === 'number' || isValue(x) || isHostArray(x) || isDevice(x);

const isOperator = (x: unknown): boolean =>
  typeof x === 'object' && x !== null && (x as { _tag?: unknown })._tag === 'LinearOperator';

/** Parts of a tree that are no arrays and are kept as they are: names, flags, functions, operators. */
const isStatic = (x: unknown): boolean =>
  x === undefined ||
  x === null ||
  ['string', 'boolean', 'function'].includes(typeof x) ||
  isOperator(x);

export interface Flattened<L> {
  readonly leaves: readonly L[];
  readonly shape: TreeShape;
  /** Where each leaf stands, such as `blocks.0.mlp.weight`. */
  readonly paths: readonly string[];
}

/** Takes a tree apart; throws when it meets something that is neither a tree nor an array. */
export function flatten<L>(tree: unknown): Flattened<L> {
  const leaves: L[] = [];
  const paths: string[] = [];
  const walk = (node: unknown, path: string): TreeShape => {
    const below = (k: string | number) => (path === '' ? String(k) : `${path}.${k}`);
    if (isLeaf(node)) {
      leaves.push(node as L);
      paths.push(path);
      return { kind: 'leaf' };
    }
    if (isStatic(node)) return { kind: 'static', value: node };
    if (Array.isArray(node)) {
      return { kind: 'list', items: node.map((item, i) => walk(item, below(i))) };
    }
    if (typeof node === 'object' && node !== null) {
      const record = node as Readonly<Record<string, unknown>>;
      const keys = Object.keys(record).sort();
      return { kind: 'record', keys, items: keys.map((k) => walk(record[k], below(k))) };
    }
    throw new FlatloraError(
      'tree',
      `tree: leaf at "${path}" is ${typeof node}, expected an array or a number`,
    );
  };
  const shape = walk(tree, '');
  return { leaves, shape, paths };
}

/** Puts leaves back into a tree of the given shape. */
export function unflatten<T>(shape: TreeShape, leaves: readonly unknown[]): T {
  let next = 0;
  const build = (node: TreeShape): unknown => {
    switch (node.kind) {
      case 'leaf':
        return leaves[next++];
      case 'static':
        return node.value;
      case 'list':
        return node.items.map(build);
      case 'record':
        return Object.fromEntries(node.keys.map((k, i) => [k, build(node.items[i] as TreeShape)]));
    }
  };
  const tree = build(shape) as T;
  if (next !== leaves.length) {
    throw new FlatloraError('tree', `tree: ${leaves.length} leaves given, expected ${next}`);
  }
  return tree;
}

/**
 * A text that is equal for trees of equal shape.
 * @param nameOf tells functions in the tree apart; by default they all count as equal.
 */
export const showTreeShape = (
  shape: TreeShape,
  nameOf: (f: unknown) => string = () => 'function',
): string => {
  switch (shape.kind) {
    case 'leaf':
      return '*';
    case 'static':
      return typeof shape.value === 'function'
        ? nameOf(shape.value)
        : String(JSON.stringify(shape.value));
    case 'list':
      return `[${shape.items.map((item) => showTreeShape(item, nameOf)).join(',')}]`;
    case 'record':
      return `{${shape.keys.map((k, i) => `${k}:${showTreeShape(shape.items[i] as TreeShape, nameOf)}`).join(',')}}`;
  }
};

/** Applies `f` to each leaf. */
export function treeMap<L, M, T>(f: (leaf: L, path: string) => M, tree: T): MapLeaves<T, M> {
  const { leaves, shape, paths } = flatten<L>(tree);
  return unflatten(
    shape,
    leaves.map((leaf, i) => f(leaf, paths[i] as string)),
  );
}

/** Applies `f` to the leaves that stand at the same place in both trees. */
export function treeMap2<L, M, N, T>(
  f: (a: L, b: M, path: string) => N,
  first: T,
  second: unknown,
): MapLeaves<T, N> {
  const a = flatten<L>(first);
  const b = flatten<M>(second);
  if (showTreeShape(a.shape) !== showTreeShape(b.shape)) {
    throw new FlatloraError(
      'tree',
      `treeMap2: trees differ: ${showTreeShape(a.shape)} and ${showTreeShape(b.shape)}`,
    );
  }
  return unflatten(
    a.shape,
    a.leaves.map((leaf, i) => f(leaf, b.leaves[i] as M, a.paths[i] as string)),
  );
}

/** All leaves in order. */
export const treeLeaves = <L>(tree: unknown): readonly L[] => flatten<L>(tree).leaves;
