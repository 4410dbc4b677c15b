/** Primitives without differentiable inputs: constants, counters and random words. */
import * as E from 'fp-ts/lib/Either.js';
import { type Aval, aval, type DType, type Shape, showAval } from '../core/aval.js';
import { FlatloraError, fail } from '../core/errors.js';
import { avalOfHost, floats, type HostArray, ints, isHostArray } from '../core/host.js';
import { bind, isValue, type Primitive, type Value } from '../core/value.js';
import type { PURPOSE } from '../random/threefry.js';
import { broadcastTo } from './structural.js';

/** What operations accept as an operand: a traced value, a number, or data known while tracing. */
export type Operand = Value | number | HostArray;

/** Rules of primitives through which no derivative flows. */
const notDifferentiable = {
  vjp: ({ inputs }: { inputs: readonly Value[] }) => inputs.map(() => undefined),
  jvp: ({ outputs }: { outputs: readonly Value[] }) => outputs.map(() => undefined),
};

const neverBatched = {
  batch: (): never => {
    throw new Error('a primitive without inputs cannot be batched');
  },
};

export const constantPrimitive: Primitive<{ readonly value: HostArray }> = {
  name: 'constant',
  doc: 'Data known while tracing: `value`, a host array.',
  shape: (_, { value }) => E.right([avalOfHost(value)]),
  ...notDifferentiable,
  ...neverBatched,
};

/** Data known while tracing, as a value. */
export const constant = (value: HostArray): Value => bind(constantPrimitive, [], { value });

/** A scalar constant; as an int it must be a whole number of 32 bits. */
export function scalar(value: number, dtype: 'float' | 'int' = 'float'): Value {
  if (dtype === 'float') return constant(floats([value], []));
  if ((value | 0) !== value) {
    throw new FlatloraError(
      'dtype',
      `constant: ${value} is no 32-bit integer, which an int operand needs beside it`,
    );
  }
  return constant(ints([value], []));
}

/** A value as it is; a number or host array as a constant (numbers of type `dtype`). */
export function lift(x: Operand, dtype: DType = 'float'): Value {
  if (typeof x === 'number') return scalar(x, dtype === 'int' ? 'int' : 'float');
  return isHostArray(x) && !isValue(x) ? constant(x) : (x as Value);
}

/** An array filled with one number. */
export const full = (shape: Shape, value: number, dtype: 'float' | 'int' = 'float'): Value =>
  broadcastTo(scalar(value, dtype), shape);

export const zeros = (shape: Shape): Value => full(shape, 0);
export const ones = (shape: Shape): Value => full(shape, 1);
export const zerosLike = ({ shape }: Aval): Value => zeros(shape);

export const iotaPrimitive: Primitive<{ readonly shape: Shape; readonly axis: number }> = {
  name: 'iota',
  doc: 'An int array of `shape` whose element is its own index along `axis`.',
  shape: (_, { shape, axis }) =>
    axis >= 0 && axis < shape.length
      ? E.right([aval(shape, 'int')])
      : fail('argument', `iota: axis ${axis} is outside shape [${shape.join(',')}]`),
  ...notDifferentiable,
  ...neverBatched,
};

/** Each element's index along `axis`. */
export const iota = (shape: Shape, axis = 0): Value => bind(iotaPrimitive, [], { shape, axis });

const keyShape = (name: string, key: Aval | undefined) =>
  key !== undefined && key.dtype === 'uint' && key.shape.at(-1) === 2
    ? E.right(key.shape.slice(0, -1))
    : fail('dtype', `${name}: key is ${key ? showAval(key) : 'missing'}, expected uint[…,2]`);

export const randomBitsPrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'randomBits',
  doc: 'Random words of `shape` from a key: element i is word i mod 2 of Threefry-2x32-20 at counter (0, ⌊i/2⌋). With keys [k…,2] each key gives its own stream: [k…, shape…].',
  shape: ([key], { shape }) =>
    E.map((keys: Shape) => [aval([...keys, ...shape], 'uint')])(keyShape('randomBits', key)),
  ...notDifferentiable,
  batch: ({ inputs, params }) => [bind(randomBitsPrimitive, inputs, params)],
};

export const randomNormalPrimitive: Primitive<{ readonly shape: Shape }> = {
  name: 'randomNormal',
  doc: 'Standard normal numbers of `shape` from a key, the same bits on every backend: elements 8i to 8i + 7 are signed sums of the eight entries of a table that the bytes of random block i pick (normalTable.ts). With keys [k…,2] each key gives its own stream: [k…, shape…].',
  shape: ([key], { shape }) =>
    E.map((keys: Shape) => [aval([...keys, ...shape], 'float')])(keyShape('randomNormal', key)),
  ...notDifferentiable,
  batch: ({ inputs, params }) => [bind(randomNormalPrimitive, inputs, params)],
};

export const deriveKeyPrimitive: Primitive<{ readonly purpose: keyof typeof PURPOSE }> = {
  name: 'deriveKey',
  doc: 'The key Threefry-2x32-20(key, (purpose, data)): keys uint[k…,2] and data int[k…] give uint[k…,2].',
  shape: ([key, data]) =>
    E.chain((keys: Shape) =>
      data?.dtype === 'int' && data.shape.join() === keys.join()
        ? E.right([key as Aval])
        : fail(
            'dtype',
            `deriveKey: data is ${data ? showAval(data) : 'missing'}, expected int[${keys.join(',')}]`,
          ),
    )(keyShape('deriveKey', key)),
  ...notDifferentiable,
  batch: ({ inputs, batched, params, size }) => [
    bind(
      deriveKeyPrimitive,
      inputs.map((x, i) => (batched[i] ? x : broadcastTo(x, [size, ...x.shape]))),
      params,
    ),
  ],
};
