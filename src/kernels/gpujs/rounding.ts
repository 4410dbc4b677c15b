/**
 * Rounding to half precision as gpu.js source. gpu.js cannot look at a number's bits, so the exponent
 * is found by comparing with powers of two, and scaling by them is exact in every mode.
 */
import { HALF_FORMATS, type HalfPrecision } from '../../autodiff/index.js';
import { clamped, literal, type Scope } from './math.js';

/** Steps by which a number is brought to [1, 2): together they reach every exponent of the format. */
const STEPS: Readonly<Record<HalfPrecision, readonly number[]>> = {
  bfloat16: [64, 32, 16, 8, 4, 2, 1],
  float16: [8, 4, 2, 1],
};

/**
 * The nearest number of the format, ties to even; ±∞ beyond its range, NaN stays NaN. Where a mode
 * takes numbers below 2⁻¹²⁶ for zero, so does this.
 */
export function roundSource(given: string, precision: HalfPrecision, scope: Scope): string {
  const { local } = scope;
  const { significant, least, greatest } = HALF_FORMATS[precision];
  const x = local(given);
  const a = local(`Math.abs(${x})`);
  // |x| = scaled · power with power = 2^max(⌊log₂ |x|⌋, least).
  let guide = local(clamped(a, 2 ** least, 2 ** greatest, scope));
  let scaled = a;
  let power = '1.0';
  const scale = (test: string, exponent: number) => {
    const [down, up] = [literal(2 ** -exponent), literal(2 ** exponent)];
    const holds = local(`${test} ? 1.0 : 0.0`);
    guide = local(`${holds} > 0.5 ? ${guide} * ${down} : ${guide}`);
    scaled = local(`${holds} > 0.5 ? ${scaled} * ${down} : ${scaled}`);
    power = local(`${holds} > 0.5 ? ${power} * ${up} : ${power}`);
  };
  for (const k of STEPS[precision]) scale(`${guide} < ${literal(2 ** (1 - k))}`, -k);
  for (const k of STEPS[precision]) scale(`${guide} >= ${literal(2 ** k)}`, k);
  const units = local(`${scaled} * ${literal(2 ** (significant - 1))}`);
  const below = local(`Math.floor(${units})`);
  const rest = local(`${units} - ${below}`);
  const odd = local(`${below} - 2.0 * Math.floor(${below} * 0.5)`);
  const up = `(${rest} > 0.5 ? 1.0 : (${rest} < 0.5 ? 0.0 : ${odd}))`;
  const whole = local(`${below} + ${up}`);
  const rounded = local(`(${whole} * ${literal(2 ** (1 - significant))}) * ${power}`);
  // Half a step beyond the greatest number.
  const limit = literal((2 - 2 ** -significant) * 2 ** greatest);
  const magnitude = `(${a} < ${limit} ? ${rounded} : ${scope.infinity()})`;
  return `(${a} > 0.0 ? (${x} < 0.0 ? -1.0 : 1.0) * ${magnitude} : ${x})`;
}
