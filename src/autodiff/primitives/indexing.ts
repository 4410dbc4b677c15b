/**
 * Reading and adding by index. `gather` takes rows, `scatterAdd` adds rows up; they are each other's
 * transpose. An index outside the rows reads zeros and writes nothing, on every backend.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  aval,
  normaliseAxis,
  range,
  sameShape,
  showAval,
  showShape,
  sizeOf,
} from '../core/aval.js';
import { FlatloraError, fail } from '../core/errors.js';
import { bind, type Primitive, type Value } from '../core/value.js';
import { add, equal, lt, mul, select } from './elementwise.js';
import { iota, lift, type Operand } from './source.js';
import { broadcastTo, moveAxis, reshape } from './structural.js';

export const gatherPrimitive: Primitive<Record<string, never>> = {
  name: 'gather',
  doc: 'Rows by index: x [n, r…] and int indices [i…] give [i…, r…], out[i…] = x[indices[i…]]; zeros where an index is outside 0 … n − 1.',
  shape: ([x, indices]) =>
    x !== undefined && x.shape.length >= 1 && indices?.dtype === 'int'
      ? E.right([aval([...indices.shape, ...x.shape.slice(1)], x.dtype)])
      : fail(
          'dtype',
          `gather: operands are ${[x, indices].map((v) => (v ? showAval(v) : 'missing')).join(' and ')}, expected rows and int indices`,
        ),
  vjp: ({ inputs: [x, indices], cotangents: [g] }) => [
    scatterAdd(indices as Value, g as Value, (x as Value).shape[0] as number),
    undefined,
  ],
  jvp: ({ inputs: [, indices], tangents: [dx] }) => [
    dx && bind(gatherPrimitive, [dx, indices as Value], {}),
  ],
  batch: ({ inputs, batched, size }) => {
    const [x, indices] = inputs as [Value, Value];
    if (!batched[0]) return [bind(gatherPrimitive, [x, indices], {})];
    const rows = x.shape[1] as number;
    const all = batched[1] ? indices : broadcastTo(indices, [size, ...indices.shape]);
    const flat = reshape(x, [size * rows, ...x.shape.slice(2)]);
    return [bind(gatherPrimitive, [flat, offsetByBatch(all, rows)], {})];
  },
};

export const scatterAddPrimitive: Primitive<{ readonly rows: number }> = {
  name: 'scatterAdd',
  doc: 'Adds rows up by index: int indices [i…] and updates [i…, r…] give [rows, r…], out[k] = Σ over indices[i…] = k of updates[i…]; other indices are dropped.',
  shape: ([indices, updates], { rows }) =>
    indices?.dtype === 'int' &&
    updates?.dtype === 'float' &&
    sameShape(updates.shape.slice(0, indices.shape.length), indices.shape)
      ? E.right([aval([rows, ...updates.shape.slice(indices.shape.length)], 'float')])
      : fail(
          'shape',
          `scatterAdd: operands are ${[indices, updates].map((v) => (v ? showAval(v) : 'missing')).join(' and ')}, expected int[i…] and float[i…,r…]`,
        ),
  vjp: ({ inputs: [indices], cotangents: [g] }) => [
    undefined,
    bind(gatherPrimitive, [g as Value, indices as Value], {}),
  ],
  jvp: ({ inputs: [indices], tangents: [, du], params }) => [
    du && bind(scatterAddPrimitive, [indices as Value, du], params),
  ],
  batch: ({ inputs, batched, params: { rows }, size }) => {
    const [indices, updates] = inputs.map((x, i) =>
      batched[i] ? x : broadcastTo(x, [size, ...x.shape]),
    ) as [Value, Value];
    const out = bind(scatterAddPrimitive, [offsetByBatch(indices, rows), updates], {
      rows: size * rows,
    });
    return [reshape(out, [size, rows, ...out.shape.slice(1)])];
  },
};

/** Indices [size, i…] into `size` stacked blocks of `rows` rows; outsiders stay outside. */
function offsetByBatch(indices: Value, rows: number): Value {
  const inside = select(lt(indices, 0), -1, select(lt(indices, rows), indices, -1));
  const shifted = add(inside, mul(iota(indices.shape, 0), rows));
  return select(lt(inside, 0), -1, shifted);
}

// ---------------------------------------------------------------- what users call

/** Rows of `x` by int `indices`: [n, r…], [i…] → [i…, r…]. An embedding look-up. */
export const gather = (x: Operand, indices: Operand): Value =>
  bind(gatherPrimitive, [lift(x), lift(indices, 'int')], {});

/** Adds `updates` [i…, r…] into `rows` zero rows at `indices` [i…]. */
export const scatterAdd = (indices: Operand, updates: Operand, rows: number): Value =>
  bind(scatterAddPrimitive, [lift(indices, 'int'), lift(updates)], { rows });

/** Elements of `x` along `axis` by int `indices` of any shape, which takes the axis's place. */
export function take(x: Operand, indices: Operand, axis = 0): Value {
  const [value, index] = [lift(x), lift(indices, 'int')];
  const a = normaliseAxis(axis, value.shape.length);
  if (a === undefined) {
    throw new FlatloraError('argument', `take: axis ${axis} is outside ${showShape(value.shape)}`);
  }
  const rows = gather(moveAxis(value, a, 0), index);
  // rows: [i…, the other axes]; put the index axes where the axis was.
  return range(index.shape.length).reduce((y) => moveAxis(y, 0, index.shape.length - 1 + a), rows);
}

/**
 * `out[…, j, …] = x[…, indices[…, j, …], …]` along `axis`: one index per element, as in
 * `torch.gather`. Shapes agree on all other axes (indices may be shorter there).
 */
export function takeAlongAxis(x: Operand, indices: Operand, axis = -1): Value {
  const [value, index] = [lift(x), lift(indices, 'int')];
  const { shape } = value;
  const a = normaliseAxis(axis, shape.length);
  if (a === undefined) {
    throw new FlatloraError(
      'argument',
      `takeAlongAxis: axis ${axis} is outside ${showShape(shape)}`,
    );
  }
  const fits =
    shape.length === index.shape.length &&
    index.shape.every((d, i) => i === a || d <= (shape[i] as number));
  if (!fits) {
    throw new FlatloraError(
      'shape',
      `takeAlongAxis: indices ${showShape(index.shape)} do not fit ${showShape(shape)} along axis ${axis}`,
    );
  }
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  const flatIndex = range(shape.length)
    .map((i): Value => {
      const along = i === a ? index : iota(index.shape, i);
      return mul(along, strides[i] as number);
    })
    .reduce((sum, term) => add(sum, term));
  const outside = lt(index, 0);
  const beyond = lt(index, shape[a] as number);
  const safe = select(outside, -1, select(beyond, flatIndex, -1));
  return gather(reshape(value, [sizeOf(shape)]), safe);
}

/** True at the index, false elsewhere: int [i…] → bool [i…, classes]. */
export function oneHot(indices: Operand, classes: number): Value {
  const index = lift(indices, 'int');
  const shape = [...index.shape, classes];
  return equal(reshape(index, [...index.shape, 1]), iota(shape, shape.length - 1));
}
