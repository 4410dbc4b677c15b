/** Every rule on shapes, dtypes and arguments says in one line what was wrong. */
import {
  add,
  argmax,
  bernoulli,
  bind,
  broadcastPrimitive,
  broadcastTo,
  concat,
  constant,
  conv2d,
  convert,
  dot,
  dropout,
  exp,
  FlatloraError,
  Float16Bits,
  flatten,
  floats,
  foldInTraced,
  gather,
  grad,
  type HostArray,
  hostArray,
  ints,
  iota,
  jvp,
  key,
  lift,
  matmul,
  matmulTransposed,
  mean,
  mul,
  neg,
  type ProblemKind,
  pad,
  randomBits,
  reduceSum,
  reshape,
  scatterAdd,
  select,
  sin,
  slice,
  sliceAxis,
  take,
  takeAlongAxis,
  trace,
  transpose,
  unflatten,
  type Value,
  vjp,
  vmap,
} from '../../src/autodiff/index.js';

const float = (...shape: number[]): Value => lift(floats(new Float64Array(size(shape)), shape));
const int = (...shape: number[]): Value => lift(ints(new Int32Array(size(shape)), shape));
const size = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1);
const bool = (...shape: number[]): Value => lift(hostArray(new Uint8Array(size(shape)), shape));
const half = (...shape: number[]): Value => lift(hostArray(new Float16Bits(size(shape)), shape));

test.each<[ProblemKind, string, () => unknown]>([
  // elementwise
  ['shape', 'add: shapes do not broadcast: [2,3] and [4]', () => add(float(2, 3), float(4))],
  ['dtype', 'add: cannot be applied to float[2], int[2]', () => add(float(2), int(2))],
  ['dtype', 'exp: cannot be applied to int[2]', () => exp(int(2))],
  ['dtype', 'neg: cannot be applied to bool[2]', () => neg(bool(2))],
  [
    'dtype',
    'select: cannot be applied to float[2], float[2], float[2]',
    () => select(float(2), float(2), 1),
  ],
  ['dtype', 'convert: cannot be applied to uint[2]', () => convert(key(1), 'float')],
  [
    'dtype',
    'convert: cannot be applied to int[2] with dtype bfloat16',
    () => convert(int(2), 'bfloat16'),
  ],
  ['dtype', 'add: cannot be applied to float16[2], float16[2]', () => add(half(2), half(2))],
  ['dtype', 'reduceSum: operand is float16, expected float or int', () => reduceSum(half(2))],
  ['dtype', 'argmax: operand is float16, convert it to float first', () => argmax(half(2))],
  [
    'dtype',
    'constant: 0.5 is no 32-bit integer, which an int operand needs beside it',
    () => mul(int(2), 0.5),
  ],
  [
    'dtype',
    'constant: 0.5 is no 32-bit integer, which an int operand needs beside it',
    () => mean(int(2)),
  ],
  ['argument', 'sin: operand 0 is string, expected a traced value', () => sin('x' as never)],
  ['argument', 'sin: operand 0 is null, expected a traced value', () => sin(null as never)],
  // moving elements
  ['shape', 'broadcastTo: [2] does not broadcast to [3]', () => broadcastTo(float(2), [3])],
  ['shape', 'broadcastTo: [2,1] does not broadcast to [2]', () => broadcastTo(float(2, 1), [2])],
  [
    'shape',
    'broadcast: [2] does not fit axes [0] of [3]',
    () => bind(broadcastPrimitive, [float(2)], { shape: [3], axes: [0] }),
  ],
  ['shape', 'reshape: [2,3] does not have the size of [4]', () => reshape(float(2, 3), [4])],
  ['shape', 'reshape: [5] does not have the size of [2,2]', () => reshape(float(5), [2, -1])],
  [
    'argument',
    'transpose: [0,0] does not permute the axes of [2,3]',
    () => transpose(float(2, 3), [0, 0]),
  ],
  ['argument', 'slice: [0] to [4] by [1] is outside [3]', () => slice(float(3), [0], [4])],
  ['argument', 'slice: [0] to [3] by [0] is outside [3]', () => slice(float(3), [0], [3], [0])],
  ['argument', 'sliceAxis: axis 2 is outside [3,4]', () => sliceAxis(float(3, 4), 2, 0, 1)],
  [
    'argument',
    'pad: low, high, interior must be 1 non-negative integers each',
    () => pad(float(3), [-1], [0]),
  ],
  [
    'shape',
    'concat: shapes do not fit along axis 0: [2,3], [2,4]',
    () => concat([float(2, 3), float(2, 4)]),
  ],
  ['argument', 'concat: axis 2 is out of range', () => concat([float(2, 3)], 2)],
  // reductions
  ['argument', 'reduceSum: axis 2 is outside [2,3]', () => reduceSum(float(2, 3), 2)],
  ['dtype', 'reduceSum: operand is bool, expected float or int', () => reduceSum(bool(2))],
  ['argument', 'argmax: axis 0 of [0] has no elements', () => argmax(float(0))],
  // products
  [
    'shape',
    'matmul: inner dimensions differ: [8,16] · [12,4]',
    () => matmul(float(8, 16), float(12, 4)),
  ],
  [
    'shape',
    'matmul: batch dimensions differ: [2,3,4] · [3,4,5]',
    () => matmul(float(2, 3, 4), float(3, 4, 5)),
  ],
  [
    'shape',
    'matmul: operands are [] · [3,2], expected at least a vector and a matrix',
    () => matmul(1, float(3, 2)),
  ],
  [
    'shape',
    'matmulTransposed: inner dimensions differ: [8,16] · [4,12]',
    () => matmulTransposed(float(8, 16), float(4, 12)),
  ],
  [
    'dtype',
    'dot: operands are int and float, expected float',
    () => matmul(int(2, 2), float(2, 2)),
  ],
  [
    'shape',
    'dot: inner dimensions differ: [2] · [3]',
    () => dot(float(2), float(3), { contract: [[0], [0]], batch: [[], []] }),
  ],
  [
    'shape',
    'dot: batch dimensions differ: [2] · [3]',
    () => dot(float(2), float(3), { contract: [[], []], batch: [[0], [0]] }),
  ],
  [
    'argument',
    'dot: axes [5] [7] [] [] must be distinct axes of [2] and [2]',
    () => dot(float(2), float(2), { contract: [[5], [7]], batch: [[], []] }),
  ],
  [
    'shape',
    'conv2d: images [1,2,5,5] and kernels [3,1,3,3], expected [n,c,h,w] and [out,c,kh,kw]',
    () => conv2d(float(1, 2, 5, 5), float(3, 1, 3, 3)),
  ],
  // indices
  [
    'dtype',
    'gather: operands are float[3] and float[2], expected rows and int indices',
    () => gather(float(3), float(2)),
  ],
  [
    'shape',
    'scatterAdd: operands are int[2] and float[3], expected int[i…] and float[i…,r…]',
    () => scatterAdd(int(2), float(3), 4),
  ],
  ['argument', 'take: axis 1 is outside [3]', () => take(float(3), int(2), 1)],
  ['argument', 'takeAlongAxis: axis 1 is outside [3]', () => takeAlongAxis(float(3), int(2), 1)],
  [
    'shape',
    'takeAlongAxis: indices [4,2] do not fit [3,2] along axis 1',
    () => takeAlongAxis(float(3, 2), int(4, 2), 1),
  ],
  // sources and keys
  ['argument', 'iota: axis 1 is outside shape [3]', () => iota([3], 1)],
  ['dtype', 'randomBits: key is float[2], expected uint[…,2]', () => randomBits(float(2), [3])],
  ['dtype', 'deriveKey: data is int[3], expected int[]', () => foldInTraced(key(1), int(3))],
  [
    'argument',
    'bernoulli: p is 1.5, expected a number from 0 to 1',
    () => bernoulli(key(1), 1.5, [2]),
  ],
  ['argument', 'dropout: rate is 1, expected 0 ≤ rate < 1', () => dropout(key(1), 1, float(2))],
  // host arrays
  ['shape', 'hostArray: 3 elements do not fill shape [2]', () => floats([1, 2, 3], [2])],
  [
    'dtype',
    'host array: element storage Int8Array, expected Float64Array, Float32Array, Int32Array, Uint32Array (random words), Uint8Array (booleans), Bfloat16Bits or Float16Bits',
    () => constant({ ...floats([1]), data: new Int8Array(1) } as unknown as HostArray),
  ],
  // transforms
  [
    'shape',
    'grad: the function returned float[2], expected a scalar float[]',
    () => grad((x: Value) => x)(float(2)),
  ],
  [
    'shape',
    'grad: the function returned string, expected a scalar float[]',
    () => grad(() => 'x' as never)(float(2)),
  ],
  [
    'dtype',
    'grad: parameter "0.layers.1" is int, expected float',
    () =>
      grad((p: { layers: readonly Value[] }) => reduceSum(p.layers[0] as Value))({
        layers: [float(2), int(2)],
      }),
  ],
  [
    'shape',
    'vjp: cotangents: leaf 0 is float[3], expected float[2]',
    () => vjp(sin, float(2)).pullback(float(3)),
  ],
  [
    'tree',
    'vjp: cotangents: 2 leaves given, expected 1',
    () => vjp(sin, float(2)).pullback([float(2), float(2)]),
  ],
  ['shape', 'jvp: tangents: leaf 0 is float[], expected float[2]', () => jvp(sin, [float(2)], [1])],
  [
    'shape',
    'vmap: mapped axes must have one common size, given shapes [2], [3] and axes 0, 0',
    () => vmap(add)(float(2), float(3)),
  ],
  [
    'argument',
    'vmap: 1 axes given for 2 arguments; use null for those not mapped',
    () => vmap(add, [0])(float(2), float(3)),
  ],
  ['shape', 'vmap: axis 1 of leaf 0 is outside its shape [2]', () => vmap(sin, 1)(float(2))],
  ['shape', 'vmap: axis 0 of leaf 0 is outside its shape []', () => vmap(sin)(1 as never)],
  [
    'argument',
    'trace: the function uses 1 value(s) of a surrounding traced function',
    () => trace((x: Value) => trace((y: Value) => add(x, y), float(2)), float(2)),
  ],
  // trees
  [
    'tree',
    'tree: leaf at "a.1" is bigint, expected an array or a number',
    () => flatten({ a: [1, 1n] }),
  ],
  ['tree', 'tree: 2 leaves given, expected 1', () => unflatten(flatten([1]).shape, [1, 2])],
])('%s: %s', (kind, message, f) => {
  expect(f).toThrow(FlatloraError);
  expect(f).toThrow(expect.objectContaining({ name: 'FlatloraError', kind, message }));
  expect(message).not.toContain('\n');
});

test('seeds of keys', () => {
  const message = 'key: seed must be an integer from 0 to 2^53-1, given -1';
  expect(() => key(-1)).toThrow(message);
  expect(() => key(0.5)).toThrow(RangeError);
});
