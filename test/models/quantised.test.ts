/** Weights in four and eight bits: the numbers of NumPy, programs that never store the matrix, LoRA on top. */
import { readFileSync } from 'node:fs';
import {
  evaluationContext,
  flatData,
  grad,
  type HostArray,
  hostArray,
  key,
  mean,
  orThrow,
  square,
  type Value,
} from '../../src/autodiff/index.js';
import { adapt, flat, lora } from '../../src/flatlora/index.js';
import {
  type Backend,
  compile,
  evaluate,
  referenceBackend,
  wasmBackend,
} from '../../src/kernels/index.js';
import {
  dequantised,
  linear,
  NF4_LEVELS,
  type Quantisation,
  quantise,
  quantiseTree,
} from '../../src/models/index.js';
import { testBackends } from '../support/backends.js';
import { gaussian } from './support.js';

interface Golden {
  readonly [name: string]: { readonly shape: number[]; readonly data: number[] };
}

const golden: Golden = JSON.parse(
  readFileSync(new URL('../fixtures/torch/quantised.json', import.meta.url), 'utf8'),
);
const KINDS: readonly Quantisation[] = ['nf4', 'int8'];
const floats32 = (x: HostArray): HostArray => hostArray(Float32Array.from(flatData(x)), x.shape);

test('the levels are the quantiles of the paper', () => {
  for (const [i, level] of (golden.levels?.data ?? []).entries()) {
    expect(NF4_LEVELS[i]).toBeCloseTo(level, 6);
  }
});

describe.each(testBackends().map((b) => [b.name, b] as const))('%s', (_, { open }) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.dispose());
  test.each(KINDS)('%s: the numbers of NumPy', async (kind) => {
    const { shape, data } = golden.w as { shape: number[]; data: number[] };
    const packed = quantise(hostArray(Float32Array.from(data), shape), kind);
    const found = (await evaluate(
      ((w: never) => (dequantised({ w }) as { w: Value }).w) as never,
      backend,
      packed,
    )) as unknown as HostArray;
    const expected = golden[kind]?.data ?? [];
    const worst = Math.max(
      ...Array.from(flatData(found), (x, i) => Math.abs(x - (expected[i] as number))),
    );
    expect(worst).toBeLessThan(2e-5);
  });
});

test.each(KINDS)(
  '%s: no element is further from its matrix than half a step of its block',
  (kind) => {
    const w = floats32(gaussian(1, [16, 192]));
    const packed = quantise(w, kind);
    const scales = flatData(packed.scales);
    // Half of the widest gap between levels.
    const bound = kind === 'nf4' ? (1 - 0.6961928009986877) / 2 : 0.5 / 127;
    const backend = referenceBackend();
    return evaluate(
      ((x: never) => (dequantised({ x }) as { x: Value }).x) as never,
      backend,
      packed,
    ).then((found) => {
      const perRow = packed.scales.shape[1] as number;
      for (const [i, x] of Array.from(flatData(found as unknown as HostArray)).entries()) {
        const block = Math.floor(i / 192) * perRow + Math.floor(((i % 192) * perRow) / 192);
        const scale = scales[block] as number;
        expect(Math.abs(x - (flatData(w)[i] as number))).toBeLessThanOrEqual(
          scale * (bound + 1e-6),
        );
      }
    });
  },
);

describe.each(KINDS)('%s in programs', (kind) => {
  const weights = {
    first: { weight: floats32(gaussian(2, [128, 64], 0.1)) },
    second: { weight: floats32(gaussian(3, [64, 128], 0.1)) },
  };
  const packed = quantiseTree(kind)(weights);
  const method = lora({ rank: 2, alpha: 4, targetModules: ['first', 'second'] });
  const { adapters } = orThrow(method.init(weights, key(1)));
  const moved = Object.fromEntries(
    Object.entries(adapters).map(([name, layer], i) => [
      name,
      { ...layer, b: floats32(gaussian(10 + i, layer.b.shape, 0.1)) },
    ]),
  );
  const x = floats32(gaussian(4, [40, 64]));
  const loss = (w: typeof weights, rows: Value) =>
    mean(square(linear(w.second as never, linear(w.first as never, rows))));
  const step = (sigma: number) => (base: unknown, a: unknown, rows: Value) => {
    const context = { ...evaluationContext(), training: true };
    const whole = flat({ sigma })(adapt(dequantised(base), method)(loss as never) as never);
    return grad((p: unknown) => whole(p as never, rows as never, context))(a);
  };

  test.each([0, 0.1])(
    'LoRA (σ = %d): the same gradients as on the unpacked matrices, which are never stored',
    async (sigma) => {
      const backend = await wasmBackend({ threads: 1 });
      const program = compile(step(sigma) as never, backend);
      const text = await program.describe(packed as never, moved as never, x as never);
      const plain = (await evaluate(
        ((w: unknown) => dequantised(w)) as never,
        referenceBackend(),
        packed,
      )) as unknown;
      const judge = (await evaluate(
        step(sigma) as never,
        referenceBackend(),
        plain,
        moved,
        x,
      )) as never;
      const found = (await evaluate(step(sigma) as never, backend, packed, moved, x)) as never;
      await program.dispose();
      await backend.dispose();
      for (const path of Object.keys(moved)) {
        for (const part of ['a', 'b'] as const) {
          const [f, e] = [found, judge].map((tree) =>
            Array.from(
              flatData(
                (tree as Record<string, Record<string, HostArray>>)[path]?.[part] as HostArray,
              ),
            ),
          ) as [number[], number[]];
          const size = Math.max(...e.map(Math.abs));
          expect(Math.max(...f.map((v, i) => Math.abs(v - (e[i] as number)))) / size).toBeLessThan(
            1e-4,
          );
        }
      }
      // No kernel writes an array of a weight's shape.
      const written = text
        .split('\n')
        .filter(
          (line) =>
            /\bfloat\[(128,64|64,128)\]/.test(line) &&
            / = |:/.test(line) &&
            !/input|constant/.test(line),
        );
      expect(written).toEqual([]);
    },
  );
});

test('what cannot be packed stays, or is told', () => {
  expect(() => quantise(floats32(gaussian(1, [3, 64])), 'nf4')).toThrow(
    /\[3,64\], expected a multiple of 8 rows and of 64 columns for nf4/,
  );
  const tree = {
    norm: { scale: floats32(gaussian(1, [64])) },
    head: { weight: floats32(gaussian(2, [3, 64])) },
  };
  expect(quantiseTree('nf4')(tree)).toEqual(tree);
});

test('memory: a matrix takes an eighth, or a quarter', async () => {
  const w = floats32(gaussian(1, [256, 256]));
  const backend = await wasmBackend({ threads: 1 });
  const bytes = (tree: unknown) => {
    const before = backend.memory().bytes;
    const arrays = Object.values(tree as Record<string, HostArray>).map(backend.upload);
    const taken = backend.memory().bytes - before;
    for (const array of arrays) backend.release(array);
    return taken;
  };
  const whole = bytes({ w });
  expect(bytes(quantise(w, 'nf4')) / whole).toBeCloseTo(1 / 8 + 1 / 64, 5);
  expect(bytes(quantise(w, 'int8')) / whole).toBeCloseTo(1 / 4 + 1 / 256, 5);
  await backend.dispose();
});
