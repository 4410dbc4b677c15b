/**
 * The chosen numbers of a tree of weights as one long vector: Lanczos, Hutchinson and ascent work on
 * vectors in float64, programs on the arrays that the tree is made of.
 */
import {
  check,
  dtypeOfHost,
  flatData,
  flatten,
  type HostArray,
  hostArray,
  isHalf,
  orThrow,
  unflatten,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { selectTargets, type Target } from '../targets.js';

export interface ParameterSpace {
  /** How many numbers. */
  readonly size: number;
  /** Which leaves of the tree take part, as places in the list of its leaves. */
  readonly places: readonly number[];
  /** A vector as arrays of these leaves' shapes. */
  readonly arrays: (vector: Float64Array) => readonly HostArray[];
  /** Such arrays as a vector. */
  readonly vector: (arrays: readonly HostArray[]) => Float64Array;
}

/**
 * The space of a tree of host weights.
 * @param targetModules which matrices take part; by default every leaf of floats (half precision too).
 * @throws FlatloraError when a target names no matrix, or no leaf is left.
 */
export function parameterSpace(
  weights: unknown,
  targetModules?: readonly Target[],
): ParameterSpace {
  const { leaves, paths } = flatten<HostArray>(weights);
  const wanted = targetModules && orThrow(selectTargets(weights, targetModules));
  const places = [...leaves.keys()].filter((i) => {
    const dtype = dtypeOfHost(leaves[i] as HostArray);
    return (dtype === 'float' || isHalf(dtype)) && (wanted?.includes(paths[i] as string) ?? true);
  });
  const shapes = places.map((i) => (leaves[i] as HostArray).shape);
  const sizes = places.map((i) => (leaves[i] as HostArray).size);
  const size = sizes.reduce((sum, n) => sum + n, 0);
  orThrow(
    check(size > 0, 'tree', () => 'weights: no array of floats given, expected at least one'),
  );
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, n) => sum + n, 0));
  return {
    size,
    places,
    arrays: (vector) =>
      shapes.map((shape, i) => {
        const from = starts[i] as number;
        return hostArray(vector.slice(from, from + (sizes[i] as number)), shape);
      }),
    vector: (arrays) => {
      const out = new Float64Array(size);
      for (const [i, array] of arrays.entries()) out.set(flatData(array), starts[i] as number);
      return out;
    },
  };
}

/** The leaves at some places of a tree, half precision widened; traceable. */
export const leavesAt = (weights: unknown, places: readonly number[]): readonly Value[] => {
  const { leaves } = flatten<Value>(weights);
  return places.map((i) => widened(leaves[i] as Value));
};

/** The tree with other leaves at some places; traceable. */
export function withLeaves<W>(weights: W, places: readonly number[], given: readonly Value[]): W {
  const { leaves, shape } = flatten<Value>(weights);
  const all = leaves.map(widened);
  for (const [k, i] of places.entries()) all[i] = given[k] as Value;
  return unflatten<W>(shape, all);
}

export const innerProduct = (x: Float64Array, y: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
};

export const norm = (x: Float64Array): number => Math.sqrt(innerProduct(x, x));

/** c·x as a new vector. */
export const scaled = (x: Float64Array, c: number): Float64Array => x.map((value) => c * value);

/** x + c·y as a new vector. */
export const plusScaled = (x: Float64Array, c: number, y: Float64Array): Float64Array =>
  x.map((value, i) => value + c * (y[i] as number));
