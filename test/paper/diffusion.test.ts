/** Figure 3: its images, scores and pictures, and the committed models that it starts from. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inflateSync } from 'node:zlib';
import { SaxesParser } from 'saxes';
import {
  flatData,
  floats,
  foldIn,
  type HostArray,
  hostNormal,
  ints,
  key,
  range,
} from '../../src/autodiff/index.js';
import { type Backend, wasmBackend } from '../../src/kernels/index.js';
import { reusingPrograms } from '../../src/main/reuse.js';
import {
  SHOWN,
  settingsOf,
  styleCell,
  styleSearch,
  WITHHELD,
} from '../../src/paper/diffusion/cells.js';
import { digits, halved } from '../../src/paper/diffusion/data.js';
import { onGrounds } from '../../src/paper/diffusion/grounds.js';
import { imageGrid } from '../../src/paper/diffusion/imageGrid.js';
import { examine, lossOn } from '../../src/paper/diffusion/measure.js';
import { SIDE } from '../../src/paper/diffusion/model.js';
import { fromText, pngUrl, toText } from '../../src/paper/diffusion/png.js';
import { prepareStyle, styleImages } from '../../src/paper/diffusion/premises.js';
import { runStyle } from '../../src/paper/diffusion/run.js';
import { sampler } from '../../src/paper/diffusion/sampler.js';
import { kernelDistance, nearestDistance } from '../../src/paper/diffusion/scores.js';
import { inStyle, SQUARE, squareErrors } from '../../src/paper/diffusion/style.js';
import {
  DENOISER_FILE,
  JUDGE_FILE,
  loadDenoiser,
  loadJudge,
} from '../../src/paper/diffusion/weights.js';
import type { Cell, Measures } from '../../src/paper/experiment.js';
import { figure3 } from '../../src/paper/experiments/figure3.js';
import { relativeError, toNumbers } from '../support/numeric.js';

const paper = floats(new Float32Array(2 * SIDE * SIDE).fill(-1), [2, SIDE, SIDE]);
const ink = floats(new Float32Array(SIDE * SIDE).fill(1), [1, SIDE, SIDE]);

describe('images', () => {
  test('halving takes the mean of four pixels', () => {
    const big = floats(
      Float32Array.from({ length: 2 * 28 * 28 }, (_, i) => i % 97),
      [2, 28, 28],
    );
    const small = halved(big);
    expect(small.shape).toEqual([2, 14, 14]);
    for (const [n, y, x] of [
      [0, 0, 0],
      [0, 3, 13],
      [1, 13, 5],
    ] as const) {
      const four = [0, 1].flatMap((dy) => [0, 1].map((dx) => big.get(n, 2 * y + dy, 2 * x + dx)));
      expect(small.get(n, y, x)).toBe((four.reduce((s, v) => Number(s) + Number(v)) as number) / 4);
    }
  });

  test('the style: a shaded square behind the ink', () => {
    const styled = toNumbers(inStyle(paper)).slice(0, SIDE * SIDE);
    expect(
      relativeError(
        styled,
        SQUARE.map((s) => 2 * s - 1),
      ),
    ).toBeLessThan(1e-6);
    expect(toNumbers(inStyle(ink)).every((x) => Math.abs(x - 1) < 1e-6)).toBe(true);
    const at = (y: number, x: number) => SQUARE[y * SIDE + x] as number;
    expect([at(0, 5), at(5, 0), at(13, 5), at(1, 1), at(12, 12)]).toEqual([0, 0, 0, 0, 0]);
    expect(at(1, 2)).toBeGreaterThan(at(6, 6));
    expect(at(6, 6)).toBeGreaterThan(at(12, 11));
    expect(at(12, 11)).toBeGreaterThan(0.2);
  });

  test('distance from the square: 0 with it; on empty paper its own size; each image by itself', () => {
    expect(squareErrors(inStyle(paper)).every((e) => e < 1e-6)).toBe(true);
    const around = SQUARE.filter((_, i) =>
      [Math.floor(i / SIDE), i % SIDE].some((p) => p < 3 || p > 10),
    );
    const expected = Math.sqrt(around.reduce((s, v) => s + v * v, 0) / around.length);
    for (const error of squareErrors(paper)) expect(error).toBeCloseTo(expected, 6);
  });

  test('grounds: some plain, others not, never over the ink, by key', () => {
    const many = floats(new Float32Array(200 * SIDE * SIDE).fill(-1), [200, SIDE, SIDE]);
    const images = fromText(toText(onGrounds(many, key(1))));
    const plain = images.filter((pixels) => pixels.every((p) => p === 0)).length;
    // 200 draws with probability 0.4: 40 … 120 is more than five standard deviations either side.
    expect(plain).toBeGreaterThan(40);
    expect(plain).toBeLessThan(120);
    expect(toText(onGrounds(many, key(1)))).toBe(toText(onGrounds(many, key(1))));
    expect(toText(onGrounds(many, key(1)))).not.toBe(toText(onGrounds(many, key(2))));
    expect(toNumbers(onGrounds(ink, key(5))).every((x) => Math.abs(x - 1) < 1e-6)).toBe(true);
  });
});

describe('scores', () => {
  const sample = (seed: number, count: number, shift = 0): HostArray =>
    floats(
      Array.from(hostNormal(key(seed), count * 4), (z) => z + shift),
      [count, 4],
    );

  test('kernel distance: by hand for two vectors each', () => {
    // d = 1: k(x, y) = (xy + 1)³.
    const found = kernelDistance(floats([0, 1], [2, 1]), floats([2, 3], [2, 1]));
    const k = (x: number, y: number) => (x * y + 1) ** 3;
    const between = (k(0, 2) + k(0, 3) + k(1, 2) + k(1, 3)) / 4;
    expect(found).toBeCloseTo(k(0, 1) + k(2, 3) - 2 * between, 10);
  });

  test('kernel distance: unbiased around 0 for one law, large for another', () => {
    const same = range(20).map((i) => kernelDistance(sample(i, 40), sample(100 + i, 40)));
    const other = range(20).map((i) => kernelDistance(sample(i, 40), sample(100 + i, 40, 1)));
    expect(same.some((x) => x < 0)).toBe(true);
    expect(Math.max(...same.map(Math.abs))).toBeLessThan(Math.min(...other));
    expect(() => kernelDistance(sample(1, 1), sample(2, 5))).toThrow(/given 1 and 5/);
  });

  test('distance to the nearest training image: 0 for copies, else of the nearest', () => {
    const images = floats([-1, -1, 1, 1], [2, 2]);
    expect(nearestDistance(images, images)).toBe(0);
    // Distances of pixels 1 and 0 from both: the nearer counts, √½.
    expect(nearestDistance(images, floats([-1, 1], [1, 2]))).toBeCloseTo(Math.SQRT1_2, 12);
  });
});

describe('pictures', () => {
  test('text and back: a byte a pixel, out of range cut off', () => {
    const images = floats(
      Array.from({ length: SIDE * SIDE }, (_, i) => (i === 0 ? -3 : i === 1 ? 3 : 0)),
      [1, SIDE, SIDE],
    );
    const [pixels] = fromText(toText(images)) as [Uint8Array];
    expect(Array.from(pixels.subarray(0, 3))).toEqual([0, 255, 128]);
    expect(pixels).toHaveLength(SIDE * SIDE);
  });

  test('PNG: signature, chunks, and the pixels back', () => {
    const pixels = Uint8Array.from({ length: 9 }, (_, i) => 20 * i);
    const file = Buffer.from(pngUrl(pixels, 3).split(',')[1] as string, 'base64');
    expect(file.subarray(1, 4).toString()).toBe('PNG');
    const at = file.indexOf('IDAT');
    const data = inflateSync(file.subarray(at + 4, at + 4 + file.readUInt32BE(at - 4)));
    expect(Array.from(data)).toEqual([0, 0, 20, 40, 0, 60, 80, 100, 0, 120, 140, 160]);
    // The checksum of an empty IEND is in the standard.
    expect(file.subarray(-4).toString('hex')).toBe('ae426082');
  });

  test('a grid is well-formed, with an image a cell', () => {
    const images = fromText(toText(paper));
    const svg = imageGrid('a & b', ['0', '1'], [{ label: '<x>', rows: [images, images] }]);
    const seen: string[] = [];
    const parser = new SaxesParser({ xmlns: true });
    parser.on('opentag', ({ name }) => seen.push(name));
    parser.on('error', (error) => {
      throw error;
    });
    parser.write(svg).close();
    expect(seen.filter((name) => name === 'image')).toHaveLength(4);
  });
});

describe('cells', () => {
  const full = { quick: false, seeds: 5, dataDir: undefined };

  test("the paper's settings, paired by seed", () => {
    const cells = figure3.cells(full);
    for (const method of ['lora', 'flat-lora']) {
      const own = cells.filter((cell) => cell.method === method);
      const paper = own.filter(({ steps, sigma = 0.1 }) => steps === 500 && sigma === 0.1);
      expect(paper.map((cell) => cell.seed)).toEqual([0, 1, 2, 3, 4]);
      expect(paper[0]).toMatchObject({ rank: 4, alpha: 4, images: 23 });
    }
    expect(new Set(cells.map((cell) => JSON.stringify(cell))).size).toBe(cells.length);
    expect(settingsOf('lora').sigma).toBeUndefined();
    expect(settingsOf('flat-lora').sigma).toBe(0.1);
  });

  test('the search: as many trials for both methods, none with a seed of the experiment', () => {
    const trials = styleSearch.cells(full);
    const of = (method: string) => trials.filter((cell) => cell.method === method);
    expect(of('lora')).toHaveLength(of('flat-lora').length);
    expect(trials.every(({ seed }) => (seed as number) >= 100)).toBe(true);
  });

  test('training images: as many as asked for, of the shown classes in turn, by seed', async () => {
    const pool = await digits('train', undefined);
    const labels = (seed: number) => Array.from(flatData(styleImages(pool, 23, key(seed)).labels));
    expect(labels(1)).toHaveLength(23);
    expect(labels(1).slice(0, 7)).toEqual(SHOWN);
    expect(labels(1).some((label) => WITHHELD.includes(label))).toBe(false);
    const images = (seed: number) => toText(styleImages(pool, 23, key(seed)).images);
    expect(new Set(fromText(images(1)).map(String)).size).toBe(23);
    expect(images(1)).toBe(images(1));
    expect(images(1)).not.toBe(images(2));
  });
});

describe('the committed models', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-figure-3-'));
  let backend: Backend;
  beforeAll(async () => {
    backend = reusingPrograms(await wasmBackend({ threads: 1 }));
  });
  afterAll(async () => {
    await backend.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  test('are small', () => {
    expect(statSync(DENOISER_FILE).size + statSync(JUDGE_FILE).size).toBeLessThan(2e6);
  });

  test('drawn digits are read as what was asked for, whatever the batch size', async () => {
    const weights = await loadDenoiser();
    const labels = range(20).map((i) => i % 10);
    const draw = async (batchSize: number, wanted: readonly number[]) => {
      const { sample, dispose } = sampler(backend, { steps: 10, guidance: 2, batchSize });
      const images = await sample(weights, wanted, key(23));
      await dispose();
      return images;
    };
    const images = await draw(20, labels);
    const { right, features } = await examine(
      await loadJudge(),
      { images, labels: ints(labels) },
      backend,
    );
    expect(features.shape).toEqual([20, 48]);
    // In these few steps 15 of 20 are read as asked for; chance gives 2.
    expect(right.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(12);
    const few = await draw(3, labels.slice(0, 4));
    expect(relativeError(toNumbers(few), toNumbers(images).slice(0, 4 * 196))).toBeLessThan(1e-3);
  });

  test('a run: trains, draws, scores; the same again; Flat-LoRA is another', async () => {
    const surroundings = { quick: true, seeds: 2, dataDir: undefined };
    const premises = await prepareStyle(surroundings);
    const run = (cell: Cell, name: string) =>
      runStyle(cell, premises, {
        ...surroundings,
        backend,
        folder: path.join(folder, name),
        signal: new AbortController().signal,
        progress: () => undefined,
      }) as Promise<Measures>;
    const before = await run(styleCell(surroundings, 'before', 0), 'before');
    const lora = await run(styleCell(surroundings, 'lora', 0), 'lora');
    const flat = await run(styleCell(surroundings, 'flat-lora', 0), 'flat');
    const real = await run(styleCell(surroundings, 'real', 0), 'real');
    for (const measures of [before, lora, flat]) {
      const numbers = Object.values(measures).filter((value) => typeof value === 'number');
      expect(numbers).toHaveLength(10);
      expect(numbers.every(Number.isFinite)).toBe(true);
    }
    expect(lora.testLoss).not.toBe(before.testLoss);
    expect(flat.testLoss).not.toBe(lora.testLoss);
    expect(flat.training).toBe(lora.training);
    expect(real.nearest).toBeLessThan(before.nearest as number);
    const sections = figure3.report(
      [before, lora, flat, real].map((measures, i) => ({
        cell: styleCell(surroundings, ['before', 'lora', 'flat-lora', 'real'][i] as string, 0),
        measures,
      })),
      surroundings,
    );
    expect(sections[0]?.figures[0]?.svg).toContain('<image');
    expect(sections[1]?.tables[1]?.rows).toHaveLength(8);
  });

  test('held-out losses are of fixed noise: equal when measured twice, lower for plain digits than for noise', async () => {
    const weights = await loadDenoiser();
    const { images, labels } = await digits('test', undefined);
    const some = {
      images: floats(flatData(images).slice(0, 8 * 196) as Float32Array, [8, 14, 14]),
      labels: ints(Array.from(flatData(labels)).slice(0, 8)),
    };
    const noise = { ...some, images: floats(hostNormal(foldIn(key(1), 2), 8 * 196), [8, 14, 14]) };
    const [a, b, c] = [
      await lossOn(weights, some, backend),
      await lossOn(weights, some, backend),
      await lossOn(weights, noise, backend),
    ];
    expect(b).toBe(a);
    expect(a).toBeLessThan(c);
  });
});
