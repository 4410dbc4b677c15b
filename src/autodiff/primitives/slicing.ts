/** Parts of arrays, and arrays put together: slice and pad are each other's transpose. */
import * as E from 'fp-ts/lib/Either.js';
import { type Aval, aval, normaliseAxis, type Shape, showShape } from '../core/aval.js';
import { FlatloraError, fail } from '../core/errors.js';
import { bind, type Primitive, type Value } from '../core/value.js';
import { broadcastTo, linearJvp } from './reshaping.js';
import { lift, type Operand } from './source.js';

const one = (inputs: readonly Value[]): Value => inputs[0] as Value;
const only = (inputs: readonly Aval[]): Aval => inputs[0] as Aval;

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
