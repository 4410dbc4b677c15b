/** Functions composed from primitives: activations, softmax and friends, norms, convolution. */
import { range, type Shape } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import type { Value } from '../core/value.js';
import { dot } from '../primitives/dot.js';
import {
  add,
  convert,
  div,
  erf,
  exp,
  gt,
  log,
  lt,
  max,
  mul,
  neg,
  select,
  sqrt,
  stopGradient,
  sub,
  tanh,
} from '../primitives/elementwise.js';
import { reduceMax, reduceSum } from '../primitives/reduce.js';
import { iota, lift, type Operand } from '../primitives/source.js';
import { concat, moveAxis, pad, reshape, slice } from '../primitives/structural.js';

/** x². */
export function square(x: Operand): Value {
  const value = lift(x);
  return mul(value, value);
}

/** max(x, 0), with derivative 0 at 0. */
export function relu(x: Operand): Value {
  const value = lift(x);
  return select(gt(value, 0), value, 0);
}

/** 1 / (1 + e^(−x)), as ½(1 + tanh(x/2)), which never overflows. */
export const sigmoid = (x: Operand): Value => mul(0.5, add(1, tanh(mul(0.5, x))));

/**
 * ln(1 + eˣ), as m + ln(e^(x−m) + e^(−m)) with the constant m = max(x, 0), which never overflows and
 * has no kink, so that all derivatives are right at 0 too.
 */
export const softplus = (x: Operand): Value => {
  const value = lift(x);
  const greatest = stopGradient(max(value, 0));
  return add(greatest, log(add(exp(sub(value, greatest)), exp(neg(greatest)))));
};

/** x · sigmoid(x), also called swish. */
export const silu = (x: Operand): Value => mul(x, sigmoid(x));

/** x · Φ(x), Φ the standard normal distribution function (Hendrycks & Gimpel 2016). */
export const gelu = (x: Operand): Value => mul(mul(0.5, x), add(1, erf(mul(Math.SQRT1_2, x))));

/** The tanh approximation of `gelu`, as in GPT-2 and T5 v1.1. */
export function geluTanh(x: Operand): Value {
  const value = lift(x);
  const cubic = add(value, mul(0.044715, mul(value, square(value))));
  return mul(mul(0.5, value), add(1, tanh(mul(Math.sqrt(2 / Math.PI), cubic))));
}

/** x · sigmoid(1.702 x), as in CLIP. */
export const quickGelu = (x: Operand): Value => mul(x, sigmoid(mul(1.702, x)));

/** x − max x along the axis, the maximum as a constant: the usual guard against overflow. */
const centred = (x: Value, axis: number): Value =>
  sub(x, stopGradient(reduceMax(x, axis, { keepAxes: true })));

/** eˣ / Σ eˣ along an axis. */
export function softmax(x: Operand, axis = -1): Value {
  const e = exp(centred(lift(x), axis));
  return div(e, reduceSum(e, axis, { keepAxes: true }));
}

/** ln softmax(x) along an axis. */
export function logSoftmax(x: Operand, axis = -1): Value {
  const shifted = centred(lift(x), axis);
  return sub(shifted, log(reduceSum(exp(shifted), axis, { keepAxes: true })));
}

/** ln Σ eˣ along an axis. */
export function logSumExp(x: Operand, axis = -1, { keepAxes = false } = {}): Value {
  const value = lift(x);
  const greatest = stopGradient(reduceMax(value, axis, { keepAxes: true }));
  const sum = reduceSum(exp(sub(value, greatest)), axis, { keepAxes });
  return add(log(sum), keepAxes ? greatest : reshape(greatest, sum.shape));
}

/** Sums of the elements up to and including each one, as a product with a triangle of ones. */
export function cumsum(x: Operand, axis = -1): Value {
  const value = lift(x);
  const a = axis < 0 ? axis + value.shape.length : axis;
  const n = value.shape[a] as number;
  const upTo = convert(lt(iota([n, n], 0), add(iota([n, n], 1), 1)), 'float');
  const sums = dot(value, upTo, { contract: [[a], [0]], batch: [[], []] });
  return moveAxis(sums, value.shape.length - 1, a);
}

/** √Σx² of all elements of several arrays together. */
export const globalNorm = (arrays: readonly Value[]): Value =>
  sqrt(arrays.map((x) => reduceSum(square(x))).reduce((sum, term) => add(sum, term), lift(0)));

/** The inner product of two lists of arrays. */
export const innerProduct = (xs: readonly Value[], ys: readonly Value[]): Value =>
  xs
    .map((x, i) => reduceSum(mul(x, ys[i] as Value)))
    .reduce((sum, term) => add(sum, term), lift(0));

export interface ConvolutionOptions {
  /** Step of the window along both axes; 1 by default. */
  readonly stride?: number;
  /** Zeros on each side of both axes; 0 by default. */
  readonly padding?: number;
}

/**
 * Two-dimensional cross-correlation: images [n,c,h,w], kernels [out,c,kh,kw] → [n,out,h′,w′].
 * Composed of one strided slice per kernel position and one product.
 */
export function conv2d(
  images: Operand,
  kernels: Operand,
  { stride = 1, padding = 0 }: ConvolutionOptions = {},
): Value {
  const [x, k] = [lift(images), lift(kernels)];
  const [out, channels, kh, kw] = k.shape as readonly [number, number, number, number];
  if (x.shape.length !== 4 || k.shape.length !== 4 || x.shape[1] !== channels) {
    throw new FlatloraError(
      'shape',
      `conv2d: images [${x.shape.join(',')}] and kernels [${k.shape.join(',')}], expected [n,c,h,w] and [out,c,kh,kw]`,
    );
  }
  const around: Shape = [0, 0, padding, padding];
  const padded = pad(x, around, around);
  const [n, , h, w] = padded.shape as readonly [number, number, number, number];
  const rows = Math.floor((h - kh) / stride) + 1;
  const columns = Math.floor((w - kw) / stride) + 1;
  const patches = range(kh).flatMap((i) =>
    range(kw).map((j) =>
      reshape(
        slice(
          padded,
          [0, 0, i, j],
          [n, channels, i + (rows - 1) * stride + 1, j + (columns - 1) * stride + 1],
          [1, 1, stride, stride],
        ),
        [n, channels, 1, rows, columns],
      ),
    ),
  );
  const columnsOf = reshape(concat(patches, 2), [n, channels * kh * kw, rows * columns]);
  const product = dot(reshape(k, [out, channels * kh * kw]), columnsOf, {
    contract: [[1], [1]],
    batch: [[], []],
  });
  return moveAxis(reshape(product, [out, n, rows, columns]), 0, 1);
}
