/** Elementwise kernels of wasm: guards, look-ups, positions with divisions, outputs of every dtype. */
import fc from 'fast-check';
import {
  add,
  concat,
  convert,
  exp,
  flatData,
  floats,
  gather,
  type HostArray,
  ints,
  iota,
  key,
  lt,
  mul,
  normal,
  pad,
  randomBits,
  range,
  reduceMax,
  reduceSum,
  reshape,
  scatterAdd,
  select,
  slice,
  sub,
  toHalf,
  transpose,
  uniform,
  type Value,
} from '../../../../src/autodiff/index.js';
import {
  boolArray,
  generator,
  integerArray,
  integerBetween,
  shuffled,
  uniformArray,
} from '../../../support/draw.js';
import { toNumbers } from '../../../support/numeric.js';
import { runs } from '../../../tooling/property.js';
import { kernelsOf, openSetting } from './setting.js';

const setting = openSetting();
const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);

const sizes = fc.array(fc.constantFrom(1, 2, 3, 5, 8, 9, 13, 16, 17), {
  minLength: 1,
  maxLength: 3,
});

test('zeros around and between elements, read in any order, summed or not', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(1e6), async (shape, seed) => {
      const random = generator(seed);
      const some = (most: number) => shape.map(() => integerBetween(random, 0, most));
      const [low, high, interior] = [some(5), some(9), some(3)];
      const order = shuffled(random, range(shape.length));
      const f = (x: Value) => {
        const padded = pad(exp(x), low, high, interior);
        return [
          transpose(padded, order),
          reduceSum(padded, shape.length - 1),
          reduceMax(padded, 0),
        ];
      };
      const note = JSON.stringify({ shape, low, high, interior, order });
      await setting.check(f, [uniformArray(random, shape, -1, 1)], note);
    }),
    { numRuns: runs(40) },
  );
});

test('pieces joined along any axis, and parts of them', async () => {
  for (const axis of [0, 1]) {
    for (const n of [3, 8, 19]) {
      const shape = axis === 0 ? [n, 11] : [11, n];
      const f = (x: Value, y: Value) => {
        const joined = concat([mul(x, 2), y, sub(x, y)], axis);
        const stride = [0, 1].map((a) => (a === axis ? 2 : 1));
        const start = [0, 1].map((a) => (a === axis ? n - 1 : 0));
        return [joined, slice(joined, start, joined.shape, stride), reduceSum(joined, axis)];
      };
      await setting.check(f, [array(1, ...shape), array(2, ...shape)], `axis ${axis}, ${n}`);
    }
  }
});

test('other shapes and orders, with divisions where they cannot be avoided', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom([6, 35], [21, 10], [14, 15], [210, 1]),
      fc.nat(1e6),
      async (first, seed) => {
        const random = generator(seed);
        const shapes = shuffled(random, [
          [5, 42],
          [7, 30],
          [2, 3, 35],
          [3, 7, 10],
          [70, 3],
        ]);
        const turned = (x: Value, shape: number[]): Value => transpose(reshape(x, shape));
        const f = (x: Value) => {
          const y = shapes.slice(0, 2).reduce(turned, add(x, 1));
          return [y, reduceSum(mul(y, y), 0), lt(y, 1)];
        };
        await setting.check(f, [uniformArray(random, first)], JSON.stringify([first, shapes]));
      },
    ),
    { numRuns: runs(25) },
  );
});

describe('look-ups', () => {
  const FAR = [0, 6, 7, -1, 3, 2 ** 31 - 1, -(2 ** 31), 8, 1_000_000, 2, 5];

  test.each([1, 3, 4, 8, 13, 33])('rows of %i, outside ones are zero', async (width) => {
    const table = array(1, 7, width);
    const f = (x: Value, i: Value) => [
      gather(x, i),
      reduceSum(mul(gather(x, i), 2), 1),
      transpose(gather(x, reshape(i, [11, 1])), [2, 0, 1]),
      reduceMax(sub(gather(x, i), 3), 0),
    ];
    const [rows] = await setting.check(f, [table, ints(FAR)], `width ${width}`);
    const second = toNumbers(rows as HostArray).slice(2 * width, 4 * width);
    expect(second.every((v) => v === 0)).toBe(true);
  });

  test('of numbers, of masks, of half precision, by many indices', async () => {
    const random = generator(4);
    const index = integerArray(random, [5, 41], -3, 22);
    const f = (x: Value, m: Value, h: Value, i: Value) => [
      gather(x, i),
      gather(m, i),
      gather(convert(h, 'float'), i),
      convert(gather(h, i), 'float'),
    ];
    const inputs = [
      array(1, 20),
      boolArray(random, [20]),
      toHalf(array(2, 20, 3), 'float16'),
      index,
    ];
    await setting.check(f, inputs, 'numbers');
  });

  test.each([
    [7, [11], 5],
    [40, [60], 9],
    [300, [50], 1],
    [33, [9, 7], 16],
    [90, [400], 8],
  ])('sums into %i rows by %j indices of width %i', async (rows, lead, width) => {
    const random = generator(rows);
    const index = integerArray(random, lead, -2, rows + 1);
    const inputs = [index, uniformArray(random, [...lead, width], -1, 1)];
    const f = (i: Value, x: Value) => [scatterAdd(i, x, rows), scatterAdd(i, mul(x, 2), rows)];
    await setting.check(f, inputs, 'scatter');
  });

  test('sums into rows stay a kernel of their own where more is added to them', async () => {
    const random = generator(1);
    const index = integerArray(random, [60], 0, 40);
    const inputs = [index, ...[60, 40].map((n) => uniformArray(random, [n, 9], -1, 1))];
    const f = (i: Value, x: Value, y: Value) => add(scatterAdd(i, x, 40), y);
    expect(kernelsOf(f as never, inputs).map(({ body }) => body.kind)).toEqual(['fold', 'apply']);
    await setting.check(f as never, inputs, 'scatter and more');
  });
});

describe('outputs', () => {
  test.each([1, 3, 4, 7, 8, 15, 31, 32, 33, 100])('of every dtype, %i in a row', async (n) => {
    const f = (x: Value, m: Value) => {
      const below = lt(x, 0.1);
      return [
        below,
        select(m, below, m),
        convert(x, 'float16'),
        convert(add(x, 1), 'bfloat16'),
        convert(mul(x, 50), 'int'),
        transpose(below),
        transpose(convert(x, 'float16')),
        iota([5, n], 1),
        convert(m, 'float'),
      ];
    };
    await setting.check(f, [array(n, 5, n), boolArray(generator(n), [5, n])], `${n}`);
  });

  test('masks are 0 and 1 in memory', async () => {
    const f = (x: Value) => [lt(x, 0), reduceSum(convert(lt(x, 0), 'int'))];
    const [mask, count] = await setting.check(f, [floats([-1, 2, -3, 4, -5])], 'mask');
    expect(Array.from(flatData(mask as HostArray))).toEqual([1, 0, 1, 0, 1]);
    expect(toNumbers(count as HostArray)).toEqual([3]);
  });

  test('random numbers, wherever the vectors begin', async () => {
    const shapes = [
      [1],
      [7],
      [8],
      [9],
      [50],
      [3, 5],
      [3, 16],
      [40, 33],
      [3, 101],
      [2, 3, 5],
      [9, 2, 4],
    ];
    for (const shape of shapes) {
      for (const draw of [randomBits, uniform, normal]) {
        // A key each, or the numbers would be stored once and read from memory.
        const f = (a: Value, b: Value, c: Value, d: Value, e: Value) => [
          draw(a, shape),
          transpose(draw(b, shape), range(shape.length).reverse()),
          slice(
            draw(c, shape),
            shape.map((n) => Number(n > 1)),
          ),
          slice(
            draw(d, shape),
            shape.map((n) => Math.min(n - 1, 2)),
          ),
          reduceSum(draw === randomBits ? uniform(e, shape) : draw(e, shape), 0),
        ];
        const keys = range(5).map((i) => key(11 + i));
        await setting.check(f, keys, `${draw.name} [${shape}]`);
      }
    }
  });
});
