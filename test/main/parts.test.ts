/** The main job's small parts. */
import { floats, hostArray, key } from '../../src/autodiff/index.js';
import { drawnDigits } from '../../src/data/index.js';
import { batchOf, corruptedTestSets } from '../../src/main/data.js';
import { type Job, revive } from '../../src/main/job.js';
import { METHODS } from '../../src/main/methods.js';
import { readOptions } from '../../src/main/options.js';
import { nextJob } from '../../src/main/pool.js';
import { shiftByOnePixel } from '../../src/main/shift.js';

test('options: defaults, values, and one-line errors', () => {
  expect(readOptions([], {})).toEqual({
    out: 'out',
    seeds: 5,
    quick: false,
    dataDir: undefined,
    offline: false,
    backend: undefined,
    threads: undefined,
  });
  expect(readOptions(['--quick'], { FLATLORA_DATA: '/d' })).toMatchObject({
    seeds: 2,
    dataDir: '/d',
  });
  expect(readOptions(['--help'], {})).toBeUndefined();
  expect(() => readOptions(['--seeds', '0'], {})).toThrow(
    '--seeds: given "0", expected a positive integer',
  );
  expect(() => readOptions(['--sedes', '3'], {})).toThrow(/--sedes/);
});

test('a shift moves whole images by at most a pixel and fills with zeros', () => {
  const image = new Float64Array(16 * 16).fill(1);
  const shifted = shiftByOnePixel(floats([...image, ...image, ...image], [3, 16, 16]), key(1));
  for (let i = 0; i < 3; i++) {
    const sum = (shifted.data as Float32Array)
      .subarray(i * 256, (i + 1) * 256)
      .reduce((a: number, b: number) => a + b, 0);
    expect([256, 240, 225]).toContain(sum);
  }
});

test('corrupted test sets: one per severity, every corruption in turn, growing distance', () => {
  const clean = batchOf(drawnDigits({ hand: 'slanted', count: 90, key: key(2) }));
  const sets = corruptedTestSets(clean);
  expect(sets).toHaveLength(5);
  const distance = sets.map(({ images }) =>
    (images.data as Float32Array).reduce(
      (sum: number, x: number, i: number) => sum + Math.abs(x - (clean.images.data[i] as number)),
      0,
    ),
  );
  expect(distance[0]).toBeGreaterThan(0);
  expect([...distance].sort((a, b) => a - b)).toEqual(distance);
});

test('a part of the corrupted images is the same as in the whole', () => {
  const clean = batchOf(drawnDigits({ hand: 'slanted', count: 50, key: key(2) }));
  type Set = ReturnType<typeof batchOf>;
  const [whole, part] = [1, 4].map((stride) => corruptedTestSets(clean, stride)[3]) as [Set, Set];
  expect(part.labels.shape).toEqual([13]);
  for (let i = 0; i < 13; i++) {
    const pixels = (set: Set, at: number) => set.images.data.subarray(256 * at, 256 * (at + 1));
    expect(pixels(part, i)).toEqual(pixels(whole, 4 * i));
    expect(part.labels.get(i)).toBe(clean.labels.get(4 * i));
  }
});

test('a worker stays with its method, else takes the one with most jobs left', () => {
  const [a, b, c] = METHODS;
  const jobs = [a, a, b, b, b, c].map((method) => ({ method }) as Job);
  expect(nextJob([0, 1, 2, 3, 4, 5], jobs, undefined)).toBe(2);
  expect(nextJob([1, 3, 4, 5], jobs, 0)).toBe(1);
  expect(nextJob([3, 4, 5], jobs, 1)).toBe(3);
  expect(nextJob([5], jobs, 4)).toBe(5);
  expect(nextJob([], jobs, 5)).toBeUndefined();
});

test('arrays that crossed a thread border get their methods back', () => {
  const array = hostArray(Float32Array.from([1, 2, 3, 4]), [2, 2]);
  const copy = revive(structuredClone({ a: [{ ...array }], b: 'name' }) as never) as {
    a: [typeof array];
    b: string;
  };
  expect(copy.a[0].get(1, 0)).toBe(3);
  expect(copy.b).toBe('name');
});
