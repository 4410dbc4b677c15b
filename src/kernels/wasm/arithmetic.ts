/** Elementwise primitives on vectors: one function per primitive, from operands' code to code. */
import type { DType } from '../../autodiff/index.js';
import type { Code } from './encoding.js';
import * as half from './half.js';
import { f32x4, i32x4, v128 } from './instructions.js';
import type { MathScope } from './math.js';
import * as math from './math.js';

/** What a primitive's code may depend on. */
export interface ApplyScope extends MathScope {
  /** Dtype of the operands that count, and of the result. */
  readonly from: DType;
  readonly to: DType;
}

type Apply = (operands: readonly Code[], scope: ApplyScope) => Code;

type Two = (x: Code, y: Code) => Code;
type One = (x: Code) => Code;

const ZERO = f32x4.splat(0);

const two =
  (float: Two, int: Two): Apply =>
  ([x, y], { from }) =>
    (from === 'float' ? float : int)(x as Code, y as Code);
const one =
  (float: One, int: One = float): Apply =>
  ([x], { from }) =>
    (from === 'float' ? float : int)(x as Code);
const function1 =
  (f: (x: Code, scope: MathScope) => Code): Apply =>
  ([x], scope) =>
    f(x as Code, scope);

const sign: Apply = ([given], { keep, from }) => {
  const x = keep(given as Code);
  if (from !== 'float')
    return v128.or(i32x4.shrS(x, 31), v128.and(i32x4.gtS(x, ZERO), i32x4.constant(1)));
  const positive = v128.and(f32x4.gt(x, ZERO), f32x4.splat(1));
  const negative = v128.and(f32x4.lt(x, ZERO), f32x4.splat(-1));
  // Zeros and NaN are their own signs.
  const isOrdered = v128.or(f32x4.gt(x, ZERO), f32x4.lt(x, ZERO));
  return v128.choose(isOrdered, v128.or(positive, negative), x);
};

const convert: Apply = ([given], scope) => {
  const { from, to } = scope;
  const x = given as Code;
  if (from === to) return x;
  if (from === 'bfloat16') return half.fromBfloat16(x, scope);
  if (from === 'float16') return half.fromFloat16(x, scope);
  if (to === 'bfloat16') return half.toBfloat16(x, scope);
  if (to === 'float16') return half.toFloat16(x, scope);
  if (from === 'bool') return v128.and(x, to === 'float' ? f32x4.splat(1) : i32x4.constant(1));
  return to === 'float' ? f32x4.fromInt(x) : i32x4.fromFloat(x);
};

/** The byte of each lane that holds the four bits, of which the upper or the lower are taken. */
const nibble: Apply = ([word, index], { keep }) => {
  const at = keep(index as Code);
  // Byte index/2 of the lane's own four; the others ask for byte 255, which is none, and get 0.
  const byte = v128.or(
    i32x4.add(i32x4.shrU(at, 1), v128.words([0, 4, 8, 12])),
    i32x4.constant(0xffffff00 | 0),
  );
  const found = keep(v128.swizzle(word as Code, byte));
  const isUpper = i32x4.eq(v128.and(at, i32x4.constant(1)), i32x4.constant(1));
  return v128.choose(isUpper, i32x4.shrU(found, 4), v128.and(found, i32x4.constant(15)));
};

const roundedBy =
  (narrow: typeof half.toFloat16, widen: typeof half.toFloat16): Apply =>
  ([x], scope) =>
    widen(narrow(x as Code, scope), scope);

/** By name of the primitive. */
export const arithmetic: Readonly<Record<string, Apply>> = {
  add: two(f32x4.add, i32x4.add),
  sub: two(f32x4.sub, i32x4.sub),
  mul: two(f32x4.mul, i32x4.mul),
  div: two(f32x4.div, f32x4.div),
  max: two(f32x4.max, i32x4.maxS),
  min: two(f32x4.min, i32x4.minS),
  lt: two(f32x4.lt, i32x4.ltS),
  equal: two(f32x4.eq, i32x4.eq),
  neg: one(f32x4.neg, i32x4.neg),
  abs: one(f32x4.abs, i32x4.abs),
  sqrt: one(f32x4.sqrt),
  floor: one(f32x4.floor),
  stopGradient: one((x) => x),
  sign,
  exp: function1(math.exp),
  log: function1(math.log),
  sin: function1(math.sin),
  cos: function1(math.cos),
  tanh: function1(math.tanh),
  erf: function1(math.erf),
  pow: ([x, y], scope) => math.pow(x as Code, y as Code, scope),
  select: ([c, x, y]) => v128.choose(c as Code, x as Code, y as Code),
  convert,
  roundToBfloat16: roundedBy(half.toBfloat16, half.fromBfloat16),
  roundToFloat16: roundedBy(half.toFloat16, half.fromFloat16),
  nibble,
  bitsToUniform: ([x]) => f32x4.mul(f32x4.fromInt(i32x4.shrU(x as Code, 8)), f32x4.splat(2 ** -24)),
};
