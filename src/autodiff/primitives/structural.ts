/**
 * Primitives that only move elements. Each is linear, so its jvp is itself applied to the tangent,
 * and its vjp is its transpose: broadcast ↔ sum, slice ↔ pad, concat ↔ slices, and so on.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  type Aval,
  aval,
  broadcastShapes,
  normaliseAxis,
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

// ---------------------------------------------------------------- slice and pad
export interface SliceParams {
  readonly start: Shape;
  readonly limit: Shape;
  readonly stride: Shape;
}

export const slicePrimitive: Primitive<SliceParams> = {
  name: 'slice',
  doc: 'Along each axis the elements start, start + stride, … below limit.',
  shape: (inputs, { start, limit, stride }) => {
    const x = only(inputs);
    const fits = x.shape.every((d, i) => {
      const [a, b, s] = [start[i] ?? -1, limit[i] ?? -1, stride[i] ?? 0];
      return [a, b, s].every(Number.isInteger) && 0 <= a && a <= b && b <= d && s >= 1;
    });
    return fits
      ? E.right([
          aval(
            x.shape.map((_, i) =>
              Math.ceil(((limit[i] as number) - (start[i] as number)) / (stride[i] as number)),
            ),
            x.dtype,
          ),
        ])
      : fail(
          'argument',
          `slice: ${showShape(start)} to ${showShape(limit)} by ${showShape(stride)} is outside ${showShape(x.shape)}`,
        );
  },
  vjp: ({ inputs, outputs, cotangents, params: { start, stride } }) => {
    const { shape } = one(inputs);
    const end = one(outputs).shape.map((n, i) =>
      n === 0 ? (start[i] as number) : (start[i] as number) + (n - 1) * (stride[i] as number) + 1,
    );
    return [
      bind(padPrimitive, [one(cotangents)], {
        low: start,
        high: shape.map((d, i) => d - (end[i] as number)),
        interior: stride.map((s) => s - 1),
      }),
    ];
  },
  jvp: linearJvp(() => slicePrimitive),
  batch: ({ inputs, params: { start, limit, stride }, size }) => [
    bind(slicePrimitive, inputs, {
      start: [0, ...start],
      limit: [size, ...limit],
      stride: [1, ...stride],
    }),
  ],
};

/** A part of `x`: per axis from `start` to `limit` (default: all) by `stride` (default 1). */
export function slice(
  x: Operand,
  start: Shape,
  limit: Shape = lift(x).shape,
  stride: Shape = start.map(() => 1),
): Value {
  return bind(slicePrimitive, [lift(x)], { start, limit, stride });
}

/** The elements `from` … `to − 1` along one axis (negative axes count from the end). */
export function sliceAxis(x: Operand, axis: number, from: number, to: number): Value {
  const value = lift(x);
  const a = normaliseAxis(axis, value.shape.length);
  if (a === undefined) {
    throw new FlatloraError(
      'argument',
      `sliceAxis: axis ${axis} is outside ${showShape(value.shape)}`,
    );
  }
  return slice(
    value,
    value.shape.map((_, i) => (i === a ? from : 0)),
    value.shape.map((d, i) => (i === a ? to : d)),
  );
}

export interface PadParams {
  readonly low: Shape;
  readonly high: Shape;
  readonly interior: Shape;
}

export const padPrimitive: Primitive<PadParams> = {
  name: 'pad',
  doc: 'Puts zeros around x (`low`, `high` per axis) and between its elements (`interior`).',
  shape: (inputs, { low, high, interior }) => {
    const x = only(inputs);
    const fits = [low, high, interior].every(
      (p) => p.length === x.shape.length && p.every((n) => Number.isInteger(n) && n >= 0),
    );
    return fits
      ? E.right([
          aval(
            x.shape.map(
              (d, i) =>
                (low[i] as number) +
                d +
                Math.max(d - 1, 0) * (interior[i] as number) +
                (high[i] as number),
            ),
            x.dtype,
          ),
        ])
      : fail(
          'argument',
          `pad: low, high, interior must be ${x.shape.length} non-negative integers each`,
        );
  },
  vjp: ({ inputs, cotangents, params: { low, interior } }) => {
    const { shape } = one(inputs);
    return [
      slice(
        one(cotangents),
        low,
        shape.map((d, i) =>
          d === 0
            ? (low[i] as number)
            : (low[i] as number) + (d - 1) * ((interior[i] as number) + 1) + 1,
        ),
        interior.map((n) => n + 1),
      ),
    ];
  },
  jvp: linearJvp(() => padPrimitive),
  batch: ({ inputs, params: { low, high, interior } }) => [
    bind(padPrimitive, inputs, {
      low: [0, ...low],
      high: [0, ...high],
      interior: [0, ...interior],
    }),
  ],
};

/** Zeros around `x` and, with `interior`, between its elements. */
export const pad = (
  x: Operand,
  low: Shape,
  high: Shape,
  interior: Shape = low.map(() => 0),
): Value => bind(padPrimitive, [lift(x)], { low, high, interior });

// ---------------------------------------------------------------- concat
export const concatPrimitive: Primitive<{ readonly axis: number }> = {
  name: 'concat',
  doc: 'The operands one after another along `axis`.',
  shape: (inputs, { axis }) => {
    const first = only(inputs);
    const fits = inputs.every(
      (x) =>
        x.dtype === first.dtype &&
        x.shape.length === first.shape.length &&
        x.shape.every((d, i) => i === axis || d === first.shape[i]),
    );
    return fits && axis >= 0 && axis < first.shape.length
      ? E.right([
          aval(
            first.shape.map((d, i) =>
              i === axis ? inputs.reduce((n, x) => n + (x.shape[axis] as number), 0) : d,
            ),
            first.dtype,
          ),
        ])
      : fail(
          'shape',
          `concat: shapes do not fit along axis ${axis}: ${inputs.map((x) => showShape(x.shape)).join(', ')}`,
        );
  },
  vjp: ({ inputs, cotangents, params: { axis } }) => {
    let from = 0;
    return inputs.map((x) => {
      const to = from + (x.shape[axis] as number);
      const part = sliceAxis(one(cotangents), axis, from, to);
      from = to;
      return part;
    });
  },
  jvp: linearJvp(() => concatPrimitive),
  batch: ({ inputs, batched, params: { axis }, size }) => [
    bind(
      concatPrimitive,
      inputs.map((x, i) => (batched[i] ? x : broadcastTo(x, [size, ...x.shape]))),
      { axis: axis + 1 },
    ),
  ],
};

/** Joins arrays along an axis (negative axes count from the end). */
export function concat(operands: readonly Operand[], axis = 0): Value {
  const values = operands.map((x) => lift(x));
  const a = normaliseAxis(axis, values[0]?.shape.length ?? 0);
  if (a === undefined) throw new FlatloraError('argument', `concat: axis ${axis} is out of range`);
  return values.length === 1 ? (values[0] as Value) : bind(concatPrimitive, values, { axis: a });
}
