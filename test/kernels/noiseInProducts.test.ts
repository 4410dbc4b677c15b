/**
 * Noise drawn inside products, x·(W+ε)ᵀ forward and g·(W+ε) backward with ε = normal(key)·deviation:
 * the reference with ε as an array, the very bits of `normal(key)`, and no memory for ε or W + ε.
 */
import fc from 'fast-check';
import {
  add,
  type HalfPrecision,
  type HostArray,
  hostNormal,
  type Key,
  key,
  matmul,
  matmulTransposed,
  mul,
  normal,
  range,
  reshape,
  simplify,
  sizeOf,
  toHalf,
  trace,
  transpose,
  type Value,
  widened,
} from '../../src/autodiff/index.js';
import { testBackends } from '../support/backends.js';
import { generator, uniformArray } from '../support/draw.js';
import { floats, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { checkTape, expected, onEachBackend, requireEqual, rounded, runTape } from './support.js';

/** ε as the host computes it. */
const noiseOf = (k: Key, shape: readonly number[]): HostArray =>
  floats([...hostNormal(k, sizeOf(shape))], shape);

const identity = (n: number): HostArray =>
  floats(
    range(n * n).map((i) => Number(i % (n + 1) === 0)),
    [n, n],
  );

/** How many random shapes: kernels of gpujs and of a software adapter take long to build. */
const CASES: Readonly<Record<string, number>> = { wasm: 25, 'gpujs-webgpu': 3, webgpu: 5 };

const size = fc.oneof(
  fc.constantFrom(1, 2, 7, 8, 9, 16, 17, 31, 33),
  fc.integer({ min: 1, max: 40 }),
);

/** The two layouts of a layer's products, each with the noisy weight inside. */
const layer = (w: Value, d: Value, k: Value, x: Value, g: Value) => {
  const [m, n] = w.shape as readonly [number, number];
  const noisy = add(widened(w), mul(normal(k, [m, n]), reshape(d, [m, 1])));
  return { forward: matmulTransposed(x, noisy), backward: matmul(g, noisy) };
};

/** The same with ε as an argument. */
const layerOf = (w: Value, d: Value, epsilon: Value, x: Value, g: Value) => {
  const noisy = add(widened(w), mul(epsilon, reshape(d, [d.shape[0] as number, 1])));
  return { forward: matmulTransposed(x, noisy), backward: matmul(g, noisy) };
};

onEachBackend((backend, name) => {
  const check = async (
    [m, n, rows]: readonly [number, number, number],
    format: HalfPrecision | 'float',
    seed: number,
  ): Promise<void> => {
    const random = generator(seed);
    const full = uniformArray(random, [m, n]);
    const w = rounded(format === 'float' ? full : toHalf(full, format));
    const [d, x, g] = [[m], [rows, n], [rows, m]].map((s) =>
      rounded(uniformArray(random, s, -1, 1)),
    );
    const k = key(seed);
    const [drawn, explicit] = [k, noiseOf(k, [m, n])].map((e) => [w, d, e, x, g] as HostArray[]);
    const got = await runTape(
      backend(),
      simplify(trace(layer, ...(drawn as []))),
      drawn as HostArray[],
    );
    const want = expected(trace(layerOf, ...(explicit as [])), explicit as HostArray[]);
    requireEqual(got, want, `${format} [${m},${n}], ${rows} rows`, 5e-5);
  };

  test('random shapes, weights of all formats', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(size, size, fc.constantFrom(1, 2, 7, 25)),
        fc.constantFrom('float', 'bfloat16', 'float16'),
        fc.nat(1e6),
        check,
      ),
      { numRuns: runs(CASES[name] ?? 8) },
    );
  });

  test.each([1, 7, 100])('%i rows, pairs of words broken across rows', async (rows) => {
    await check([37, 61, rows], 'float', rows);
    await check([41, 45, rows], 'bfloat16', rows + 1);
  });

  test.each([
    [33, 45],
    [24, 32],
    [9, 6],
  ])('both passes see the bits of normal(key): [%i, %i]', async (m, n) => {
    const f = (k: Value, forward: Value, backward: Value) => {
      const epsilon = normal(k, [m, n]);
      return {
        // Iₙ·εᵀ is εᵀ, Iₘ·ε is ε: every other term of the sums is zero.
        forward: matmulTransposed(forward, epsilon),
        backward: matmul(backward, epsilon),
      };
    };
    const k = key(m);
    const inputs = [k, identity(n), identity(m)];
    const tape = simplify(trace(f, ...(inputs as [])));
    const [backward, forward] = (await runTape(backend(), tape, inputs)).map(toNumbers);
    const bits = toNumbers(noiseOf(k, [m, n]));
    expect(backward).toEqual(bits);
    expect(forward).toEqual(range(n * m).map((i) => bits[(i % m) * n + Math.floor(i / m)]));
  });

  test.each([7, 12, 13, 25, 48])(
    'as the left operand, along its rows and its columns: %i',
    async (n) => {
      const f = (k: Value, x: Value, y: Value) => {
        const epsilon = mul(0.5, normal(k, [n, n]));
        return [matmul(transpose(epsilon), x), matmul(epsilon, y)];
      };
      const random = generator(n);
      const inputs = [
        key(n),
        uniformArray(random, [n, 9], -1, 1),
        uniformArray(random, [n, 11], -1, 1),
      ];
      await checkTape(backend(), simplify(trace(f, ...(inputs as []))), inputs, 'left');
    },
  );

  test.each([21, 24])('two noises of one weight, and one noise twice: rows of %i', async (n) => {
    const f = (w: Value, k: Value, other: Value, e: Value, x: Value, g: Value) => {
      const [first, second] = [k, other].map((own) => mul(0.3, normal(own, [20, n])));
      const both = add(add(w, first as Value), second as Value);
      const twice = add(mul(normal(e, [20, n]), w), normal(e, [20, n]));
      return [matmulTransposed(x, both), matmul(g, both), matmul(g, twice)];
    };
    const shapes = [
      [20, n],
      [7, n],
      [9, 20],
    ];
    const [w, x, g] = shapes.map((s, i) => uniformArray(generator(i), s, -1, 1));
    const inputs = [w, key(1), key(2), key(3), x, g] as HostArray[];
    await checkTape(backend(), simplify(trace(f, ...(inputs as []))), inputs, 'two noises');
  });
});

const KEEPS_NOTHING = testBackends().filter((b) => b.name === 'wasm' || b.name === 'webgpu');
const MEBIBYTE = 2 ** 20;

describe.each(KEEPS_NOTHING.map((b) => [b.name, b] as const))('memory on %s', (name, { open }) => {
  // A software adapter draws few numbers a second.
  const [m, n] = name === 'wasm' ? [2048, 2048] : [1024, 1024];
  const rows = 5;

  test('a large weight under noise takes the memory of the weight', async () => {
    const backend = await open();
    const before = backend.memory().bytes;
    const random = generator(3);
    const inputs = [
      floats(new Float32Array(m * n).fill(0.25), [m, n]),
      floats(new Float32Array(m).fill(0.1), [m]),
      key(9),
      uniformArray(random, [rows, n]),
      uniformArray(random, [rows, m]),
    ];
    const results = await runTape(backend, simplify(trace(layer, ...(inputs as []))), inputs);
    expect(results.map((r) => r.shape)).toEqual([
      [rows, n],
      [rows, m],
    ]);
    const extra = backend.memory().peakBytes - before - 4 * m * n;
    expect(extra).toBeGreaterThan(0);
    expect(extra).toBeLessThan(2 * MEBIBYTE);
    expect(extra).toBeLessThan(2 * m * n);
    await backend.dispose();
  });
});
