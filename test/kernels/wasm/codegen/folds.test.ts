/** Sums, maxima and places on wasm: over odd sizes, along and across vectors, however rows are shared. */
import fc from 'fast-check';
import {
  add,
  argmax,
  convert,
  exp,
  floats,
  type HostArray,
  lt,
  mul,
  range,
  reduceMax,
  reduceSum,
  type Shape,
  softmax,
  sub,
  toHalf,
  transpose,
  type Value,
} from '../../../../src/autodiff/index.js';
import { generator, integerArray, shuffled, uniformArray } from '../../../support/draw.js';
import { toNumbers } from '../../../support/numeric.js';
import { runs } from '../../../tooling/property.js';
import { openSetting } from './setting.js';

const setting = openSetting();
const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);
const size = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 15, 16, 17, 23, 33, 40);

type Fold = (x: Value, axes: number[]) => Value;

const FOLDS: readonly [string, Fold][] = [
  ['sum', (x, axes) => reduceSum(mul(x, 0.5), axes)],
  ['sum of two', (x, axes) => reduceSum(add(x, mul(x, x)), axes)],
  ['maximum', (x, axes) => reduceMax(sub(x, 3), axes)],
  ['sum of integers', (x, axes) => reduceSum(convert(mul(x, 100), 'int'), axes)],
  ['maximum of integers', (x, axes) => reduceMax(convert(sub(mul(x, 100), 500), 'int'), axes)],
  ['place', (x, axes) => argmax(x, axes[0] as number)],
  ['place among integers', (x, axes) => argmax(convert(mul(x, 3), 'int'), axes[0] as number)],
  ['sum of half precision', (x, axes) => reduceSum(convert(convert(x, 'bfloat16'), 'float'), axes)],
];

test('any axes of arrays of odd sizes, whose axes lie in any order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(size, { minLength: 1, maxLength: 3 }),
      fc.constantFrom(...FOLDS),
      fc.nat(1e6),
      async (shape, [name, fold], seed) => {
        const random = generator(seed);
        const order = shuffled(random, range(shape.length));
        const axes = shuffled(random, range(shape.length)).slice(0, 1 + Math.floor(2 * random()));
        const f = (x: Value) =>
          fold(
            transpose(x, order),
            [...axes].sort((a, b) => a - b),
          );
        const note = `${name} of [${shape}] in order ${order} over ${axes}`;
        await setting.check(f, [uniformArray(random, shape, -1, 1)], note);
      },
    ),
    { numRuns: runs(90) },
  );
});

test.each<[string, Shape]>([
  ['many rows, which threads share', [200, 37]],
  ['few rows, of which threads take parts', [3, 2000]],
  ['a single row', [5000]],
  ['columns that are no whole grains', [2, 1009]],
  ['rows of one', [3000, 1]],
  ['many short rows', [1500, 3]],
])('%s', async (note, shape) => {
  const x = array(1, ...shape);
  const last = shape.length - 1;
  const f = (v: Value) => [
    exp(mul(v, 0.5)),
    reduceSum(v, last),
    reduceMax(v, 0),
    softmax(v),
    argmax(v, last),
    lt(v, reduceSum(v, 0)),
  ];
  await setting.check(f, [x], note, 5e-5);
});

test('padding lanes take no part: sums and maxima of what is below zero', async () => {
  for (let n = 1; n <= 20; n++) {
    const x = floats(new Float64Array(2 * n).fill(-5), [2, n]);
    const f = (v: Value) => [
      reduceMax(v, 1),
      reduceSum(exp(v), 1),
      reduceMax(convert(v, 'int'), 1),
      reduceSum(add(v, 6), 0),
    ];
    const [most, , , each] = await setting.check(f, [x], `${n} columns`);
    expect(toNumbers(most as HostArray)).toEqual([-5, -5]);
    expect(toNumbers(each as HostArray)).toEqual(range(n).map(() => 2));
  }
});

test('places: the first of equals, the only one anywhere, nothing but −∞', async () => {
  const places = (v: Value) => [argmax(v, 1), argmax(transpose(v), 0)];
  for (const n of [1, 3, 8, 13]) {
    const one = range(n * n).map((i) => (i % (n + 1) === 0 ? 1 : 0));
    const [along, across] = await setting.check(
      places,
      [floats(one, [n, n])],
      `the only one of ${n}`,
    );
    expect(toNumbers(along as HostArray)).toEqual(range(n));
    expect(toNumbers(across as HostArray)).toEqual(range(n));
  }
  const same = floats(new Float64Array(60).fill(2), [5, 12]);
  const least = floats(new Float64Array(60).fill(Number.NEGATIVE_INFINITY), [5, 12]);
  for (const x of [same, least]) {
    const [along] = await setting.check(places, [x], 'equals');
    expect(toNumbers(along as HostArray)).toEqual([0, 0, 0, 0, 0]);
  }
});

test('integers beyond 2²⁴ are summed and compared exactly', async () => {
  const x = integerArray(generator(3), [9, 13], -(2 ** 27), 2 ** 27);
  const f = (v: Value) => [reduceSum(v, 1), reduceMax(v, 0), reduceSum(v, [0, 1]), argmax(v, 1)];
  const [sums] = await setting.check(f, [x], 'integers');
  const rows = range(9).map((i) => range(13).reduce((sum, j) => sum + (x.get(i, j) as number), 0));
  expect(toNumbers(sums as HostArray)).toEqual(rows.map((s) => s | 0));
});

test('sums of weights in half precision, along and across', async () => {
  for (const precision of ['bfloat16', 'float16'] as const) {
    const x = toHalf(array(5, 19, 45), precision);
    const f = (v: Value) => {
      const wide = convert(v, 'float');
      return [
        reduceSum(wide, 0),
        reduceSum(wide, 1),
        reduceSum(transpose(wide), 1),
        reduceMax(wide),
      ];
    };
    await setting.check(f, [x], precision);
  }
});

test('one sum inside another', async () => {
  const f = (x: Value) => {
    const centred = sub(x, mul(reduceSum(x, 1, { keepAxes: true }), 1 / 13));
    return [reduceSum(mul(centred, centred), 1), reduceSum(reduceMax(mul(x, x), 0))];
  };
  await setting.check(f, [array(6, 21, 13)], 'variance');
});

test('what one thread alone computes is there before all read it', async () => {
  // Each sum is too little work for two threads, each result enough.
  const count = 16;
  const f = (x: Value, ...small: Value[]) =>
    small.map((v, i) => add(mul(x, i + 1), reduceSum(exp(v))));
  const inputs = [array(1, 40_000), ...range(count).map((i) => array(i, 900 + i))];
  await setting.check(f, inputs, 'alternating', 5e-5);
});
