/** Half precision on vectors: a 16-bit number in the low half of each lane, to and from float32. */
import type { Code } from './encoding.js';
import { f32x4, i32x4, v128 } from './instructions.js';
import { type MathFunction, splat } from './math.js';

const rounded = (bits: Code, shift: number): Code =>
  // Half of the last place kept, and one less where that place is even: ties go to even.
  i32x4.add(
    i32x4.add(bits, i32x4.constant(2 ** (shift - 1) - 1)),
    v128.and(i32x4.shrU(bits, shift), i32x4.constant(1)),
  );

/** float32 as bfloat16 in the low half of each lane, to nearest even. */
export const toBfloat16: MathFunction = (given, { keep }) => {
  const x = keep(given);
  return v128.choose(f32x4.eq(x, x), i32x4.shrU(rounded(x, 16), 16), i32x4.constant(0x7fc0));
};

export const fromBfloat16: MathFunction = (x) => i32x4.shl(x, 16);

/**
 * float32 as float16 in the low half of each lane, to nearest even. Numbers below 2⁻¹⁴ are rounded by
 * adding ½: float32 then has just float16's steps there.
 */
export const toFloat16: MathFunction = (given, { keep }) => {
  const x = keep(given);
  const sign = keep(v128.and(i32x4.shrU(x, 16), i32x4.constant(0x8000)));
  const size = keep(v128.and(x, i32x4.constant(0x7fffffff)));
  const normal = i32x4.sub(i32x4.shrU(rounded(size, 13), 13), i32x4.constant(112 << 10));
  const subnormal = i32x4.sub(f32x4.add(size, splat(0.5)), i32x4.constant(0x3f000000));
  const isSmall = i32x4.ltS(size, i32x4.constant(113 << 23));
  // From half-way between float16's greatest number and 2¹⁶ on.
  const tooLarge = i32x4.geS(size, i32x4.constant(0x477ff000));
  const limited = v128.choose(
    tooLarge,
    i32x4.constant(0x7c00),
    v128.choose(isSmall, subnormal, normal),
  );
  const known = v128.choose(
    i32x4.gtS(size, i32x4.constant(0x7f800000)),
    i32x4.constant(0x7e00),
    limited,
  );
  return v128.or(keep(known), sign);
};

/** Float16 in the low half of each lane as float32, exactly. */
export const fromFloat16: MathFunction = (given, { keep }) => {
  const x = keep(given);
  const sign = i32x4.shl(v128.and(x, i32x4.constant(0x8000)), 16);
  const size = keep(v128.and(x, i32x4.constant(0x7fff)));
  // Exponent and fraction in float32's places, 112 too low: one multiplication mends both.
  const scaled = keep(f32x4.mul(i32x4.shl(size, 13), splat(2 ** 112)));
  const special = v128.or(i32x4.shl(size, 13), i32x4.constant(0x7f800000));
  const isSpecial = i32x4.geS(size, i32x4.constant(0x7c00));
  return v128.or(v128.choose(isSpecial, special, scaled), sign);
};
