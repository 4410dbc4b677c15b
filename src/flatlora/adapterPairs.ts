/** For optimisers that treat A and B of a layer together: adapters as pairs, and layers as stacks. */
import {
  concat,
  FlatloraError,
  reshape,
  type Shape,
  showShape,
  sliceAxis,
  type Value,
} from '../autodiff/index.js';

/** A [r, n] and B [m, r] of one layer; leaves are values while tracing, arrays on the host. */
export interface Pair<L = Value> {
  readonly a: L;
  readonly b: L;
}

/** By the path of the weight matrix. */
export type Pairs<L = Value> = Readonly<Record<string, Pair<L>>>;

/**
 * A tree of parameters as pairs.
 * @throws FlatloraError 'tree' where a layer has other arrays than a [r, n] and b [m, r]: methods with
 *   magnitudes or other parts have no such optimiser.
 */
export function requirePairs<L extends { readonly shape: Shape }>(
  name: string,
  tree: unknown,
): Pairs<L> {
  const layers = Object.entries((tree ?? {}) as Readonly<Record<string, unknown>>);
  for (const [path, layer] of layers) {
    const parts = (layer ?? {}) as Readonly<Record<string, L>>;
    const { a, b } = parts;
    const fits =
      Object.keys(parts).sort().join() === 'a,b' &&
      a?.shape.length === 2 &&
      b?.shape.length === 2 &&
      a.shape[0] === b.shape[1];
    if (!fits) {
      const given = Object.entries(parts).map(([part, x]) => `${part} ${showShape(x.shape ?? [])}`);
      throw new FlatloraError(
        'tree',
        `${name}: "${path}" has ${given.join(', ')}, expected a [r,n] and b [m,r] as LoRA's adapters`,
      );
    }
  }
  if (layers.length === 0) {
    throw new FlatloraError('tree', `${name}: no layers given, expected pairs a [r,n], b [m,r]`);
  }
  return tree as Pairs<L>;
}

/** Layers of equal shapes. */
export interface Group {
  readonly paths: readonly string[];
  readonly rank: number;
}

/** The layers by shape, so that each group is computed at once as a stack. */
export function groupsOf(pairs: Pairs): readonly Group[] {
  const groups = new Map<string, { paths: string[]; rank: number }>();
  for (const [path, { a, b }] of Object.entries(pairs)) {
    const shapes = `${showShape(a.shape)}${showShape(b.shape)}`;
    const group = groups.get(shapes) ?? { paths: [], rank: a.shape[0] as number };
    group.paths.push(path);
    groups.set(shapes, group);
  }
  return [...groups.values()];
}

/** Arrays of one shape as one, along a new first axis. */
export const stacked = (arrays: readonly Value[]): Value =>
  concat(arrays.map((x) => reshape(x, [1, ...x.shape])));

/** The arrays of a stack. */
export const unstacked = (stack: Value): readonly Value[] =>
  Array.from({ length: stack.shape[0] as number }, (_, i) =>
    reshape(sliceAxis(stack, 0, i, i + 1), stack.shape.slice(1)),
  );

/** The pairs of a group as one pair of stacks: a [L, r, n], b [L, m, r]. */
export const stackedPair = (pairs: Pairs, { paths }: Group): Pair => ({
  a: stacked(paths.map((path) => (pairs[path] as Pair).a)),
  b: stacked(paths.map((path) => (pairs[path] as Pair).b)),
});
