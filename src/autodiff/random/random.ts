/**
 * Random numbers inside programs. Every function takes its key; the same key gives the same numbers
 * on every backend, and equals the functions on the host (`keys.ts`).
 */
import type * as S from 'fp-ts/lib/State.js';
import type { Shape } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { bind, type Value } from '../core/value.js';
import { add, bitsToUniform, convert, equal, lt, mul, select } from '../primitives/elementwise.js';
import { scatterAdd } from '../primitives/indexing.js';
import { reduceSum } from '../primitives/reduce.js';
import {
  deriveKeyPrimitive,
  iota,
  lift,
  type Operand,
  randomBitsPrimitive,
  randomNormalPrimitive,
  scalar,
} from '../primitives/source.js';
import { broadcastTo, reshape, sliceAxis } from '../primitives/structural.js';

/** Random words: key uint[2] → uint[shape]. */
export const randomBits = (key: Operand, shape: Shape): Value =>
  bind(randomBitsPrimitive, [lift(key)], { shape });

/** The key number `data` of `key`, both possibly known only when the program runs. */
export const foldInTraced = (key: Operand, data: Operand): Value =>
  bind(deriveKeyPrimitive, [lift(key), lift(data, 'int')], { purpose: 'foldIn' });

/** `count` independent keys of `key`, which must not be used again. */
export function splitTraced(key: Operand, count = 2): readonly Value[] {
  const keys = bind(deriveKeyPrimitive, [broadcastTo(lift(key), [count, 2]), iota([count])], {
    purpose: 'split',
  });
  return Array.from({ length: count }, (_, i) => reshape(sliceAxis(keys, 0, i, i + 1), [2]));
}

/** Uniform numbers in [0, 1), multiples of 2⁻²⁴. */
export const uniform = (key: Operand, shape: Shape): Value => bitsToUniform(randomBits(key, shape));

/** Standard normal numbers, the same bits on every backend (`normalTable.ts`). */
export const normal = (key: Operand, shape: Shape): Value =>
  bind(randomNormalPrimitive, [lift(key)], { shape });

/** True with probability `p`, rounded to a multiple of 2⁻²⁴ so that backends agree exactly. */
export function bernoulli(key: Operand, p: number, shape: Shape): Value {
  if (!(p >= 0 && p <= 1)) {
    throw new FlatloraError('argument', `bernoulli: p is ${p}, expected a number from 0 to 1`);
  }
  return lt(uniform(key, shape), Math.round(p * 2 ** 24) / 2 ** 24);
}

/**
 * A random order of 0 … count − 1 as int[count]: positions sorted by their random number, ties by
 * position. Ranks are counted by comparing all pairs, so the cost is count².
 */
export function permutation(key: Operand, count: number): Value {
  const draws = uniform(key, [count]);
  const [row, column] = [reshape(draws, [count, 1]), reshape(draws, [1, count])];
  const position = iota([count, count], 1);
  const before = add(
    convert(lt(column, row), 'float'),
    mul(
      convert(equal(column, row), 'float'),
      convert(lt(position, iota([count, count], 0)), 'float'),
    ),
  );
  const rank = convert(reduceSum(before, 1), 'int');
  return convert(scatterAdd(rank, convert(iota([count]), 'float'), count), 'int');
}

/**
 * Key threading for those who like `State`: a computation that uses up one key and leaves another.
 *
 *     pipe(drawWith((k) => normal(k, [3])), S.chain(...))(key)
 */
export const drawWith =
  <A>(sample: (key: Value) => A): S.State<Value, A> =>
  (key) => {
    const [use, rest] = splitTraced(key) as [Value, Value];
    return [sample(use), rest];
  };

/** One value for a bool mask: `x` where kept, scaled by 1/(1 − rate); zeros elsewhere. */
export function dropout(key: Operand, rate: number, x: Operand): Value {
  const value = lift(x);
  if (!(rate >= 0 && rate < 1)) {
    throw new FlatloraError('argument', `dropout: rate is ${rate}, expected 0 ≤ rate < 1`);
  }
  if (rate === 0) return value;
  const keep = bernoulli(key, 1 - rate, value.shape);
  return select(keep, mul(value, 1 / (1 - rate)), scalar(0));
}
