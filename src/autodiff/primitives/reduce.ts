/** Primitives that reduce along axes. */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  aval,
  isHalf,
  normaliseAxis,
  range,
  type Shape,
  showShape,
} from '../core/aval.js';
import { FlatloraError, fail, type Result } from '../core/errors.js';
import { bind, type Primitive, type Value } from '../core/value.js';
import { convert, div, equal, mul, select } from './elementwise.js';
import { lift, type Operand } from './source.js';
import { broadcastPrimitive, linearJvp, reshape } from './structural.js';

interface Axes {
  readonly axes: Shape;
}

const kept = (shape: Shape, axes: Shape): number[] =>
  range(shape.length).filter((a) => !axes.includes(a));

const reducedShape =
  (name: string) =>
  (inputs: readonly Aval[], { axes }: Axes): Result<readonly Aval[]> => {
    const x = inputs[0] as Aval;
    if (x.dtype !== 'float' && x.dtype !== 'int') {
      return fail('dtype', `${name}: operand is ${x.dtype}, expected float or int`);
    }
    const fits = axes.every((a) => a >= 0 && a < x.shape.length);
    return fits
      ? E.right([
          aval(
            kept(x.shape, axes).map((a) => x.shape[a] as number),
            x.dtype,
          ),
        ])
      : fail('argument', `${name}: axes ${showShape(axes)} are outside ${showShape(x.shape)}`);
  };

/** A reduced array repeated along the axes that it lost. */
const restore = (y: Value, shape: Shape, axes: Shape): Value =>
  bind(broadcastPrimitive, [y], { shape, axes: kept(shape, axes) });

const shifted = ({ axes }: Axes): Axes => ({ axes: axes.map((a) => a + 1) });

export const reduceSumPrimitive: Primitive<Axes> = {
  name: 'reduceSum',
  doc: 'Sum over `axes`; linear, its transpose is broadcast.',
  shape: reducedShape('reduceSum'),
  vjp: ({ inputs, cotangents, params: { axes } }) => [
    restore(cotangents[0] as Value, (inputs[0] as Value).shape, axes),
  ],
  jvp: linearJvp(() => reduceSumPrimitive),
  batch: ({ inputs, params }) => [bind(reduceSumPrimitive, inputs, shifted(params))],
};

export const reduceMaxPrimitive: Primitive<Axes> = {
  name: 'reduceMax',
  doc: 'Maximum over `axes` (−∞ of nothing); elements that tie share the derivative equally.',
  shape: reducedShape('reduceMax'),
  vjp: ({ inputs, outputs, cotangents, params: { axes } }) => {
    const { share, shape } = tieShare(inputs[0] as Value, outputs[0] as Value, axes);
    return [mul(restore(cotangents[0] as Value, shape, axes), share)];
  },
  jvp: ({ inputs, outputs, tangents, params: { axes } }) => {
    const { share } = tieShare(inputs[0] as Value, outputs[0] as Value, axes);
    return [reduceSum(mul(tangents[0] as Value, share), axes)];
  },
  batch: ({ inputs, params }) => [bind(reduceMaxPrimitive, inputs, shifted(params))],
};

/** 1/k at each of the k elements that reach the maximum, 0 elsewhere. */
function tieShare(x: Value, y: Value, axes: Shape) {
  const reaches = equal(x, restore(y, x.shape, axes));
  const count = reduceSum(convert(reaches, 'float'), axes);
  return {
    share: select(reaches, restore(div(1, count), x.shape, axes), 0),
    shape: x.shape,
  };
}

export const argmaxPrimitive: Primitive<{ readonly axis: number }> = {
  name: 'argmax',
  doc: 'Index along `axis` of the first greatest element, as int; no derivative.',
  shape: ([x], { axis }) =>
    x !== undefined && isHalf(x.dtype)
      ? fail('dtype', `argmax: operand is ${x.dtype}, convert it to float first`)
      : x !== undefined && axis >= 0 && axis < x.shape.length && x.shape[axis] !== 0
        ? E.right([
            aval(
              x.shape.filter((_, i) => i !== axis),
              'int',
            ),
          ])
        : fail('argument', `argmax: axis ${axis} of ${showShape(x?.shape ?? [])} has no elements`),
  vjp: () => [undefined],
  jvp: () => [undefined],
  batch: ({ inputs, params: { axis } }) => [bind(argmaxPrimitive, inputs, { axis: axis + 1 })],
};

// ---------------------------------------------------------------- what users call

/** Axes as given (one, several, or all when missing), as plain ascending indices. */
function axesOf(name: string, shape: Shape, axes: number | Shape | undefined): number[] {
  if (axes === undefined) return range(shape.length);
  const plain = [axes].flat().map((axis) => {
    const a = normaliseAxis(axis, shape.length);
    if (a === undefined) {
      throw new FlatloraError('argument', `${name}: axis ${axis} is outside ${showShape(shape)}`);
    }
    return a;
  });
  return [...new Set(plain)].sort((a, b) => a - b);
}

const reduction =
  (primitive: Primitive<Axes>) =>
  (x: Operand, axes?: number | Shape, { keepAxes = false } = {}): Value => {
    const value = lift(x);
    const plain = axesOf(primitive.name, value.shape, axes);
    const reduced = plain.length === 0 ? value : bind(primitive, [value], { axes: plain });
    return keepAxes
      ? reshape(
          reduced,
          value.shape.map((d, i) => (plain.includes(i) ? 1 : d)),
        )
      : reduced;
  };

/** Sum over `axes` (all by default); `keepAxes` leaves them with size 1. */
export const reduceSum = reduction(reduceSumPrimitive);

/** Maximum over `axes` (all by default). */
export const reduceMax = reduction(reduceMaxPrimitive);

/** Mean over `axes` (all by default). */
export function mean(
  x: Operand,
  axes?: number | Shape,
  options: { keepAxes?: boolean } = {},
): Value {
  const value = lift(x);
  const count = axesOf('mean', value.shape, axes).reduce(
    (n, a) => n * (value.shape[a] as number),
    1,
  );
  return mul(reduceSum(value, axes, options), 1 / count);
}

/** Index of the greatest element along `axis` (the last by default). */
export function argmax(x: Operand, axis = -1): Value {
  const value = lift(x);
  const [a] = axesOf('argmax', value.shape, axis);
  return bind(argmaxPrimitive, [value], { axis: a as number });
}
