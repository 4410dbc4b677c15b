/** The vision experiments: their data, the emulated drift, and one cell of each kind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hostArray, hostNormal, key, orThrow, roundToHalf } from '../../src/autodiff/index.js';
import { flat, lora } from '../../src/flatlora/index.js';
import type { Backend } from '../../src/kernels/index.js';
import { openWorkerBackend } from '../../src/main/backend.js';
import { adaptedShapes, llamaStep } from '../../src/paper/costs/llama.js';
import { stateRows } from '../../src/paper/costs/state.js';
import type { Cell, RunContext, Surroundings } from '../../src/paper/experiment.js';
import { beyondDrift } from '../../src/paper/experiments/beyondDrift.js';
import { table2 } from '../../src/paper/experiments/table2.js';
import { EXPERIMENTS } from '../../src/paper/registry.js';
import { methodSettings, visionCell } from '../../src/paper/vision/cells.js';
import { corrupted, loadTask, trainingImages } from '../../src/paper/vision/data.js';
import { driftingBase, driftStep, normOf } from '../../src/paper/vision/drift.js';
import { loadBase, TARGET_MODULES } from '../../src/paper/vision/model.js';

const QUICK: Surroundings = { quick: true, dataDir: undefined, seeds: 2 };
const PATIENCE = 300_000;

test('experiments have different names, and cells that tell their seeds', () => {
  const names = EXPERIMENTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, cells } of EXPERIMENTS) {
    const all = cells(QUICK).map((cell) => JSON.stringify(cell));
    expect([name, new Set(all).size]).toEqual([name, all.length]);
  }
});

test('a seed decides the training images; methods of one seed share them', async () => {
  const data = await loadTask('semeion', undefined);
  const [a, again, b] = [0, 0, 1].map((seed) => trainingImages(data, 3, seed));
  expect(a?.images.shape).toEqual([30, 16, 16]);
  expect(again?.images.data).toEqual(a?.images.data);
  expect(b?.images.data).not.toEqual(a?.images.data);
  const counts = Array.from({ length: 10 }, (_, c) =>
    Array.from(a?.labels.data as Int32Array).filter((label) => label === c),
  );
  expect(counts.map((rows) => rows.length)).toEqual(Array.from({ length: 10 }, () => 3));
});

test('so many labels are wrong, and a wrong one is never the right one', async () => {
  const data = await loadTask('semeion', undefined);
  const right = trainingImages(data, 40, 0);
  const some = trainingImages(data, 40, 0, 0.5);
  const changed = Array.from(right.labels.data as Int32Array).filter(
    (label, i) => label !== some.labels.data[i],
  ).length;
  // 400 draws of probability ½: five standard deviations are 50 (false positives below 1e-6).
  expect(Math.abs(changed - 200)).toBeLessThan(50);
  const all = trainingImages(data, 40, 0, 1);
  expect(Array.from(all.labels.data).every((label, i) => label !== right.labels.data[i])).toBe(
    true,
  );
});

test('a cell names the settings of its method, and a flat version differs in σ alone', () => {
  const cell = (method: string) => visionCell(QUICK, 'semeion', method, 0);
  const { sigma, method: _, ...flatDora } = cell('flat-dora');
  const { method: __, ...dora } = cell('dora');
  expect(flatDora).toEqual(dora);
  expect(Number(sigma)).toBeGreaterThan(0);
  const settings = methodSettings({ ...cell('ggpo'), 'option.sigma': 0.3, rho: 0.1, on: 'all' });
  expect(settings).toMatchObject({
    rank: 8,
    alpha: 16,
    rho: 0.1,
    on: 'all',
    options: { sigma: 0.3 },
  });
  expect(settings.sigma).toBeUndefined();
  expect(Object.keys(settings.options ?? {})).toEqual(['sigma']);
});

test('corruption grows with severity', async () => {
  const { test: images } = await loadTask('semeion', undefined);
  const distances = corrupted(images).map(({ images: { data } }) =>
    Array.from(data as Float32Array).reduce(
      (sum, x, i) => sum + (x - (images.images.data[i] as number)) ** 2,
      0,
    ),
  );
  expect(distances).toEqual(distances.toSorted((a, b) => a - b));
  expect(distances[0]).toBeGreaterThan(0);
});

test('a drift step is two roundings to bfloat16, and the base moves by less than the noise', () => {
  const weight = hostArray(
    Float32Array.from([0.5, -1.25, 2, 0.0078125]).map((x) => roundToHalf(x, 'bfloat16')),
    [1, 4],
  );
  const { seen, after } = driftStep({ w: weight }, 0.5, key(5));
  const data = (m: Readonly<Record<string, { data: ArrayLike<number> }>>) =>
    Array.from(m.w?.data ?? []);
  data(seen).forEach((x, i) => {
    expect(roundToHalf(x, 'bfloat16')).toBe(x);
    // What was added is a number of bfloat16 too, so the way back is the rounded difference.
    expect(Math.abs(x - (weight.data[i] as number))).toBeGreaterThan(0);
    const error = Math.abs((data(after)[i] as number) - (weight.data[i] as number));
    expect(error).toBeLessThanOrEqual(
      2 ** -7 * Math.max(Math.abs(x), Math.abs(weight.data[i] as number)),
    );
  });
  expect(driftStep({ w: weight }, 0, key(5)).after.w?.data).toEqual(weight.data);
});

test('the drifting base does not depend on how it is asked for', () => {
  const start = { w: hostArray(Float32Array.from(hostNormal(key(7), 64)), [8, 8]) };
  const options = { sigma: 0.5, totalSteps: 6, cycles: 2, key: key(6) };
  const [inOrder, jumping] = [driftingBase(start, options), driftingBase(start, options)];
  const seen = [0, 1, 2, 3, 4, 5].map((step) => inOrder.seenAt(step).w?.data);
  expect(jumping.seenAt(4).w?.data).toEqual(seen[4]);
  expect(jumping.seenAt(2).w?.data).toEqual(seen[2]);
  expect(jumping.end().w?.data).toEqual(inOrder.end().w?.data);
  expect(normOf(inOrder.end())).not.toBe(normOf(start));
});

test('Llama-2-7B on paper: its size, and the noise costs arithmetic but no memory', () => {
  const shapes = adaptedShapes();
  expect(shapes).toHaveLength(7 * 32);
  // 32 · (4 · 4096² + 3 · 4096 · 11008) of Touvron et al. 2023.
  expect(shapes.reduce((sum, [m, n]) => sum + m * n, 0)).toBe(6_476_005_376);
  // 20 million trained numbers in 224 pairs of factors of rank 8, 16 bytes each.
  const lora = stateRows()[0] as readonly string[];
  expect(Number(lora[2])).toBeCloseTo((16 * 19_988_480) / 2 ** 30, 3);
  const plain = llamaStep((loss) => loss, 64);
  // Two multiplications and additions a weight forward, two more for the gradient, 128 tokens.
  const products = 4 * 128 * (6_476_005_376 + 32_000 * 4096);
  expect(plain.flops / products).toBeGreaterThan(1);
  expect(plain.flops / products).toBeLessThan(1.1);
  const noisy = llamaStep(flat(), 64);
  expect(noisy.flops / plain.flops).toBeGreaterThan(1);
  expect(noisy.flops / plain.flops).toBeLessThan(1.1);
  // ε alone would be 26 GB.
  expect(noisy.intermediateBytes - plain.intermediateBytes).toBeLessThan(1e7);
});

describe('cells', () => {
  let backend: Backend;
  let folder: string;
  beforeAll(async () => {
    backend = await openWorkerBackend('wasm');
    folder = await mkdtemp(path.join(tmpdir(), 'flatlora-vision-'));
  });
  afterAll(async () => {
    await backend.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  const context = (name: string): RunContext => ({
    ...QUICK,
    backend,
    folder: path.join(folder, name),
    signal: new AbortController().signal,
    progress: () => undefined,
  });

  test(
    'the pre-trained weights do better than chance after a few steps; a cell repeats to the bit',
    async () => {
      const [cell] = table2.cells(QUICK).filter(({ method }) => method === 'flat-lora') as [Cell];
      const premises = await table2.prepare(QUICK);
      const first = await table2.run(cell, premises, context('a'));
      // Ten classes, 200 images: chance is 0.1, and 0.3 lies nine standard deviations above.
      expect(first?.accuracy).toBeGreaterThan(0.3);
      expect(await table2.run(cell, premises, context('b'))).toEqual(first);
    },
    PATIENCE,
  );

  test(
    'as released, the base drifts; ours stays',
    async () => {
      const premises = await beyondDrift.prepare(QUICK);
      const measure = async (way: string) => {
        const cell = beyondDrift.cells(QUICK).find((c) => c.way === way) as Cell;
        return beyondDrift.run(cell, premises, context(way));
      };
      const [ours, released] = [await measure('ours'), await measure('released')];
      expect(ours?.drift).toBe(0);
      expect(released?.drift).toBeGreaterThan(0);
    },
    PATIENCE,
  );

  test('adapters stand on 18 matrices of the model', async () => {
    const paths = orThrow(lora({ targetModules: TARGET_MODULES }).targets(await loadBase()));
    expect(paths).toHaveLength(18);
  });
});
