/** Elementwise comparison, choice, conversion, and numbers from random words. */
import { type DType, type HalfPrecision, isHalf } from '../core/aval.js';
import { roundToHalf } from '../core/halfBits.js';
import { bind, type Value } from '../core/value.js';
import { wordToUniform } from '../random/keys.js';
import { mul } from './arithmetic.js';
import { align, comparison, elementwise, floatOnly, numeric, one, two } from './define.js';
import { lift, type Operand, zerosLike } from './source.js';

// ---------------------------------------------------------------- comparison and choice
export const maxPrimitive = elementwise({
  name: 'max',
  doc: 'max(x, y); at a tie each operand gets half of the derivative',
  dtype: numeric,
  scalar: (x = 0, y = 0) => Math.max(x, y),
  slopes: ([x, y]) => [winner(x as Value, y as Value), winner(y as Value, x as Value)],
});
export const max = two(maxPrimitive);

export const minPrimitive = elementwise({
  name: 'min',
  doc: 'min(x, y); at a tie each operand gets half of the derivative',
  dtype: numeric,
  scalar: (x = 0, y = 0) => Math.min(x, y),
  slopes: ([x, y]) => [winner(y as Value, x as Value), winner(x as Value, y as Value)],
});
export const min = two(minPrimitive);

/** t where a > b, t/2 where they are equal, 0 elsewhere. */
const winner =
  (a: Value, b: Value) =>
  (t: Value): Value =>
    select(lt(b, a), t, select(equal(a, b), mul(0.5, t), 0));

export const ltPrimitive = elementwise({
  name: 'lt',
  doc: 'x < y',
  dtype: comparison,
  scalar: (x = 0, y = 0) => Number(x < y),
  slopes: () => [undefined, undefined],
});
export const lt = two(ltPrimitive);
export const gt = (x: Operand, y: Operand): Value => lt(y, x);

export const equalPrimitive = elementwise({
  name: 'equal',
  doc: 'x = y',
  dtype: comparison,
  scalar: (x = 0, y = 0) => Number(x === y),
  slopes: () => [undefined, undefined],
});
export const equal = two(equalPrimitive);

export const selectPrimitive = elementwise({
  name: 'select',
  doc: 'x where the bool is true, y elsewhere. The branch that is not taken gets derivative 0.',
  dtype: (c, x, y) => (c === 'bool' && x === y && x && !isHalf(x) ? x : undefined),
  scalar: (c = 0, x = 0, y = 0) => (c ? x : y),
  slopes: ([c]) => [
    undefined,
    (t) => select(c as Value, t, zerosLike(t)),
    (t) => select(c as Value, zerosLike(t), t),
  ],
});
/** `x` where `condition`, else `y`. */
export const select = (condition: Operand, x: Operand, y: Operand): Value =>
  bind(selectPrimitive, align('select', [condition, x, y]), {});

// ---------------------------------------------------------------- conversion
/** What `convert` gives. */
export type Converted = 'float' | 'int' | HalfPrecision;

/** Half precision meets float alone, so that nothing is rounded twice. */
const convertible = (from: DType, to: Converted): boolean =>
  from === to || (isHalf(from) ? to === 'float' : !isHalf(to) || from === 'float');

export const convertPrimitive = elementwise<{ readonly dtype: Converted }>(
  {
    name: 'convert',
    doc: 'The same numbers as another `dtype`: float → int truncates towards 0, bool → 0 or 1, float → bfloat16 or float16 rounds to the nearest (ties to even, ±∞ beyond the range), and back is exact. No derivative flows through int, bool or half precision.',
    dtype: (d) => (d === 'uint' ? undefined : d),
    scalar: (x = 0) => x,
    slopes: ([x], y) => [x?.dtype === 'float' && y.dtype === 'float' ? (t) => t : undefined],
  },
  ({ dtype }, from) => (convertible(from, dtype) ? dtype : undefined),
);
export const convert = (x: Operand, dtype: Converted): Value =>
  bind(convertPrimitive, [lift(x)], { dtype });

/** Half precision as float, which is exact; anything else as it is. */
export const widened = (x: Operand): Value => {
  const value = lift(x);
  return isHalf(value.dtype) ? convert(value, 'float') : value;
};

/** Rounds to a half precision and stays float, for the rounding of mixed-precision training. */
const rounding = (name: string, precision: HalfPrecision) =>
  elementwise({
    name,
    doc: `The nearest ${precision} number as a float (ties to even, ±∞ beyond the range); its derivative is taken as 1 (straight through).`,
    dtype: floatOnly,
    scalar: (x = 0) => roundToHalf(x, precision),
    slopes: () => [(t) => t],
  });

export const roundToBfloat16Primitive = rounding('roundToBfloat16', 'bfloat16');
export const roundToFloat16Primitive = rounding('roundToFloat16', 'float16');

/** The nearest number of a half precision, as a float; derivative 1. */
export const roundTo = (x: Operand, precision: HalfPrecision): Value =>
  one(precision === 'bfloat16' ? roundToBfloat16Primitive : roundToFloat16Primitive)(x);

const ofBits = (d: DType | undefined): DType | undefined => (d === 'uint' ? 'float' : undefined);

export const bitsToUniformPrimitive = elementwise({
  name: 'bitsToUniform',
  doc: 'A random word as a number in [0, 1): its upper 24 bits over 2²⁴, exact in float32.',
  dtype: ofBits,
  scalar: (word = 0) => wordToUniform(word),
  slopes: () => [undefined],
});
export const bitsToUniform = one(bitsToUniformPrimitive);

export const nibblePrimitive = elementwise({
  name: 'nibble',
  doc: 'The four bits number `index` of a word, counted from the lowest, as an int from 0 to 15; index is 0 to 7. What weights of four or eight bits are unpacked with.',
  dtype: (word, index) => (word === 'uint' && index === 'int' ? 'int' : undefined),
  scalar: (word = 0, index = 0) => (word >>> (4 * index)) & 15,
  slopes: () => [undefined, undefined],
});
/** Four bits of words (uint) by their place in them (int of the same shape, 0 to 7). */
export const nibble = (words: Value, index: Value): Value =>
  bind(nibblePrimitive, [words, index], {});

export const stopGradientPrimitive = elementwise({
  name: 'stopGradient',
  doc: 'x, whose derivative is taken as 0',
  dtype: (d) => d,
  scalar: (x = 0) => x,
  slopes: () => [undefined],
});
/** The same value as a constant for all derivatives. */
export const stopGradient = one(stopGradientPrimitive);
