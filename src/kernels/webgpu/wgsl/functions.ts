/**
 * The functions that kernels call, in WGSL.
 *
 * WGSL lets implementations assume that there are no NaN and ∞, and promises little of its own
 * functions at the ends of their ranges. So NaN is told by its bits, which no compiler may assume
 * away, and ∞ and NaN are made from bits while the kernel runs. Where a function of WGSL is
 * inaccurate (`tanh`, `sin`) or missing (`erf`) a polynomial stands here, good to a few ulps.
 */
import { PARITY, ROTATIONS, range } from '../../../autodiff/index.js';

interface Definition {
  readonly text: string;
  /** Every function that it calls, directly or not. */
  readonly needs: readonly WgslFunction[];
}

export type WgslFunction =
  | 'isNaN'
  | 'infinity'
  | 'nan'
  | 'greater'
  | 'lesser'
  | 'signOf'
  | 'exponential'
  | 'logarithm'
  | 'hyperbolicTangent'
  | 'errorFunction'
  | 'sine'
  | 'cosine'
  | 'quarterTurns'
  | 'power'
  | 'threefry'
  | 'uniformOf'
  | 'widenBfloat16'
  | 'narrowBfloat16'
  | 'widenFloat16'
  | 'narrowFloat16';

/** Twenty rounds written out; the key is added after every fourth. */
const threefryRounds = range(5).flatMap((group) => [
  ...range(4).map((round) => {
    const bits = ROTATIONS[((group % 2) * 4 + round) as 0] as number;
    return `  x.x += x.y; x.y = ((x.y << ${bits}u) | (x.y >> ${32 - bits}u)) ^ x.x;`;
  }),
  `  x += vec2u(schedule[${(group + 1) % 3}], schedule[${(group + 2) % 3}] + ${group + 1}u);`,
]);

export const WGSL_FUNCTIONS: Readonly<Record<WgslFunction, Definition>> = {
  isNaN: {
    needs: [],
    text: `fn isNaN(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,
  },
  infinity: {
    needs: [],
    text: `var<private> infinityBits: u32 = 0x7f800000u;
fn infinity() -> f32 { return bitcast<f32>(infinityBits); }`,
  },
  nan: {
    needs: [],
    text: `var<private> nanBits: u32 = 0x7fc00000u;
fn nan() -> f32 { return bitcast<f32>(nanBits); }`,
  },
  greater: {
    needs: ['isNaN'],
    text: `// The greater of two; NaN where one is NaN.
fn greater(x: f32, y: f32) -> f32 { return select(select(max(x, y), y, isNaN(y)), x, isNaN(x)); }`,
  },
  lesser: {
    needs: ['isNaN'],
    text: `// The lesser of two; NaN where one is NaN.
fn lesser(x: f32, y: f32) -> f32 { return select(select(min(x, y), y, isNaN(y)), x, isNaN(x)); }`,
  },
  signOf: {
    needs: [],
    text: `fn signOf(x: f32) -> f32 { return select(select(x, -1.0, x < 0.0), 1.0, x > 0.0); }`,
  },
  exponential: {
    needs: ['isNaN'],
    text: `fn exponential(x: f32) -> f32 { return select(exp(x), x, isNaN(x)); }`,
  },
  logarithm: {
    needs: ['isNaN', 'infinity', 'nan'],
    text: `fn logarithm(x: f32) -> f32 {
  if (isNaN(x) || x == infinity()) { return x; }
  if (x > 0.0) { return log(x); }
  return select(nan(), -infinity(), x == 0.0);
}`,
  },
  hyperbolicTangent: {
    needs: ['isNaN'],
    text: `// By e^2x, and by its series where that would cancel.
fn hyperbolicTangent(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let s = x * x;
  if (s < 0.1) {
    return x * (1.0 + s * (-0.33333333 + s * (0.13333333 + s * (-0.053968254 + s * 0.021869489))));
  }
  let e = exp(2.0 * clamp(x, -15.0, 15.0));
  return (e - 1.0) / (e + 1.0);
}`,
  },
  errorFunction: {
    needs: ['isNaN'],
    text: `// Abramowitz & Stegun 7.1.26 (error 1.5e-7), and its series for small x.
fn errorFunction(x: f32) -> f32 {
  if (isNaN(x)) { return x; }
  let a = min(abs(x), 6.0);
  let s = a * a;
  if (s < 0.36) {
    return 1.1283791671 * x * (1.0 + s * (-0.33333333 + s * (0.1 + s * (-0.023809524 + s * (0.0046296296 - s * 0.00075757576)))));
  }
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let far = 1.0 - tail * exp(-s);
  return select(far, -far, x < 0.0);
}`,
  },
  quarterTurns: {
    needs: [],
    text: `// sin(x + quarter·π/2): π/2 is taken off in three parts (Cody & Waite), good up to |x| = 1e5.
fn quarterTurns(x: f32, quarter: f32, beyond: f32) -> f32 {
  if (!(abs(x) <= 100000.0)) { return beyond; }
  let n = floor(x * 0.63661977 + 0.5);
  let r = ((x - n * 1.5703125) - n * 0.0004837512969970703) - n * 7.549789948768648e-8;
  let s = r * r;
  let sine = r * (1.0 + s * (-0.16666667 + s * (0.0083333333 + s * (-0.0001984127 + s * 0.0000027557319))));
  let cosine = 1.0 + s * (-0.5 + s * (0.041666667 + s * (-0.0013888889 + s * 0.0000248015873)));
  let turn = i32(n + quarter) & 3;
  let size = select(sine, cosine, (turn & 1) == 1);
  return select(size, -size, turn >= 2);
}`,
  },
  sine: {
    needs: ['quarterTurns', 'nan'],
    text: `// NaN beyond 1e5 rather than a wrong number.
fn sine(x: f32) -> f32 { return quarterTurns(x, 0.0, nan()); }`,
  },
  cosine: {
    needs: ['quarterTurns', 'nan'],
    text: `fn cosine(x: f32) -> f32 { return quarterTurns(x, 1.0, nan()); }`,
  },
  power: {
    needs: ['isNaN', 'nan', 'infinity'],
    text: `// A negative base with a whole exponent keeps its sign, with another gives NaN; x⁰ is 1 for any x.
fn power(x: f32, y: f32) -> f32 {
  if (y == 0.0) { return 1.0; }
  if (isNaN(x) || isNaN(y)) { return nan(); }
  let size = pow(abs(x), y);
  if (!(x < 0.0)) { return size; }
  if (floor(y) == y) { return select(size, -size, abs(y - 2.0 * floor(y * 0.5)) > 0.5); }
  return select(nan(), size, x == -infinity());
}`,
  },
  threefry: {
    needs: [],
    text: `// Threefry-2x32-20 (random/threefry.ts): the two words of the block at a counter.
fn threefry(key: vec2u, counter: vec2u) -> vec2u {
  let schedule = array<u32, 3>(key.x, key.y, key.x ^ key.y ^ ${PARITY}u);
  var x = counter + key;
${threefryRounds.join('\n')}
  return x;
}`,
  },
  uniformOf: {
    needs: [],
    text: `fn uniformOf(word: u32) -> f32 { return f32(word >> 8u) * ${2 ** -24}; }`,
  },
  widenBfloat16: {
    needs: [],
    text: `// The bfloat16 in the lower (0) or upper (1) half of a word.
fn widenBfloat16(word: u32, half: i32) -> f32 {
  return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (half & 1) == 1));
}`,
  },
  narrowBfloat16: {
    needs: ['isNaN'],
    text: `// To the nearest bfloat16, ties to even; in the lower half of the word.
fn narrowBfloat16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return select((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u, (bits >> 16u) | 0x40u, isNaN(x));
}`,
  },
  widenFloat16: {
    needs: [],
    text: `// The float16 in the lower (0) or upper (1) half of a word; exact, numbers below 2⁻¹⁴ too.
fn widenFloat16(word: u32, half: i32) -> f32 {
  let bits = select(word & 0xffffu, word >> 16u, (half & 1) == 1);
  let sign = (bits & 0x8000u) << 16u;
  let a = bits & 0x7fffu;
  if (a >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | ((a & 0x3ffu) << 13u)); }
  if (a < 0x400u) { return bitcast<f32>(sign | bitcast<u32>(f32(a) * ${2 ** -24})); }
  return bitcast<f32>(sign | ((a << 13u) + 0x38000000u));
}`,
  },
  narrowFloat16: {
    needs: [],
    text: `// To the nearest float16, ties to even, ±∞ from 65,520 on; in the lower half of the word.
fn narrowFloat16(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let a = bits & 0x7fffffffu;
  if (a > 0x7f800000u) { return sign | 0x7e00u; }
  if (a >= 0x477ff000u) { return sign | 0x7c00u; }
  if (a < 0x38800000u) { return sign | u32(round(bitcast<f32>(a) * 16777216.0)); }
  return sign | ((a + 0xfffu + ((a >> 13u) & 1u) - 0x38000000u) >> 13u);
}`,
  },
};

/** The definitions of the functions that a kernel calls, in an order of their own. */
export const definitionsOf = (called: ReadonlySet<WgslFunction>): readonly string[] =>
  (Object.keys(WGSL_FUNCTIONS) as WgslFunction[])
    .filter((name) => called.has(name))
    .map((name) => WGSL_FUNCTIONS[name].text);
