/** What users call: broadcasting operators and composed functions, held to the derivative laws. */
import fc from 'fast-check';
import {
  add,
  broadcastTo,
  concat,
  conv2d,
  cumsum,
  div,
  flatData,
  floats,
  gelu,
  geluTanh,
  globalNorm,
  type HostArray,
  logSoftmax,
  logSumExp,
  matmul,
  matmulTransposed,
  max,
  mean,
  min,
  mul,
  pow,
  quickGelu,
  range,
  reduceMax,
  reduceSum,
  relu,
  type Shape,
  select,
  sigmoid,
  silu,
  softmax,
  softplus,
  square,
  sub,
  take,
  takeAlongAxis,
  type Value,
} from '../../src/autodiff/index.js';
import {
  anyShape,
  awayFromZero,
  boolArray,
  generator,
  integerArray,
  integerBetween,
  positiveSize,
  type Random,
  seeds,
  shapeOf,
  spacedArray,
  uniformArray,
} from '../support/draw.js';
import { numbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import type { Case } from './laws/case.js';
import { firstOrderLaws, secondOrderLaws } from './laws/derivatives.js';

/** A shape that broadcasts to `shape`: leading axes left out, some axes of size one. */
const smaller = (random: Random, shape: Shape): Shape =>
  shape.slice(integerBetween(random, 0, shape.length)).map((d) => (random() < 0.4 ? 1 : d));

interface Application {
  readonly inputs: readonly HostArray[];
  readonly f: Case['f'];
}

const law = (
  name: string,
  build: (random: Random, shape: Shape) => Application,
  shapes: fc.Arbitrary<Shape> = anyShape,
) => {
  const cases = fc.tuple(shapes, seeds).map(([shape, seed]): Case => {
    const application = build(generator(seed), shape);
    const operands = application.inputs.map((x) => `[${x.shape.join(',')}]`).join(' ');
    return { ...application, seed, note: `${name} ${operands}` };
  });
  test(name, () => {
    fc.assert(fc.property(cases, firstOrderLaws), { numRuns: runs(150) });
    fc.assert(fc.property(cases, secondOrderLaws), { numRuns: runs(50) });
  });
};

const one =
  (f: (x: Value) => Value): Case['f'] =>
  ([x]) => [f(x as Value)];
const two =
  (f: (x: Value, y: Value) => Value): Case['f'] =>
  ([x, y]) => [f(x as Value, y as Value)];

describe('operators broadcast as NumPy does', () => {
  const binary = (name: string, f: (x: Value, y: Value) => Value, low = -2) =>
    law(name, (random, shape) => {
      const [a, b] =
        random() < 0.5 ? [shape, smaller(random, shape)] : [smaller(random, shape), shape];
      return {
        inputs: [uniformArray(random, a, low, 2), awayFromZero(random, b)],
        f: two(f),
      };
    });
  binary('add', add);
  binary('sub', sub);
  binary('mul', mul);
  binary('div', div);
  binary('pow', pow, 0.5);
  law('max and min, their operands apart', (random, shape) => ({
    inputs: [
      uniformArray(random, shape, -2, -0.2),
      uniformArray(random, smaller(random, shape), 0.2, 2),
    ],
    f: ([x, y]) => [max(x as Value, y as Value), min(x as Value, y as Value)],
  }));
  law('select', (random, shape) => ({
    inputs: [
      boolArray(random, smaller(random, shape)),
      uniformArray(random, shape),
      uniformArray(random, smaller(random, shape)),
    ],
    f: ([c, x, y]) => [select(c as Value, x as Value, y as Value)],
  }));
  law('broadcastTo', (random, shape) => ({
    inputs: [uniformArray(random, smaller(random, shape))],
    f: one((x) => broadcastTo(x, shape)),
  }));
});

describe('activations', () => {
  const smooth = { gelu, geluTanh, quickGelu, sigmoid, silu, softplus, square };
  for (const [name, f] of Object.entries(smooth)) {
    law(name, (random, shape) => ({ inputs: [uniformArray(random, shape, -3, 3)], f: one(f) }));
  }
  law('relu, away from 0', (random, shape) => ({
    inputs: [awayFromZero(random, shape)],
    f: one(relu),
  }));
  law('globalNorm', (random, shape) => ({
    inputs: [awayFromZero(random, shape), awayFromZero(random, [2])],
    f: (xs) => [globalNorm(xs)],
  }));
});

describe('along an axis', () => {
  const along = (
    name: string,
    f: (x: Value, axis: number) => Value,
    draw = (random: Random, shape: Shape) => uniformArray(random, shape),
  ) =>
    law(
      name,
      (random, shape) => {
        const axis = integerBetween(random, -shape.length, shape.length - 1);
        return { inputs: [draw(random, shape)], f: one((x) => f(x, axis)) };
      },
      shapeOf(1, 3, positiveSize),
    );
  along('softmax', softmax);
  along('logSoftmax', logSoftmax);
  along('logSumExp', (x, axis) => logSumExp(x, axis));
  along('logSumExp, axis kept', (x, axis) => logSumExp(x, axis, { keepAxes: true }));
  along('cumsum', cumsum);
  along('mean', mean);
  along('reduceSum, axis kept', (x, axis) => reduceSum(x, axis, { keepAxes: true }));
  along('reduceMax, axis kept', (x, axis) => reduceMax(x, axis, { keepAxes: true }), spacedArray);
  along('concat', (x, axis) => concat([x, square(x), x], axis));
  law(
    'take',
    (random, shape) => {
      const axis = integerBetween(random, -shape.length, shape.length - 1);
      const rows = shape.at(axis) as number;
      const at = integerArray(random, smaller(random, [2, 3]), 0, rows - 1);
      return { inputs: [uniformArray(random, shape), at], f: two((x, i) => take(x, i, axis)) };
    },
    shapeOf(1, 3, positiveSize),
  );
  law(
    'takeAlongAxis',
    (random, shape) => {
      const axis = integerBetween(random, -shape.length, shape.length - 1);
      const rows = shape.at(axis) as number;
      const at = shape.map((d, i) =>
        i === (axis + shape.length) % shape.length ? 4 : integerBetween(random, 1, d),
      );
      return {
        inputs: [uniformArray(random, shape), integerArray(random, at, 0, rows - 1)],
        f: two((x, i) => takeAlongAxis(x, i, axis)),
      };
    },
    shapeOf(1, 3, positiveSize),
  );
});

describe('products', () => {
  const stacks = fc.constantFrom<[Shape, Shape]>(
    [[], []],
    [[2], [2]],
    [[2], []],
    [[], [3]],
    [[2, 1], [3]],
    [[1], [2]],
    [
      [2, 3],
      [2, 3],
    ],
    [[3], [2, 1]],
  );
  const product = (name: string, f: (x: Value, y: Value) => Value, transposed: boolean) =>
    test(name, () => {
      const cases = fc
        .tuple(
          stacks,
          fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 3, maxLength: 3 }),
          seeds,
        )
        .map(([[a, b], [m, k, n], seed]): Case => {
          const random = generator(seed);
          const right = transposed ? [n as number, k as number] : [k as number, n as number];
          const shapes = [
            [...a, m as number, k as number],
            [...b, ...right],
          ];
          return {
            inputs: shapes.map((s) => uniformArray(random, s)),
            f: two(f),
            seed,
            note: `${name} ${shapes.map((s) => `[${s.join(',')}]`).join(' ')}`,
          };
        });
      fc.assert(fc.property(cases, firstOrderLaws), { numRuns: runs(150) });
      fc.assert(fc.property(cases, secondOrderLaws), { numRuns: runs(50) });
    });
  product('matmul', matmul, false);
  product('matmulTransposed', matmulTransposed, true);

  test('matmul of stacks is a loop over matrices', () => {
    const random = generator(1);
    const a = uniformArray(random, [2, 1, 3, 4]);
    const b = uniformArray(random, [5, 4, 2]);
    const got = numbers(matmul, a, b);
    const want = [0, 1].flatMap((i) =>
      range(5).flatMap((j) =>
        numbers(
          matmul,
          floats(flatData(a).subarray(12 * i, 12 * i + 12), [3, 4]),
          floats(flatData(b).subarray(8 * j, 8 * j + 8), [4, 2]),
        ),
      ),
    );
    expect(got).toEqual(want);
  });

  law(
    'conv2d',
    (random) => {
      const stride = integerBetween(random, 1, 3);
      const padding = integerBetween(random, 0, 1);
      return {
        inputs: [uniformArray(random, [2, 2, 4, 3]), uniformArray(random, [3, 2, 3, 2])],
        f: two((x, k) => conv2d(x, k, { stride, padding })),
      };
    },
    fc.constant([]),
  );
});
