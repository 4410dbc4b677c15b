/** Losses along lines and between solutions: what they are on losses that are known. */
import {
  type HostArray,
  type Key,
  key,
  type Loss,
  mul,
  orThrow,
  reduceSum,
  split,
  square,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  adapt,
  filterNormalisedDirection,
  interpolate,
  lora,
  lossLines,
  lossSurface,
} from '../../../src/flatlora/index.js';
import { programRunner, referenceBackend } from '../../../src/kernels/index.js';
import { numbers, relativeError, toNumbers } from '../../support/numeric.js';
import { matrixOf } from '../matrices.js';
import type { AnyLoss } from '../seenWeights.js';
import {
  type Batch,
  gaussian,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  seeded,
  trainingContext,
} from '../support.js';

const backend = referenceBackend();
const runner = programRunner(backend);
afterEach(() => {
  expect(backend.memory().buffers).toBe(0);
});

const weights = { w: gaussian(seeded(401), [4, 9]), bias: gaussian(seeded(402), [4]) };
type Weights = typeof weights;
/** L = c·‖W‖²: along a filter-normalised direction ‖w + x·d‖² = (1 + x²)‖w‖² + 2x·w·d. */
const loss: Loss<Weights, Value> = (w, c) => mul(c, reduceSum(square(w.w as unknown as Value)));

const rowNorms = (x: HostArray): number[] => matrixOf(x).map((row) => Math.hypot(...row));
const norm2 = (x: HostArray) => toNumbers(x).reduce((sum, v) => sum + v * v, 0);

describe('lines', () => {
  test('the loss along each direction of the key', async () => {
    const options = { key: key(1), directions: 3, range: 0.5, points: 5 };
    const { coordinates, losses } = await lossLines(runner, loss, weights, [1, 2], options);
    expect(coordinates).toEqual([-0.5, -0.25, 0, 0.25, 0.5]);
    expect(losses).toHaveLength(3);
    for (const line of losses) {
      // (L(x) + L(−x))/2 = 1.5·(1 + x²)‖w‖² whatever the direction.
      for (const [i, x] of [0.5, 0.25].entries()) {
        const even = ((line[i] as number) + (line[4 - i] as number)) / 2;
        expect(even / (1.5 * (1 + x * x) * norm2(weights.w))).toBeCloseTo(1, 12);
      }
      expect(line[2]).toBeCloseTo(1.5 * norm2(weights.w), 10);
    }
    expect(losses[0]).not.toEqual(losses[1]);
    expect(await lossLines(runner, loss, weights, [1, 2], options)).toEqual({
      coordinates,
      losses,
    });
  });

  test('a line is the middle of a surface along the same direction', async () => {
    const network = initNetwork(41);
    const data = [makeBatch(42)];
    const grid = { range: 0.8, points: 3 };
    const [first] = split(key(1), 1);
    const directions = [first as Key, key(2)].map((k) => filterNormalisedDirection(network, k));
    const surface = await lossSurface(
      runner,
      networkLoss as AnyLoss,
      network,
      data,
      [directions[0], directions[1]],
      grid,
    );
    const options = { ...grid, key: key(1), directions: 1 };
    const lines = await lossLines(runner, networkLoss as AnyLoss, network, data, options);
    const middle = surface.losses.map((row) => row[1] as number);
    expect(relativeError(lines.losses[0] as readonly number[], middle)).toBeLessThan(1e-14);
  });

  test("LoRA's factors move by their own rows; B = 0 stays", async () => {
    const adapters = randomAdapters(44);
    const direction = filterNormalisedDirection(adapters, key(3));
    for (const path of ['first.weight', 'second.weight'] as const) {
      for (const part of ['a', 'b'] as const) {
        const [row, moved] = [adapters, direction].map((tree) => rowNorms(tree[path][part]));
        expect(relativeError(moved as number[], row as number[])).toBeLessThan(1e-12);
      }
    }
    // With B = 0 the loss does not depend on A, and B's direction must be 0, not 0/‖d‖·d or NaN.
    const base = initNetwork(43);
    const method = lora({ rank: 2, alpha: 3, targetModules: ['first', 'second'] });
    const { losses } = await lossLines(
      runner,
      adapt(base, method)(networkLoss as AnyLoss) as AnyLoss,
      orThrow(method.init(base, key(45))).adapters,
      [makeBatch(46)],
      { key: key(1), directions: 1, points: 3 },
    );
    expect(new Set(losses[0]).size).toBe(1);
    expect(losses[0]?.every(Number.isFinite)).toBe(true);
  });

  test('bad options', async () => {
    const call = (options: object, batches: unknown[] = [1]) =>
      lossLines(runner, loss, weights, batches, { key: key(1), ...options });
    await expect(call({ points: 1 })).rejects.toThrow(/1 points/);
    await expect(call({ range: 0 })).rejects.toThrow(/range 0/);
    await expect(call({}, [])).rejects.toThrow(/0 batches/);
  });
});

describe('interpolation', () => {
  const value = (w: unknown, b: unknown) =>
    numbers((p: never, x: Batch) => (networkLoss as AnyLoss)(p, x, trainingContext()), w, b)[0];
  const [from, to] = [initNetwork(51), initNetwork(52)];
  const batch = makeBatch(53);
  const path = (options: object = {}, end: unknown = to) =>
    interpolate(runner, networkLoss as AnyLoss, from, end, [batch], options);

  test('the ends are the two solutions, bit for bit', async () => {
    const { coordinates, losses } = await path({ points: 4 });
    expect(coordinates).toEqual([0, 1 / 3, 2 / 3, 1]);
    expect([losses[0], losses[3]]).toEqual([value(from, batch), value(to, batch)]);
  });

  test('beyond both ends', async () => {
    const { coordinates, losses } = await path({ points: 3, beyond: 0.5 });
    expect(coordinates).toEqual([-0.5, -0.25, 0, 0.5, 1, 1.25, 1.5]);
    expect([losses[2], losses[4]]).toEqual([value(from, batch), value(to, batch)]);
  });

  test('the barrier: none on a convex loss, the height of a known hill', async () => {
    const other = { ...weights, w: gaussian(seeded(403), [4, 9]) };
    const bowl = await interpolate(runner, loss, weights, other, [1], { points: 11 });
    expect(bowl.barrier).toBe(0);
    // −‖W‖² along the line is concave with second derivative −2‖W₁ − W₀‖²: the hill is a quarter of that
    // distance squared, in the middle.
    const hill = await interpolate(runner, loss, weights, other, [-1], { points: 11 });
    const difference = toNumbers(weights.w).map((x, i) => x - (toNumbers(other.w)[i] as number));
    const expected = difference.reduce((sum, x) => sum + x * x, 0) / 4;
    expect(hill.barrier / expected).toBeCloseTo(1, 10);
  });

  test('solutions of different form are refused', async () => {
    await expect(path({}, { first: from.first })).rejects.toThrow(/trees differ/);
    await expect(path({ points: 1 })).rejects.toThrow(/1 points/);
  });
});
