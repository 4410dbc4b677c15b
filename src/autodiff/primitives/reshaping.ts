/**
 * Primitives that only move elements. Each is linear, so its jvp is itself applied to the tangent,
 * and its vjp is its transpose: broadcast ↔ sum, slice ↔ pad, concat ↔ slices, and so on.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  aval,
  broadcastShapes,
  range,
  type Shape,
  sameShape,
  showShape,
  sizeOf,
} from '../core/aval.js';
import { FlatloraError, fail } from '../core/errors.js';
import { bind, type JvpArguments, type Primitive, type Value } from '../core/value.js';
import { reduceSum } from './reduce.js';
import { lift, type Operand, zerosLike } from './source.js';

/** The jvp of a primitive that is linear in all its operands together. */
export function linearJvp<P>(self: () => Primitive<P>) {
  return ({ inputs, tangents, params }: JvpArguments<P>): readonly Value[] => [
    bind(
      self(),
      inputs.map((x, i) => tangents[i] ?? zerosLike(x)),
      params,
    ),
  ];
}

const one = (inputs: readonly Value[]): Value => inputs[0] as Value;
const only = (inputs: readonly Aval[]): Aval => inputs[0] as Aval;

// ---------------------------------------------------------------- broadcast
export const broadcastPrimitive: Primitive<{ readonly shape: Shape; readonly axes: Shape }> = {
  name: 'broadcast',
  doc: 'Repeats x along new axes: axis i of x becomes axis `axes[i]` of `shape` (axes increase).',
  shape: (inputs, { shape, axes }) => {
    const x = only(inputs);
    const fits =
      axes.length === x.shape.length &&
      axes.every((a, i) => shape[a] === x.shape[i] && (i === 0 || (axes[i - 1] as number) < a));
    return fits
      ? E.right([aval(shape, x.dtype)])
      : fail(
          'shape',
          `broadcast: ${showShape(x.shape)} does not fit axes ${showShape(axes)} of ${showShape(shape)}`,
        );
  },
  vjp: ({ cotangents, params: { shape, axes } }) => [
    reduceSum(
      one(cotangents),
      range(shape.length).filter((a) => !axes.includes(a)),
    ),
  ],
  jvp: linearJvp(() => broadcastPrimitive),
  batch: ({ inputs, params: { shape, axes }, size }) => [
    bind(broadcastPrimitive, inputs, {
      shape: [size, ...shape],
      axes: [0, ...axes.map((a) => a + 1)],
    }),
  ],
};

/** Repeats `x` to `shape` by NumPy's rules; throws where they do not allow it. */
export function broadcastTo(x: Operand, shape: Shape): Value {
  const value = lift(x);
  if (sameShape(value.shape, shape)) return value;
  const joint = broadcastShapes(value.shape, shape);
  if (joint === undefined || !sameShape(joint, shape)) {
    throw new FlatloraError(
      'shape',
      `broadcastTo: ${showShape(value.shape)} does not broadcast to ${showShape(shape)}`,
    );
  }
  const lead = shape.length - value.shape.length;
  const kept = range(value.shape.length).filter((i) => value.shape[i] === shape[i + lead]);
  return bind(
    broadcastPrimitive,
    [
      reshape(
        value,
        kept.map((i) => value.shape[i] as number),
      ),
    ],
    {
      shape,
      axes: kept.map((i) => i + lead),
    },
  );
}

// ---------------------------------------------------------------- reshape
export const reshapePrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'reshape',
  doc: 'The same elements in row-major order under another `shape`.',
  shape: (inputs, { shape }) => {
    const x = only(inputs);
    return sizeOf(shape) === sizeOf(x.shape) && shape.every((d) => Number.isInteger(d) && d >= 0)
      ? E.right([aval(shape, x.dtype)])
      : fail(
          'shape',
          `reshape: ${showShape(x.shape)} does not have the size of ${showShape(shape)}`,
        );
  },
  vjp: ({ inputs, cotangents }) => [reshape(one(cotangents), one(inputs).shape)],
  jvp: linearJvp(() => reshapePrimitive),
  batch: ({ inputs, params: { shape }, size }) => [
    bind(reshapePrimitive, inputs, { shape: [size, ...shape] }),
  ],
};

/** The same elements under another shape; one size may be −1 and is then worked out. */
export function reshape(x: Operand, shape: Shape): Value {
  const value = lift(x);
  const known = sizeOf(shape.filter((d) => d !== -1));
  const rest = Math.floor(sizeOf(value.shape) / Math.max(known, 1));
  const full = shape.map((d) => (d === -1 ? rest : d));
  return sameShape(full, value.shape) ? value : bind(reshapePrimitive, [value], { shape: full });
}

// ---------------------------------------------------------------- transpose
export const transposePrimitive: Primitive<{ readonly permutation: Shape }> = {
  name: 'transpose',
  doc: 'Axis i of the result is axis `permutation[i]` of x.',
  shape: (inputs, { permutation }) => {
    const x = only(inputs);
    const sorted = [...permutation].sort((a, b) => a - b);
    return sameShape(sorted, range(x.shape.length))
      ? E.right([
          aval(
            permutation.map((a) => x.shape[a] as number),
            x.dtype,
          ),
        ])
      : fail(
          'argument',
          `transpose: ${showShape(permutation)} does not permute the axes of ${showShape(x.shape)}`,
        );
  },
  vjp: ({ cotangents, params: { permutation } }) => [
    transpose(
      one(cotangents),
      range(permutation.length).map((i) => permutation.indexOf(i)),
    ),
  ],
  jvp: linearJvp(() => transposePrimitive),
  batch: ({ inputs, params: { permutation } }) => [
    bind(transposePrimitive, inputs, { permutation: [0, ...permutation.map((a) => a + 1)] }),
  ],
};

/** Permutes axes; without a permutation the last two change places. */
export function transpose(x: Operand, permutation?: Shape): Value {
  const value = lift(x);
  const rank = value.shape.length;
  const order = permutation ?? [...range(rank - 2), rank - 1, rank - 2];
  return sameShape(order, range(rank))
    ? value
    : bind(transposePrimitive, [value], { permutation: order });
}

/** Moves one axis to another place, the others keeping their order. */
export function moveAxis(x: Operand, from: number, to: number): Value {
  const value = lift(x);
  const rest = range(value.shape.length).filter((a) => a !== from);
  return transpose(value, [...rest.slice(0, to), from, ...rest.slice(to)]);
}
