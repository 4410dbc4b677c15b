/**
 * Whole arrays to half precision and back, by the bits of float32: the same results as the arithmetic
 * of `halfBits.ts`, which says what they mean, many times faster.
 */
import type { HalfPrecision } from './aval.js';
import { type HalfBits, halfStorage } from './halfBits.js';

/** The bits of the nearest numbers of the format (ties to even); see `halfBits`. */
export function roundedBits(data: ArrayLike<number>, precision: HalfPrecision): HalfBits {
  const singles = new Float32Array(data);
  const words = new Uint32Array(singles.buffer);
  const out = halfStorage(precision, data.length);
  for (let i = 0; i < out.length; i++) {
    const word = words[i] as number;
    // A float64 number may have been rounded once already: on a tie that decides.
    const passed = Math.abs(data[i] as number) - Math.abs(singles[i] as number);
    const magnitude = word & 0x7fffffff;
    const bits =
      precision === 'bfloat16' ? toBfloat16(magnitude, passed) : toFloat16(magnitude, passed);
    // Any NaN becomes the quiet one without a sign.
    out[i] = magnitude > INFINITY ? bits : bits | ((word >>> 16) & 0x8000);
  }
  return out;
}

/** Bits of float32 infinity; greater ones are NaN. */
const INFINITY = 0x7f800000;

/**
 * A bit pattern without its lowest `count` bits, rounded to nearest. Since patterns count up with the
 * numbers, a carry goes to the next exponent and from the greatest number to infinity.
 * @param passed the sign tells on which side of the given pattern the exact number lies.
 */
function dropBits(pattern: number, count: number, passed: number): number {
  const kept = pattern >>> count;
  const rest = pattern - kept * 2 ** count - 2 ** (count - 1);
  const up = rest > 0 || (rest === 0 && (passed > 0 || (passed === 0 && kept % 2 === 1)));
  return up ? kept + 1 : kept;
}

const toBfloat16 = (magnitude: number, passed: number): number =>
  magnitude > INFINITY ? 0x7fc0 : dropBits(magnitude, 16, passed);

function toFloat16(magnitude: number, passed: number): number {
  if (magnitude > INFINITY) return 0x7e00;
  if (magnitude >= 0x47800000) return 0x7c00; // 2¹⁶ and beyond
  // From 2⁻¹⁴ on: the exponent counts from −15 instead of −127.
  if (magnitude >= 0x38800000) return dropBits(magnitude - (112 << 23), 13, passed);
  // Below, in units of 2⁻²⁴: the significand shifted by what the exponent lacks.
  const shift = 126 - (magnitude >>> 23);
  return shift > 24 ? 0 : dropBits((magnitude & 0x7fffff) | 0x800000, shift, passed);
}

/** The numbers that bits of the format stand for; exact. */
export function widenedBits(bits: ArrayLike<number>, precision: HalfPrecision): Float32Array {
  const words = new Uint32Array(bits.length);
  const singles = new Float32Array(words.buffer);
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i] as number;
    if (precision === 'bfloat16') {
      words[i] = half << 16;
      continue;
    }
    const sign = (half & 0x8000) << 16;
    const magnitude = half & 0x7fff;
    if (magnitude >= 0x7c00) words[i] = sign | INFINITY | (magnitude << 13);
    else if (magnitude >= 0x0400) words[i] = sign | ((magnitude + (112 << 10)) << 13);
    else singles[i] = (sign === 0 ? magnitude : -magnitude) / 2 ** 24;
  }
  return singles;
}
