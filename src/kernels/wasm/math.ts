/**
 * Elementary functions on vectors of four float32 numbers, accurate to a few units in the last place.
 * Coefficients of exp and log: Moshier, Cephes mathematical library, `expf` and `logf`; of erf:
 * Abramowitz & Stegun 7.1.26.
 */
import type { Code } from './encoding.js';
import { f32x4, i32x4, v128 } from './instructions.js';

/** Where intermediate results go. */
export interface MathScope {
  /** Puts a vector into a local and gives the code that reads it. */
  readonly keep: (value: Code) => Code;
  /** x · y + z, fused where the engine can. */
  readonly madd: (x: Code, y: Code, z: Code) => Code;
}

export type MathFunction = (x: Code, scope: MathScope) => Code;

export const { splat } = f32x4;
const NAN = i32x4.constant(0x7fc00000);

/** `x` within bounds; NaN stays NaN, for it is neither less nor greater. */
const clamped = (x: Code, low: number, high: number): Code =>
  f32x4.lesser(f32x4.greater(x, splat(low)), splat(high));

/** Σ cᵢ xⁱ, lowest coefficient first. */
const polynomial = (x: Code, coefficients: readonly number[], { madd }: MathScope): Code =>
  coefficients.map(splat).reduceRight((inner, c) => madd(inner, x, c));

/** 2ⁿ for whole n within −126 … 127, given as integers. */
const powerOfTwo = (n: Code): Code => i32x4.shl(i32x4.add(n, i32x4.constant(127)), 23);

/** ln 2 in two parts; whole numbers times the first are exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.12194440054e-4;

/** eʳ for |r| ≤ ½ ln 2. */
function expNearZero(r: Code, scope: MathScope): Code {
  const series = polynomial(
    r,
    [0.50000001201, 0.16666665459, 0.041665795894, 8.3334519073e-3, 1.3981999507e-3, 1.98756915e-4],
    scope,
  );
  return f32x4.add(scope.madd(f32x4.mul(r, r), series, r), splat(1));
}

/** x − n·ln 2 */
const reduced = (x: Code, n: Code, { madd }: MathScope): Code =>
  madd(n, splat(-LN2_LOW), madd(n, splat(-LN2_HIGH), x));

/**
 * eˣ = 2ⁿ·eʳ with |r| ≤ ½ ln 2; the power in two factors, so that results below 2⁻¹²⁶ come out too.
 * @param rest added to x where x is known better than in one number; small.
 */
export function exp(given: Code, scope: MathScope, rest?: Code): Code {
  const { keep } = scope;
  const x = keep(clamped(given, -104, 89));
  const whole = rest === undefined ? x : f32x4.add(x, rest);
  const n = keep(f32x4.nearest(f32x4.mul(whole, splat(Math.LOG2E))));
  const r = reduced(x, n, scope);
  const p = keep(expNearZero(keep(rest === undefined ? r : f32x4.add(r, rest)), scope));
  const power = keep(i32x4.fromFloat(n));
  const half = keep(i32x4.shrS(power, 1));
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(power, half)));
}

/** 1.5 · 2²³: what is added to it is rounded to whole numbers, which stand in the lowest bits. */
const ROUNDING = 12582912;

/**
 * eˣ for differences of scores, at most about 0. Below −87 it is e⁻⁸⁷ (10⁻³⁸), above 88 it is e⁸⁸,
 * which saves half of the work of an exponential that is right everywhere.
 */
export const boundedExp: MathFunction = (given, scope) => {
  const { keep, madd } = scope;
  const x = keep(clamped(given, -87, 88));
  const shifted = keep(madd(x, splat(Math.LOG2E), splat(ROUNDING)));
  const n = keep(f32x4.sub(shifted, splat(ROUNDING)));
  const p = expNearZero(keep(reduced(x, n, scope)), scope);
  return f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), splat(1)));
};

/** ln x as whole · LN2_HIGH + rest, for 0 < x < ∞. */
function logParts(x: Code, scope: MathScope): { readonly whole: Code; readonly rest: Code } {
  const { keep, madd } = scope;
  const small = keep(f32x4.lt(x, splat(2 ** -126)));
  const bits = keep(v128.choose(small, f32x4.mul(x, splat(2 ** 23)), x));
  const exponent = i32x4.sub(
    v128.and(i32x4.shrU(bits, 23), i32x4.constant(255)),
    i32x4.constant(126),
  );
  const mantissa = keep(
    v128.or(v128.and(bits, i32x4.constant(0x7fffff)), i32x4.constant(0x3f000000)),
  );
  const low = keep(f32x4.lt(mantissa, splat(Math.SQRT1_2)));
  const shifted = f32x4.sub(f32x4.fromInt(exponent), v128.and(small, splat(23)));
  const whole = keep(f32x4.sub(shifted, v128.and(low, splat(1))));
  const m = keep(f32x4.sub(f32x4.add(mantissa, v128.and(low, mantissa)), splat(1)));
  const z = keep(f32x4.mul(m, m));
  const series = polynomial(
    m,
    [
      3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1,
      -1.2420140846e-1, 1.167699874e-1, -1.151461031e-1, 7.0376836292e-2,
    ],
    scope,
  );
  const cubic = f32x4.mul(f32x4.mul(m, z), series);
  const tail = madd(z, splat(-0.5), madd(whole, splat(LN2_LOW), cubic));
  return { whole, rest: f32x4.add(m, tail) };
}

/** ln x: exponent and mantissa apart; −∞ at 0, NaN below. */
export const log: MathFunction = (given, scope) => {
  const { keep, madd } = scope;
  const x = keep(given);
  const { whole, rest } = logParts(x, scope);
  const finite = keep(madd(whole, splat(LN2_HIGH), rest));
  const atInfinity = v128.choose(f32x4.eq(x, splat(Number.POSITIVE_INFINITY)), x, finite);
  const atZero = v128.choose(f32x4.eq(x, splat(0)), splat(Number.NEGATIVE_INFINITY), atInfinity);
  return v128.choose(f32x4.ge(x, splat(0)), atZero, NAN);
};

/**
 * tanh x as a quotient of polynomials in x², for |x| < 7.9; beyond it is ±1, exactly, for 1 − tanh² may be multiplied by a large number. Coefficients:
 * the minimax approximation of Eigen's `ptanh`.
 */
export const tanh: MathFunction = (given, scope) => {
  const { keep } = scope;
  const limit = 7.9;
  const x = keep(clamped(given, -limit, limit));
  const square = keep(f32x4.mul(x, x));
  const above = polynomial(
    square,
    [
      4.89352455891786e-3, 6.37261928875436e-4, 1.48572235717979e-5, 5.12229709037114e-8,
      -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16,
    ],
    scope,
  );
  const below = polynomial(
    square,
    [4.89352518554385e-3, 2.268434632439e-3, 1.18534705686654e-4, 1.19825839466702e-6],
    scope,
  );
  const quotient = f32x4.div(f32x4.mul(x, above), below);
  const one = v128.or(f32x4.splat(1), v128.and(x, i32x4.constant(0x80000000)));
  return v128.choose(f32x4.ge(f32x4.abs(x), splat(limit)), one, quotient);
};

/** erf x by its approximation for large |x|, and by its series for small ones. */
export const erf: MathFunction = (given, scope) => {
  const { keep } = scope;
  const x = keep(given);
  const a = keep(f32x4.lesser(f32x4.abs(x), splat(6)));
  const square = keep(f32x4.mul(a, a));
  const t = keep(f32x4.div(splat(1), scope.madd(a, splat(0.3275911), splat(1))));
  const tail = polynomial(
    t,
    [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429],
    scope,
  );
  const gauss = exp(keep(f32x4.neg(square)), scope);
  const far = f32x4.sub(splat(1), f32x4.mul(keep(tail), keep(gauss)));
  const signed = v128.or(far, v128.and(x, i32x4.constant(0x80000000)));
  const series = polynomial(square, [1, -1 / 3, 1 / 10, -1 / 42, 1 / 216, -1 / 1320], scope);
  const near = f32x4.mul(f32x4.mul(x, splat(2 / Math.sqrt(Math.PI))), series);
  const known = v128.choose(f32x4.lt(square, splat(0.36)), near, signed);
  return v128.choose(f32x4.eq(x, x), known, x);
};

/**
 * sin(x + quarter·π/2), reduced to |r| ≤ π/4 with π/2 in three parts (Cody & Waite), which is exact
 * enough up to |x| = 10⁵; NaN beyond, rather than a wrong number.
 */
const sine =
  (quarter: 0 | 1): MathFunction =>
  (given, scope) => {
    const { keep } = scope;
    const x = keep(given);
    const n = keep(f32x4.nearest(f32x4.mul(x, splat(2 / Math.PI))));
    const part = (from: Code, size: number): Code => f32x4.sub(from, f32x4.mul(n, splat(size)));
    const r = keep(part(part(part(x, 1.5703125), 0.0004837512969970703), 7.549789948768648e-8));
    const square = keep(f32x4.mul(r, r));
    const odd = f32x4.mul(
      r,
      polynomial(square, [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880], scope),
    );
    const even = polynomial(square, [1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320], scope);
    const turn = keep(i32x4.add(i32x4.fromFloat(n), i32x4.constant(quarter)));
    const isOdd = i32x4.ne(v128.and(turn, i32x4.constant(1)), i32x4.constant(0));
    const value = v128.choose(keep(isOdd), even, odd);
    const sign = i32x4.shl(v128.and(turn, i32x4.constant(2)), 30);
    const turned = keep(v128.xor(value, sign));
    return v128.choose(f32x4.le(f32x4.abs(x), splat(1e5)), turned, NAN);
  };
export const sin = sine(0);
export const cos = sine(1);

/** A float32 as the sum of two of at most 12 bits, whose products are exact (Dekker, 1971). */
function split(x: Code, { keep }: MathScope): readonly [Code, Code] {
  const scaled = keep(f32x4.mul(x, splat(4097)));
  const high = keep(f32x4.sub(scaled, f32x4.sub(scaled, x)));
  return [high, keep(f32x4.sub(x, high))];
}

/**
 * |x|^y as e^(y·ln |x|), the product of y and the logarithm's greater part with its rounding error:
 * without it the error would grow with the size of the exponent. NaN where something is infinite.
 */
function accuratePower(size: Code, y: Code, scope: MathScope): Code {
  const { keep, madd } = scope;
  const { whole, rest } = logParts(size, scope);
  const [w, r] = [keep(f32x4.mul(whole, splat(LN2_HIGH))), keep(rest)];
  const product = keep(f32x4.mul(y, w));
  const [yHigh, yLow] = split(y, scope);
  const [wHigh, wLow] = split(w, scope);
  const cross = f32x4.add(f32x4.mul(yHigh, wLow), f32x4.mul(yLow, wHigh));
  const exact = f32x4.add(f32x4.sub(f32x4.mul(yHigh, wHigh), product), cross);
  const error = keep(f32x4.add(exact, f32x4.mul(yLow, wLow)));
  return exp(product, scope, keep(madd(y, r, error)));
}

/** x^y; a negative base with a whole exponent keeps its sign, with another gives NaN. */
export function pow(givenX: Code, givenY: Code, scope: MathScope): Code {
  const { keep } = scope;
  const [x, y] = [keep(givenX), keep(givenY)];
  const magnitude = keep(f32x4.abs(x));
  const simple = keep(exp(keep(f32x4.mul(y, keep(log(magnitude, scope)))), scope));
  const accurate = keep(accuratePower(magnitude, y, scope));
  const positive = f32x4.gt(magnitude, splat(0));
  const finite = f32x4.lt(magnitude, splat(Number.POSITIVE_INFINITY));
  const usable = v128.and(v128.and(positive, finite), f32x4.eq(accurate, accurate));
  const size = keep(v128.choose(usable, accurate, simple));
  const half = keep(f32x4.mul(y, splat(0.5)));
  const whole = f32x4.eq(f32x4.floor(y), y);
  const isOdd = v128.and(whole, f32x4.ne(f32x4.floor(half), half));
  const signed = v128.xor(size, v128.and(keep(isOdd), i32x4.constant(0x80000000)));
  const infinite = f32x4.eq(x, splat(Number.NEGATIVE_INFINITY));
  const negative = v128.choose(v128.or(whole, infinite), signed, NAN);
  const result = v128.choose(f32x4.lt(x, splat(0)), negative, size);
  // x⁰ is 1 even for NaN and ∞, whose logarithms times 0 are none.
  return v128.choose(f32x4.eq(y, splat(0)), splat(1), result);
}
