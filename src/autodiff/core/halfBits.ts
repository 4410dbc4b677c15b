/**
 * Half precision as bits: the two 16-bit formats, rounding to them, and reading them.
 *
 * | format | sign, exponent, fraction bits | greatest number | least above 0 |
 * |---|---|---|---|
 * | bfloat16 (the upper half of float32) | 1, 8, 7 | 3.39·10³⁸ | 2⁻¹³³ |
 * | float16 (IEEE 754 binary16) | 1, 5, 10 | 65,504 | 2⁻²⁴ |
 *
 * Every number of either format is a float32 number, so reading them is exact. Writing rounds to the
 * nearest one, ties to the one with an even last bit; beyond the greatest number ±∞; NaN stays NaN.
 */
import type { HalfPrecision } from './aval.js';

interface Format {
  /** Bits of the significand, the implicit one counted. */
  readonly significant: number;
  /** The least and greatest exponent e of a normal number ±1.f · 2ᵉ. */
  readonly least: number;
  readonly greatest: number;
  /** The pattern of a quiet NaN. */
  readonly nan: number;
}

export const HALF_FORMATS: Readonly<Record<HalfPrecision, Format>> = {
  bfloat16: { significant: 8, least: -126, greatest: 127, nan: 0x7fc0 },
  float16: { significant: 11, least: -14, greatest: 15, nan: 0x7e00 },
};

/**
 * Bits of half-precision numbers. The class carries the format, which plain 16-bit words do not tell;
 * parts and views keep it. A structured clone (`postMessage`) forgets it.
 */
export abstract class HalfBits extends Uint16Array {
  abstract get format(): HalfPrecision;
  // The parts are made by the array's own class; only their types are said here.
  override subarray(from?: number, to?: number): this {
    return super.subarray(from, to) as this;
  }
  override slice(from?: number, to?: number): this {
    return super.slice(from, to) as this;
  }
}

/** Bits of bfloat16 numbers. */
export class Bfloat16Bits extends HalfBits {
  get format(): HalfPrecision {
    return 'bfloat16';
  }
}

/** Bits of float16 numbers. */
export class Float16Bits extends HalfBits {
  get format(): HalfPrecision {
    return 'float16';
  }
}

/** Storage for so many half-precision numbers, zeros. */
export const halfStorage = (precision: HalfPrecision, size: number): HalfBits =>
  precision === 'bfloat16' ? new Bfloat16Bits(size) : new Float16Bits(size);

/** ⌊log₂ a⌋ of a positive finite number. */
function exponentOf(a: number): number {
  const e = Math.floor(Math.log2(a));
  // Next to a power of two the logarithm may be rounded across it.
  if (2 ** e > a) return e - 1;
  return 2 ** (e + 1) <= a ? e + 1 : e;
}

/** A number of magnitude below 2⁵¹ as the nearest integer, ties to even. */
const toEven = (x: number): number => x + 1.5 * 2 ** 52 - 1.5 * 2 ** 52;

/** The nearest number that the format has, ties to even, ±∞ beyond its greatest. */
export function roundToHalf(x: number, precision: HalfPrecision): number {
  const { significant, least, greatest } = HALF_FORMATS[precision];
  const a = Math.abs(x);
  if (!(a > 0 && a < Number.POSITIVE_INFINITY)) return x;
  // The distance of neighbours around x; scaling by a power of two is exact.
  const step = 2 ** (Math.max(exponentOf(a), least) - significant + 1);
  const rounded = toEven(a / step) * step;
  const magnitude = rounded >= 2 * 2 ** greatest ? Number.POSITIVE_INFINITY : rounded;
  return x < 0 ? -magnitude : magnitude;
}

/** The bits of the nearest number of the format. */
export function halfBits(x: number, precision: HalfPrecision): number {
  const { significant, least, greatest, nan } = HALF_FORMATS[precision];
  if (Number.isNaN(x)) return nan;
  const rounded = roundToHalf(x, precision);
  const a = Math.abs(rounded);
  const sign = rounded < 0 || Object.is(rounded, -0) ? 0x8000 : 0;
  const hidden = 2 ** (significant - 1);
  if (a === Number.POSITIVE_INFINITY) return sign + (greatest - least + 2) * hidden;
  if (a < 2 ** least) return sign + a / 2 ** (least - significant + 1);
  const e = exponentOf(a);
  return sign + (e - least) * hidden + a / 2 ** (e - significant + 1);
}

/** The number that a pattern of 16 bits stands for. */
export function numberOfHalf(bits: number, precision: HalfPrecision): number {
  const { significant, least, greatest } = HALF_FORMATS[precision];
  const hidden = 2 ** (significant - 1);
  const sign = bits & 0x8000 ? -1 : 1;
  const fraction = (bits & 0x7fff) % hidden;
  const exponent = Math.floor((bits & 0x7fff) / hidden);
  if (exponent === 0) return sign * fraction * 2 ** (least - significant + 1);
  if (exponent === greatest - least + 2) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return sign * (1 + fraction / hidden) * 2 ** (exponent + least - 1);
}
