/**
 * Elementwise primitives. The Jacobian of an elementwise function is diagonal, hence its own
 * transpose: one function `t ↦ ∂f/∂xᵢ · t` per operand serves as both vjp and jvp.
 *
 * The primitives take operands of one shape; the functions that users call broadcast first, as
 * NumPy does.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  aval,
  broadcastShapes,
  type DType,
  sameShape,
  showAval,
  showShape,
} from '../core/aval.js';
import { FlatloraError, fail, type Result } from '../core/errors.js';
import { bind, type MaybeValue, type Primitive, type Value } from '../core/value.js';
import { wordToUniform } from '../random/keys.js';
import { wordToNormal } from '../random/normalTable.js';
import { lift, type Operand, zerosLike } from './source.js';
import { erf as erfScalar } from './special.js';
import { broadcastTo } from './structural.js';

type Slope = ((t: Value) => Value) | undefined;

interface Elementwise {
  readonly name: string;
  readonly doc: string;
  /** The dtype of the result, or `undefined` where the operands' dtypes do not fit. */
  readonly dtype: (...operands: readonly DType[]) => DType | undefined;
  readonly scalar: (...xs: readonly number[]) => number;
  /** For each operand, `t ↦ ∂f/∂xᵢ · t`; `undefined` where the derivative is zero. */
  readonly slopes: (inputs: readonly Value[], output: Value) => readonly Slope[];
}

/** Brings unbatched operands to the batch's size, so that all shapes agree again. */
const batchAll = (inputs: readonly Value[], batched: readonly boolean[], size: number) =>
  inputs.map((x, i) => (batched[i] ? x : broadcastTo(x, [size, ...x.shape])));

function elementwise<P = Record<string, never>>(
  definition: Elementwise,
  resultType?: (params: P) => DType,
): Primitive<P> {
  const { name, doc, dtype, scalar, slopes } = definition;
  const self: Primitive<P> = {
    name,
    doc,
    scalar,
    shape: (inputs: readonly Aval[], params): Result<readonly Aval[]> => {
      const [first, ...rest] = inputs;
      if (first === undefined) return fail('argument', `${name}: no operands`);
      const odd = rest.find((x) => !sameShape(x.shape, first.shape));
      if (odd !== undefined) {
        return fail(
          'shape',
          `${name}: shapes differ: ${showShape(first.shape)} and ${showShape(odd.shape)}`,
        );
      }
      const result = dtype(...inputs.map((x) => x.dtype));
      return result === undefined
        ? fail('dtype', `${name}: cannot be applied to ${inputs.map(showAval).join(', ')}`)
        : E.right([aval(first.shape, resultType ? resultType(params) : result)]);
    },
    vjp: ({ inputs, outputs, cotangents }) =>
      slopes(inputs, outputs[0] as Value).map((slope) => slope?.(cotangents[0] as Value)),
    jvp: ({ inputs, outputs, tangents }) => [
      slopes(inputs, outputs[0] as Value)
        .map((slope, i): MaybeValue => {
          const tangent = tangents[i];
          return tangent && slope?.(tangent);
        })
        .reduce((sum, term) => (sum && term ? add(sum, term) : (sum ?? term)), undefined),
    ],
    batch: ({ inputs, batched, params, size }) => [
      bind(self, batchAll(inputs, batched, size), params),
    ],
  };
  return self;
}

// ---------------------------------------------------------------- dtype rules
const floatOnly = (...operands: readonly DType[]): DType | undefined =>
  operands.every((d) => d === 'float') ? 'float' : undefined;
const numeric = (...operands: readonly DType[]): DType | undefined =>
  operands.every((d) => d === operands[0] && (d === 'float' || d === 'int'))
    ? operands[0]
    : undefined;
const comparison = (...operands: readonly DType[]): DType | undefined =>
  numeric(...operands) === undefined ? undefined : 'bool';

// ---------------------------------------------------------------- what users call

/** Operands lifted to values of one dtype and broadcast to one shape. */
function align(name: string, operands: readonly Operand[]): readonly Value[] {
  const dtype = operands
    .filter((x) => typeof x !== 'number')
    .map((x) => lift(x).dtype)
    .find((d) => d === 'int' || d === 'float');
  const values = operands.map((x) => lift(x, dtype));
  const shape = values.reduce<readonly number[]>((joint, x) => {
    const next = broadcastShapes(joint, x.shape);
    if (next === undefined) {
      const shapes = values.map((v) => showShape(v.shape)).join(' and ');
      throw new FlatloraError('shape', `${name}: shapes do not broadcast: ${shapes}`);
    }
    return next;
  }, []);
  return values.map((x) => broadcastTo(x, shape));
}

const one =
  (primitive: Primitive<Record<string, never>>) =>
  (x: Operand): Value =>
    bind(primitive, [lift(x)], {});
const two =
  (primitive: Primitive<Record<string, never>>) =>
  (x: Operand, y: Operand): Value =>
    bind(primitive, align(primitive.name, [x, y]), {});

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
  dtype: (c, x, y) => (c === 'bool' && x === y ? x : undefined),
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
export const convertPrimitive = elementwise<{ readonly dtype: 'float' | 'int' }>(
  {
    name: 'convert',
    doc: 'The same numbers as another `dtype`: float → int truncates towards 0, bool → 0 or 1.',
    dtype: (d) => (d === 'uint' ? undefined : d),
    scalar: (x = 0) => x,
    slopes: ([x], y) => [x?.dtype === 'float' && y.dtype === 'float' ? (t) => t : undefined],
  },
  ({ dtype }) => dtype,
);
export const convert = (x: Operand, dtype: 'float' | 'int'): Value =>
  bind(convertPrimitive, [lift(x)], { dtype });

const ofBits = (d: DType | undefined): DType | undefined => (d === 'uint' ? 'float' : undefined);

export const bitsToUniformPrimitive = elementwise({
  name: 'bitsToUniform',
  doc: 'A random word as a number in [0, 1): its upper 24 bits over 2²⁴, exact in float32.',
  dtype: ofBits,
  scalar: (word = 0) => wordToUniform(word),
  slopes: () => [undefined],
});
export const bitsToUniform = one(bitsToUniformPrimitive);

export const bitsToNormalPrimitive = elementwise({
  name: 'bitsToNormal',
  doc: 'A random word as a standard normal number: the float32 sum of the table entries of its two halves (normalTable.ts), the same bits on every backend.',
  dtype: ofBits,
  scalar: (word = 0) => wordToNormal(word),
  slopes: () => [undefined],
});
export const bitsToNormal = one(bitsToNormalPrimitive);

export const stopGradientPrimitive = elementwise({
  name: 'stopGradient',
  doc: 'x, whose derivative is taken as 0',
  dtype: (d) => d,
  scalar: (x = 0) => x,
  slopes: () => [undefined],
});
/** The same value as a constant for all derivatives. */
export const stopGradient = one(stopGradientPrimitive);
