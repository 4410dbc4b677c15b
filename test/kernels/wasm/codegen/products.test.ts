/** Products of the wasm backend: every order of axes, every way to share work, whatever comes after. */
import fc from 'fast-check';
import {
  add,
  convert,
  type DotParams,
  dot,
  gather,
  gelu,
  type HostArray,
  ints,
  matmul,
  mul,
  pad,
  range,
  reduceSum,
  reshape,
  type Shape,
  slice,
  sub,
  tanh,
  toHalf,
  transpose,
  type Value,
} from '../../../../src/autodiff/index.js';
import { type Tiling, tilingOf } from '../../../../src/kernels/wasm/product/tiling.js';
import { generator, shuffled, uniformArray } from '../../../support/draw.js';
import { runs } from '../../../tooling/property.js';
import { kernelsOf, openSetting } from './setting.js';

const setting = openSetting();
const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);

type Program = (...xs: Value[]) => unknown;

const tilingsOf = (f: Program, inputs: readonly HostArray[]): readonly Tiling[] =>
  kernelsOf(f, inputs)
    .map((k) => tilingOf(k, setting.relaxed()))
    .filter((t) => t !== undefined);

describe('how threads share the work', () => {
  test.each<[Tiling['split'], number, number, number[], number[]]>([
    ['batch', 1, 9, [9, 17, 40], [9, 40, 21]],
    ['batch', 1, 8, [8, 50, 33], [8, 33, 49]],
    ['rows', 1, 1, [75, 60], [60, 50]],
    ['rows', 1, 3, [3, 61, 30], [3, 30, 65]],
    ['columns', 27, 1, [13, 60], [60, 211]],
    ['columns', 25, 2, [2, 2, 90], [2, 90, 200]],
    ['rows', 3, 1, [50, 600], [600, 440]],
    ['rows', 3, 2, [2, 49, 450], [2, 450, 403]],
    // One panel alone is larger than what is packed at a time.
    ['rows', 3, 1, [49, 17_000], [17_000, 17]],
  ])('%s, %i parts, %i products', async (split, parts, batchSize, left, right) => {
    const inputs = [array(1, ...left), array(2, ...right)];
    const [tiling, ...others] = tilingsOf(matmul as Program, inputs);
    expect(others).toEqual([]);
    expect(tiling && { split: tiling.split, batchSize: tiling.batchSize }).toEqual({
      split,
      batchSize,
    });
    const { columnPanels, partPanels } = tiling as Tiling;
    expect(Math.ceil(columnPanels / partPanels)).toBe(parts);
    await setting.check(matmul as Program, inputs, split, 1e-3);
  });

  test('lhs in several blocks', async () => {
    const inputs = [array(1, 300, 700), array(2, 700, 20)];
    const [tiling] = tilingsOf(matmul as Program, inputs);
    expect((tiling as Tiling).blockPanels).toBeLessThan((tiling as Tiling).rowPanels);
    await setting.check(matmul as Program, inputs, 'blocks', 2e-4);
  });

  test('every height and width of tiles, and one more or less', async () => {
    for (let n = 2; n <= 19; n++) {
      const inputs = [array(1, n, 9), array(2, 9, 21 - n)];
      await setting.check(matmul as Program, inputs, `${n} × ${21 - n}`);
    }
  });
});

/** A product of random axes in random orders. */
interface Axes {
  readonly batch: readonly number[];
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  readonly contracted: readonly number[];
  readonly seed: number;
}

const sizes = (most: number, maxLength: number, minLength = 0) =>
  fc.array(fc.constantFrom(...[1, 2, 3, 5, 7, 8, 9, 12, 16, 24].filter((n) => n <= most)), {
    minLength,
    maxLength,
  });

const axes: fc.Arbitrary<Axes> = fc.record({
  batch: sizes(9, 2),
  rows: sizes(12, 2, 1),
  columns: sizes(24, 2, 1),
  contracted: sizes(24, 2, 1),
  seed: fc.nat(1e6),
});

/** Operands with their axes shuffled, and the parameters of their product. */
function productOf({ batch, rows, columns, contracted, seed }: Axes) {
  const random = generator(seed);
  const side = (free: readonly number[]) => {
    const all = [...batch, ...contracted, ...free];
    const order = shuffled(random, range(all.length));
    const places = (from: number, count: number) =>
      range(count).map((i) => order.indexOf(from + i));
    return {
      shape: order.map((i) => all[i] as number),
      batch: places(0, batch.length),
      contract: places(batch.length, contracted.length),
      free: order.filter((i) => i >= all.length - free.length).map((i) => all[i] as number),
    };
  };
  const [left, right] = [side(rows), side(columns)];
  const params: DotParams = {
    contract: [left.contract, right.contract],
    batch: [left.batch, right.batch],
  };
  const lengths = [...batch, ...left.free, ...right.free];
  const order = shuffled(random, range(lengths.length));
  const result = order.map((i) => lengths[i] as number);
  return { left: left.shape, right: right.shape, params, order, result, random };
}

const PROLOGUES: readonly [string, (x: Value) => Value][] = [
  ['as it is', (x) => x],
  ['scaled', (x) => sub(mul(x, 0.5), 0.1)],
  ['widened', (x) => convert(x, 'float')],
  [
    'padded',
    (x) =>
      pad(
        x,
        x.shape.map(() => 1),
        x.shape.map(() => 0),
      ),
  ],
  [
    'every second',
    (x) =>
      slice(
        x,
        x.shape.map(() => 0),
        x.shape,
        x.shape.map(() => 2),
      ),
  ],
  ['looked up', (x) => gather(x, ints([2, 0, 1, 7, 1, -1]))],
];

/** The operand's shape before a prologue gives it this one. */
const before = (prologue: string, shape: Shape): Shape | undefined => {
  if (prologue === 'padded') return shape.every((d) => d > 1) ? shape.map((d) => d - 1) : undefined;
  if (prologue === 'every second') return shape.map((d) => 2 * d);
  if (prologue === 'looked up') return shape[0] === 6 ? [3, ...shape.slice(1)] : undefined;
  return shape;
};

test('random axes in random orders, operands and results that are more than loads and stores', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      axes,
      fc.constantFrom(...PROLOGUES),
      fc.constantFrom('none', 'bias', 'residual', 'activation'),
      async (given, [prologue, open], epilogue) => {
        const { left, right, params, order, result, random } = productOf(given);
        const small = before(prologue, right);
        const [shape, prepare] = small === undefined ? [right, (x: Value) => x] : [small, open];
        const full = uniformArray(random, shape, -1, 1);
        const w = prologue === 'widened' ? toHalf(full, 'float16') : full;
        const out = (x: Value, y: Value): Value => transpose(dot(x, prepare(y), params), order);
        const added = uniformArray(random, epilogue === 'bias' ? result.slice(-1) : result, -1, 1);
        const f = (x: Value, y: Value, b: Value): Value => {
          const z = out(x, y);
          if (epilogue === 'none') return z;
          return epilogue === 'activation' ? tanh(mul(z, 0.3)) : add(z, b);
        };
        const inputs = [uniformArray(random, left, -1, 1), w, added];
        for (const { split, batch, rows, columns, products } of tilingsOf(f as Program, inputs)) {
          const shapes = [batch, rows, columns, products[0]?.contracted ?? []];
          const which = [split, ...shapes.map((loops) => Math.min(loops.length, 2))].join(' ');
          seen.set(which, (seen.get(which) ?? 0) + 1);
        }
        await setting.check(
          f as Program,
          inputs,
          JSON.stringify({ ...given, left, right, params, order, prologue, epilogue }),
          1e-4,
        );
      },
    ),
    // Fewer would not meet all that is looked for below.
    { numRuns: Math.max(50, runs(50)) },
  );
  // All splits, with one loop and with several each way.
  const kinds = [...seen.keys()];
  for (const split of ['batch', 'rows', 'columns']) {
    expect(kinds.filter((k) => k.startsWith(split)).length).toBeGreaterThan(2);
  }
  expect(kinds.length).toBeGreaterThan(15);
});

describe('what comes after the sums', () => {
  const [m, k, n] = [61, 40, 53];
  const [x, w] = [array(3, m, k), array(4, k, n)];
  type After = (a: Value, b: Value, c: Value) => Value;
  test.each<[string, After, HostArray[]]>([
    ['a bias by column', (a, b, c) => add(matmul(a, b), c), [array(5, n)]],
    ['a bias by row', (a, b, c) => add(matmul(a, b), c), [array(5, m, 1)]],
    ['an activation', (a, b) => gelu(matmul(a, b)), []],
    ['a residual', (a, b, c) => add(mul(matmul(a, b), 0.5), c), [array(5, m, n)]],
    ['a transposed result', (a, b) => transpose(matmul(a, b)), []],
    ['a turned one with a bias', (a, b, c) => add(transpose(matmul(a, b)), c), [array(5, m)]],
    [
      'a batch behind',
      (a, b) => {
        const left = reshape(a, [m, 1, 10, 4]);
        return reduceSum(mul(left, reshape(b, [1, n, 10, 4])), 2);
      },
      [],
    ],
    ['part of it', (a, b) => slice(matmul(a, b), [3, 1], [50, 52], [2, 3]), []],
    ['more around it', (a, b) => pad(matmul(a, b), [1, 2], [2, 1], [0, 1]), []],
    ['another shape', (a, b) => reshape(matmul(a, b), [n, m]), []],
    ['another dtype', (a, b) => convert(mul(matmul(a, b), 3), 'bfloat16'), []],
  ])('%s', async (name, f, more) => {
    const tolerance = name === 'another dtype' ? 2 ** -7 : 5e-5;
    await setting.check(f as Program, [x, w, ...more], name, tolerance);
  });

  test.each<[string, (c: Value, d: Value) => Value]>([
    ['alike', (c, d) => mul(2, matmul(c, d))],
    ['turned', (c, d) => transpose(matmul(transpose(d), transpose(c)))],
  ])('several products in one kernel, operands %s', async (name, second) => {
    const f = (a: Value, b: Value, c: Value, d: Value) => add(matmul(a, b), second(c, d));
    const inputs = [x, w, array(6, m, 5), array(7, 5, n)];
    const products = tilingsOf(f as Program, inputs).map((t) => t.products.length);
    expect(products).toEqual(name === 'alike' ? [2] : [1, 1]);
    await setting.check(f as Program, inputs, name, 5e-5);
  });
});
