/** Random test data from a seed that fast-check chose: shapes shrink, the numbers in them need not. */
import fc from 'fast-check';
import {
  type HalfPrecision,
  type HostArray,
  hostArray,
  ints,
  type Shape,
  sizeOf,
  toHalf,
} from '../../src/autodiff/index.js';
import { floats } from './numeric.js';

/** Uniform numbers in [0, 1) from a small generator (mulberry32) that is not the engine's. */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export type Random = () => number;

export const between = (random: Random, low: number, high: number): number =>
  low + (high - low) * random();

export const integerBetween = (random: Random, low: number, high: number): number =>
  low + Math.floor(random() * (high - low + 1));

/** Floats in [low, high). */
export const uniformArray = (random: Random, shape: Shape, low = -2, high = 2): HostArray =>
  floats(
    Array.from({ length: sizeOf(shape) }, () => between(random, low, high)),
    shape,
  );

/** Floats in ±[low, high): away from zero. */
export const awayFromZero = (random: Random, shape: Shape, low = 0.5, high = 2): HostArray =>
  floats(
    Array.from(
      { length: sizeOf(shape) },
      () => between(random, low, high) * (random() < 0.5 ? -1 : 1),
    ),
    shape,
  );

export const integerArray = (random: Random, shape: Shape, low: number, high: number): HostArray =>
  ints(
    Array.from({ length: sizeOf(shape) }, () => integerBetween(random, low, high)),
    shape,
  );

export const boolArray = (random: Random, shape: Shape): HostArray =>
  hostArray(
    Uint8Array.from({ length: sizeOf(shape) }, () => integerBetween(random, 0, 1)),
    shape,
  );

export const wordArray = (random: Random, shape: Shape): HostArray =>
  hostArray(
    Uint32Array.from({ length: sizeOf(shape) }, () => Math.floor(random() * 2 ** 32)),
    shape,
  );

/** Numbers of a half precision, as they are stored. */
export const halfArray = (random: Random, shape: Shape, precision: HalfPrecision): HostArray =>
  toHalf(uniformArray(random, shape), precision);

/** A random order of a list. */
export function shuffled<A>(random: Random, list: readonly A[]): A[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = integerBetween(random, 0, i);
    [out[i], out[j]] = [out[j] as A, out[i] as A];
  }
  return out;
}

/** Floats of which no two are closer than 0.2, so that the greatest stays the greatest. */
export const spacedArray = (random: Random, shape: Shape): HostArray => {
  const size = sizeOf(shape);
  const order = shuffled(
    random,
    Array.from({ length: size }, (_, i) => i),
  );
  return floats(
    order.map((rank) => (rank - size / 2) * 0.3 + between(random, 0, 0.1)),
    shape,
  );
};

/** Sizes of an axis: odd and even ones, one, and now and then none. */
export const axisSize: fc.Arbitrary<number> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(2, 3) },
  { weight: 2, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.constant(5) },
  { weight: 1, arbitrary: fc.constant(0) },
);

export const positiveSize: fc.Arbitrary<number> = fc.constantFrom(1, 2, 3, 3, 5);

export const shapeOf = (
  minLength: number,
  maxLength: number,
  size: fc.Arbitrary<number> = axisSize,
): fc.Arbitrary<Shape> => fc.array(size, { minLength, maxLength });

export const anyShape = shapeOf(0, 3);

export const seeds: fc.Arbitrary<number> = fc.nat(2 ** 31 - 1);
