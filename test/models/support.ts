/** Random weights and directional derivatives for the tests of `src/models`. */
import {
  flatData,
  floats,
  foldIn,
  grad,
  type HostArray,
  hostNormal,
  key,
  type MapLeaves,
  type Shape,
  sizeOf,
  treeLeaves,
  treeMap,
  treeMap2,
  type Value,
} from '../../src/autodiff/index.js';
import { derivativeAtZero, inner, moved, numbers, run } from '../support/numeric.js';

/** Standard normal numbers in float64. */
export const gaussian = (seed: number, shape: Shape, scale = 1): HostArray =>
  floats(
    Array.from(hostNormal(key(seed), sizeOf(shape)), (z) => scale * z),
    shape,
  );

/** The same tree with every number redrawn, norm scales around 1, so that nothing is 0 or 1. */
export function redrawn<T>(weights: T, seed: number, scale = 0.3): MapLeaves<T, HostArray> {
  let n = 0;
  return treeMap((leaf: HostArray, path) => {
    const drawn = hostNormal(foldIn(key(seed), n++), sizeOf(leaf.shape));
    const centre = path.endsWith('scale') ? 1 : 0;
    return floats(
      Array.from(drawn, (z) => centre + scale * z),
      leaf.shape,
    );
  }, weights);
}

/**
 * The derivative of a scalar loss along a random direction of all its weights: by reverse mode, and
 * by central differences.
 */
export function directional<T>(
  loss: (weights: T, ...rest: Value[]) => Value,
  weights: unknown,
  rest: readonly HostArray[],
  seed: number,
): { readonly reverse: number; readonly difference: number } {
  const direction = redrawn(weights, seed, 1);
  const gradients = run(
    (w: T, ...xs: Value[]) => grad((v: T) => loss(v, ...xs))(w),
    weights,
    ...rest,
  );
  const reverse = treeLeaves<HostArray>(direction).reduce(
    (sum, d, i) => sum + inner(d, gradients[i] as HostArray),
    0,
  );
  // The direction is long (one unit per weight), hence the short step.
  const difference = derivativeAtZero((h) => {
    const there = treeMap2((w: HostArray, d: HostArray) => moved(w, d, h), weights, direction);
    return numbers(loss as (...xs: Value[]) => Value, there, ...rest)[0] as number;
  }, 1e-4);
  return { reverse, difference };
}

/** A slice of the first axis of a host array, as numbers. */
export const rows = (x: HostArray, from: number, to: number): number[] => {
  const size = sizeOf(x.shape.slice(1));
  return Array.from(flatData(x)).slice(from * size, to * size);
};
