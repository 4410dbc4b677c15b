/** Elementwise arithmetic and functions. */
import type { Value } from '../core/value.js';
import { equal, lt, max, select } from './choice.js';
import { elementwise, floatOnly, numeric, one, two } from './define.js';
import type { Operand } from './source.js';
import { erf as erfScalar } from './special.js';

// ---------------------------------------------------------------- arithmetic
export const addPrimitive = elementwise({
  name: 'add',
  doc: 'x + y',
  dtype: numeric,
  scalar: (x = 0, y = 0) => x + y,
  slopes: () => [(t) => t, (t) => t],
});
export const add = two(addPrimitive);

export const subPrimitive = elementwise({
  name: 'sub',
  doc: 'x − y',
  dtype: numeric,
  scalar: (x = 0, y = 0) => x - y,
  slopes: () => [(t) => t, neg],
});
export const sub = two(subPrimitive);

export const mulPrimitive = elementwise({
  name: 'mul',
  doc: 'x · y',
  dtype: numeric,
  scalar: (x = 0, y = 0) => x * y,
  slopes: ([x, y]) => [(t) => mul(t, y as Value), (t) => mul(x as Value, t)],
});
export const mul = two(mulPrimitive);

export const divPrimitive = elementwise({
  name: 'div',
  doc: 'x / y',
  dtype: floatOnly,
  scalar: (x = 0, y = 0) => x / y,
  slopes: ([, y], z) => [(t) => div(t, y as Value), (t) => neg(div(mul(t, z), y as Value))],
});
export const div = two(divPrimitive);

export const negPrimitive = elementwise({
  name: 'neg',
  doc: '−x',
  dtype: numeric,
  scalar: (x = 0) => -x,
  slopes: () => [neg],
});
export const neg: (x: Operand) => Value = one(negPrimitive);

export const powPrimitive = elementwise({
  name: 'pow',
  doc: 'x^y for x > 0, or any x with a whole y. ∂x: y·x^(y−1), 0 for y = 0; ∂y: x^y·ln x, taken as 0 where x ≤ 0.',
  dtype: floatOnly,
  scalar: (x = 0, y = 0) => x ** y,
  slopes: ([x, y], z) => [
    // x^(−1) would turn the derivative of x⁰ (and the second of x¹) at x = 0 into 0 · ∞.
    (t) => {
      const lower = select(equal(y as Value, 0), 1, sub(y as Value, 1));
      return mul(t, mul(y as Value, pow(x as Value, lower)));
    },
    (t) => mul(t, mul(z, select(lt(0, x as Value), log(max(x as Value, TINY)), 0))),
  ],
});
export const pow: (x: Operand, y: Operand) => Value = two(powPrimitive);

/** Smallest normal float32, to keep logarithms of discarded branches finite. */
const TINY = 2 ** -126;

// ---------------------------------------------------------------- functions
export const absPrimitive = elementwise({
  name: 'abs',
  doc: '|x|; derivative sign(x), 0 at 0',
  dtype: numeric,
  scalar: (x = 0) => Math.abs(x),
  slopes: ([x]) => [(t) => mul(t, sign(x as Value))],
});
export const abs = one(absPrimitive);

export const signPrimitive = elementwise({
  name: 'sign',
  doc: '−1, 0 or 1; derivative 0',
  dtype: numeric,
  scalar: (x = 0) => Math.sign(x),
  slopes: () => [undefined],
});
export const sign = one(signPrimitive);

export const floorPrimitive = elementwise({
  name: 'floor',
  doc: 'greatest integer ≤ x; derivative 0',
  dtype: floatOnly,
  scalar: (x = 0) => Math.floor(x),
  slopes: () => [undefined],
});
export const floor = one(floorPrimitive);

export const expPrimitive = elementwise({
  name: 'exp',
  doc: 'eˣ',
  dtype: floatOnly,
  scalar: (x = 0) => Math.exp(x),
  slopes: (_, y) => [(t) => mul(t, y)],
});
export const exp: (x: Operand) => Value = one(expPrimitive);

export const logPrimitive = elementwise({
  name: 'log',
  doc: 'ln x',
  dtype: floatOnly,
  scalar: (x = 0) => Math.log(x),
  slopes: ([x]) => [(t) => div(t, x as Value)],
});
export const log: (x: Operand) => Value = one(logPrimitive);

export const sinPrimitive = elementwise({
  name: 'sin',
  doc: 'sin x, x in radians',
  dtype: floatOnly,
  scalar: (x = 0) => Math.sin(x),
  slopes: ([x]) => [(t) => mul(t, cos(x as Value))],
});
export const sin: (x: Operand) => Value = one(sinPrimitive);

export const cosPrimitive = elementwise({
  name: 'cos',
  doc: 'cos x, x in radians',
  dtype: floatOnly,
  scalar: (x = 0) => Math.cos(x),
  slopes: ([x]) => [(t) => neg(mul(t, sin(x as Value)))],
});
export const cos: (x: Operand) => Value = one(cosPrimitive);

export const tanhPrimitive = elementwise({
  name: 'tanh',
  doc: 'tanh x; derivative 1 − y²',
  dtype: floatOnly,
  scalar: (x = 0) => Math.tanh(x),
  slopes: (_, y) => [(t) => mul(t, sub(1, mul(y, y)))],
});
export const tanh = one(tanhPrimitive);

export const erfPrimitive = elementwise({
  name: 'erf',
  doc: 'erf x = 2/√π ∫₀ˣ e^(−u²) du; derivative 2/√π e^(−x²)',
  dtype: floatOnly,
  scalar: (x = 0) => erfScalar(x),
  slopes: ([x]) => [
    (t) => mul(t, mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x as Value, x as Value))))),
  ],
});
export const erf = one(erfPrimitive);

export const sqrtPrimitive = elementwise({
  name: 'sqrt',
  doc: '√x; derivative 1/(2y)',
  dtype: floatOnly,
  scalar: (x = 0) => Math.sqrt(x),
  slopes: (_, y) => [(t) => div(mul(0.5, t), y)],
});
export const sqrt = one(sqrtPrimitive);
