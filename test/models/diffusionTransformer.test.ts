/** The diffusion transformer against PyTorch; its symmetries, its start, its errors. */
import fc from 'fast-check';
import {
  evaluationContext,
  flatten,
  floats,
  type HostArray,
  ints,
  key,
  type MapLeaves,
  mean,
  orThrow,
  range,
  square,
  treeMap,
  unflatten,
  type Value,
} from '../../src/autodiff/index.js';
import { adapt, lora, selectTargets } from '../../src/flatlora/index.js';
import {
  type DiffusionTransformerConfig,
  type DiffusionTransformerWeights,
  diffusionTransformer,
  fromPatches,
  gridPositions,
  initDiffusionTransformer,
  meanSquaredError,
  parameterCount,
  patches,
  timeFrequencies,
} from '../../src/models/index.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { testTorchFixture } from '../support/torchFixtures.js';
import { runs } from '../tooling/property.js';
import { directional, gaussian, redrawn, rows } from './support.js';

/** Named arrays as the tree of weights with these names. */
function weightsOf(
  config: DiffusionTransformerConfig,
  named: Readonly<Record<string, Value>>,
): DiffusionTransformerWeights {
  const { shape, paths } = flatten(initDiffusionTransformer(config, key(0)));
  return unflatten(
    shape,
    paths.map((path) => {
      const found = named[path];
      if (found === undefined) throw new Error(`the fixture lacks "${path}"`);
      return found;
    }),
  );
}

testTorchFixture('diffusion_transformer', (inputs, attrs) => {
  const config = attrs as DiffusionTransformerConfig;
  const { images, noise, times, labels, ...named } = inputs as Record<string, Value>;
  const y = diffusionTransformer(config)(
    weightsOf(config, named),
    images as Value,
    times as Value,
    labels as Value,
  );
  return { y, loss: meanSquaredError(y, noise as Value) };
});

const small: DiffusionTransformerConfig = {
  imageSize: [4, 6],
  patchSize: 2,
  width: 8,
  depth: 2,
  heads: 2,
  classes: 3,
  timeFrequencies: 6,
};
const times = floats([5, 700]);
const labels = ints([2, 3]);

describe('the untrained model', () => {
  const weights = initDiffusionTransformer(small, key(1));

  test('predicts no noise at all, for its last layer is zero', () => {
    const y = numbers(diffusionTransformer(small), weights, gaussian(1, [2, 4, 6]), times, labels);
    expect(y.every((x) => x === 0)).toBe(true);
  });

  test('its blocks are the identity: what is in them changes nothing', () => {
    const projection = { weight: gaussian(2, [4, 8]), bias: gaussian(3, [4]) };
    const open = { ...weights, final: { ...weights.final, projection } };
    const other = {
      ...open,
      blocks: range(2).map((i) => ({
        ...initDiffusionTransformer(small, key(9)).blocks[i],
        modulation: weights.blocks[i]?.modulation,
      })),
    };
    const inputs = [gaussian(1, [2, 4, 6]), times, labels];
    const [a, b] = [open, other].map((w) => numbers(diffusionTransformer(small), w, ...inputs));
    expect(b).toEqual(a);
    expect(new Set(a).size).toBeGreaterThan(40);
  });

  test('the parameters, counted by hand', () => {
    // Per block: modulation 48·9, attention 4·72, MLP 32·9 + 8·33.
    const block = 48 * 9 + 4 * 72 + 32 * 9 + 8 * 33;
    const rest = 8 * 5 + (8 * 7 + 8 * 9) + 4 * 8 + 16 * 9 + 4 * 9;
    expect(parameterCount(weights)).toBe(2 * block + rest);
  });
});

test('each image is denoised by itself, with its own time and label', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(1, 2),
      fc.integer({ min: 0, max: 3 }),
      (batch, channels, label) => {
        const config = { ...small, channels };
        const weights = redrawn(initDiffusionTransformer(config, key(1)), 2);
        const shape = [4, 6, ...(channels === 1 ? [] : [channels])];
        const images = gaussian(3, [batch, ...shape]);
        const at = floats(range(batch).map((i) => 1 + 99 * i));
        const asked = ints(range(batch).map((i) => (label + i) % 4));
        const f = diffusionTransformer(config);
        const all = run(f, weights, images, at, asked)[0] as HostArray;
        expect(all.shape).toEqual(images.shape);
        const n = batch - 1;
        const alone = numbers(
          f,
          weights,
          floats(rows(images, n, batch), [1, ...shape]),
          floats([1 + 99 * n]),
          ints([(label + n) % 4]),
        );
        expect(relativeError(rows(all, n, batch), alone)).toBeLessThan(1e-12);
      },
    ),
    { numRuns: runs(12) },
  );
});

test('time and label matter', () => {
  const weights = redrawn(initDiffusionTransformer(small, key(1)), 2);
  const y = (t: number, label: number) =>
    numbers(
      diffusionTransformer(small),
      weights,
      gaussian(1, [1, 4, 6]),
      floats([t]),
      ints([label]),
    );
  expect(relativeError(y(10, 0), y(11, 0))).toBeGreaterThan(1e-4);
  expect(relativeError(y(10, 0), y(10, 3))).toBeGreaterThan(1e-4);
});

test('gradients of all weights along random directions', () => {
  const weights = redrawn(initDiffusionTransformer(small, key(1)), 3);
  const loss = (w: DiffusionTransformerWeights, x: Value, t: Value, y: Value, e: Value) =>
    meanSquaredError(diffusionTransformer(small)(w, x, t, y), e);
  const rest = [gaussian(4, [2, 4, 6]), times, labels, gaussian(5, [2, 4, 6])];
  for (const seed of [1, 2]) {
    const { reverse, difference } = directional(loss, weights, rest, seed);
    expect(Math.abs(reverse)).toBeGreaterThan(1e-4);
    expect(Math.abs(reverse - difference) / Math.max(1, Math.abs(reverse))).toBeLessThan(1e-8);
  }
});

test('adapters stand on attention and MLPs, not on what makes the condition', () => {
  const weights = redrawn(initDiffusionTransformer(small, key(1)), 2);
  const targetModules = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];
  const found = orThrow(selectTargets(weights, targetModules));
  expect(found).toHaveLength(12);
  expect(found.every((path) => /^blocks\.\d\.(attention|mlp)\./.test(path))).toBe(true);

  // Trained factors: the adapted model is the merged one.
  const method = lora({ rank: 2, alpha: 4, targetModules });
  const { adapters, base } = orThrow(method.init(weights, key(4)));
  const trained = treeMap((x: HostArray) => gaussian(7, x.shape, 0.3), adapters) as typeof adapters;
  const inputs = [gaussian(1, [2, 4, 6]), times, labels];
  const adapted = adapt(
    base,
    method,
  )<DiffusionTransformerWeights, readonly Value[]>((w, [x, t, y]) =>
    mean(square(diffusionTransformer(small)(w, x as Value, t as Value, y as Value))),
  );
  const [viaAdapters] = numbers(
    (a: MapLeaves<typeof adapters, Value>, ...rest: Value[]) =>
      adapted(a, rest, evaluationContext()),
    trained,
    ...inputs,
  );
  const merged = numbers(
    diffusionTransformer(small),
    orThrow(method.merge(base, trained)),
    ...inputs,
  );
  const expected = merged.reduce((sum, x) => sum + x * x, 0) / merged.length;
  expect(Math.abs((viaAdapters as number) / expected - 1)).toBeLessThan(1e-5);
  const before = numbers(diffusionTransformer(small), weights, ...inputs);
  expect(relativeError(before, merged)).toBeGreaterThan(1e-2);
});

test('patches and back', () => {
  const config = { imageSize: [4, 6] as const, patchSize: 2, channels: 3 };
  const images = gaussian(1, [2, 4, 6, 3]);
  const back = run((x: Value) => fromPatches(config, patches(config, x)), images)[0] as HostArray;
  expect(back.shape).toEqual(images.shape);
  expect(toNumbers(back)).toEqual(toNumbers(images));
});

test('positions: column first, then row; sines, then cosines', () => {
  const table = gridPositions([2, 3], 8);
  expect(table.shape).toEqual([6, 8]);
  const [row, column] = [1, 2];
  const at = Array.from({ length: 8 }, (_, i) => table.get(row * 3 + column, i));
  const slow = 1 / 100;
  const expected = [
    ...[Math.sin(column), Math.sin(column * slow), Math.cos(column), Math.cos(column * slow)],
    ...[Math.sin(row), Math.sin(row * slow), Math.cos(row), Math.cos(row * slow)],
  ];
  expect(relativeError(at, expected)).toBeLessThan(1e-14);
});

describe('errors name what is wrong', () => {
  const weights = initDiffusionTransformer(small, key(1));
  const call = (images: HostArray, t: HostArray, y: HostArray, w: unknown = weights) =>
    run(diffusionTransformer(small), w, images, t, y);
  const images = gaussian(1, [2, 4, 6]);

  test.each([
    [
      'another size',
      () => call(gaussian(1, [2, 4, 4]), times, labels),
      /images: given float\[2,4,4\]/,
    ],
    [
      'times of another count',
      () => call(images, floats([1]), labels),
      /times are float\[1\], expected float\[2\]/,
    ],
    ['labels that are not int', () => call(images, times, floats([1, 2])), /expected int/],
    [
      'too few blocks',
      () => call(images, times, labels, { ...weights, blocks: weights.blocks.slice(1) }),
      /1 blocks, expected depth 2/,
    ],
    ['odd frequencies', () => run((t: Value) => timeFrequencies(t, 5), times), /size is 5/],
    ['a width that is no multiple of 4', () => gridPositions([2, 2], 6), /width is 6/],
    [
      'heads that do not divide the width',
      () => initDiffusionTransformer({ ...small, heads: 3 }, key(0)),
      /heads is 3/,
    ],
  ])('%s', (_, f, message) => {
    expect(f).toThrow(message);
  });
});
