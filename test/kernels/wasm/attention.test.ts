/** Attention on wasm: several blocks of rows, ragged sizes, layouts, masks, threads, memory. */
import fc from 'fast-check';
import {
  add,
  fusedAttention,
  grad,
  type HostArray,
  hostArray,
  lt,
  mul,
  reduceSum,
  type Shape,
  simplify,
  sizeOf,
  square,
  trace,
  type Value,
  vjp,
} from '../../../src/autodiff/index.js';
import { type Backend, wasmBackend } from '../../../src/kernels/index.js';
import { dotProductAttention } from '../../../src/models/index.js';
import { generator, integerBetween, uniformArray } from '../../support/draw.js';
import { runs } from '../../tooling/property.js';
import { checkTape, runTape } from '../checking.js';

const backends: Record<string, Backend> = {};
beforeAll(async () => {
  backends.two = await wasmBackend({ threads: 2 });
  backends.one = await wasmBackend({ threads: 1, relaxed: false });
});
afterAll(async () => {
  for (const backend of Object.values(backends)) await backend.dispose();
});

const bools = (seed: number, shape: Shape, share: number): HostArray => {
  const random = generator(seed);
  return hostArray(
    Uint8Array.from({ length: sizeOf(shape) }, () => Number(random() < share)),
    shape,
  );
};

/** Sizes around those of blocks (24), tiles (6), panels (8) and vectors (4). */
const size = fc.oneof(
  fc.constantFrom(1, 4, 7, 8, 9, 24, 25, 48, 50),
  fc.integer({ min: 1, max: 60 }),
);
const width = fc.constantFrom(1, 3, 4, 5, 8, 11, 16, 17);

test.each(['one', 'two'])(
  'values and gradients for all kinds of sizes (threads: %s)',
  async (name) => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ queries: size, keys: size, depth: width, width, seed: fc.nat(1e6) }),
        fc.boolean(),
        fc.constantFrom<'none' | 'keys' | 'all'>('none', 'keys', 'all'),
        async (s, causal, masked) => {
          const random = generator(s.seed);
          const batch = [integerBetween(random, 1, 3), integerBetween(random, 1, 2)];
          const qkv = [
            uniformArray(random, [...batch, s.queries, s.depth]),
            uniformArray(random, [...batch, s.keys, s.depth]),
            uniformArray(random, [...batch, s.keys, s.width]),
          ];
          const mask = bools(s.seed, [...batch, s.queries, s.keys], masked === 'all' ? 0 : 0.5);
          const u = uniformArray(random, [...batch, s.queries, s.width]);
          const f = (q: Value, k: Value, v: Value, m: Value, du: Value) => {
            const attend = (a: Value, b: Value, c: Value) =>
              fusedAttention(a, b, c, {
                scale: 0.7,
                causal,
                mask: masked === 'none' ? undefined : m,
              });
            const { outputs, pullback } = vjp(attend, q, k, v);
            return [outputs, pullback({ out: du, logSumExp: reduceSum(du, -1) })];
          };
          const inputs = [...qkv, mask, u];
          await checkTape(
            backends[name] as Backend,
            simplify(trace(f, ...inputs)),
            inputs,
            JSON.stringify({ ...s, batch, causal, masked }),
          );
        },
      ),
      { numRuns: runs(40) },
    );
  },
);

test('heads beside each other, shared keys, and a computed mask for all queries', async () => {
  const [b, t, s, heads, groups, d] = [2, 27, 33, 4, 2, 5];
  const random = generator(7);
  const inputs = [
    uniformArray(random, [b, t, heads, d]),
    uniformArray(random, [b, s, groups, d]),
    uniformArray(random, [b, s, groups, d]),
    uniformArray(random, [b, s], 0, 1),
  ];
  for (const causal of [false, true]) {
    const loss = (qkv: readonly Value[], x: Value) => {
      const mask = lt(x, 0.7);
      const [q, k, v] = qkv as [Value, Value, Value];
      const out = dotProductAttention(add(q, 0.1), mul(k, 1.1), v, { causal, mask });
      return reduceSum(square(out));
    };
    const f = (q: Value, k: Value, v: Value, x: Value) =>
      grad((qkv: readonly Value[]) => loss(qkv, x))([q, k, v]);
    const tape = simplify(trace(f, ...inputs));
    await checkTape(backends.two as Backend, tape, inputs, `causal ${causal}`);
  }
});

test('NaN comes through, and only where it should', async () => {
  const random = generator(1);
  const [q, k, v] = [0, 1, 2].map(() => uniformArray(random, [9, 3])) as [
    HostArray,
    HostArray,
    HostArray,
  ];
  k.data[3 * 4] = Number.NaN;
  const tape = trace(
    (...xs: Value[]) =>
      fusedAttention(...(xs as [Value, Value, Value]), { scale: 1, causal: true }).out,
    q,
    k,
    v,
  );
  const [out] = await runTape(backends.two as Backend, tape, [q, k, v]);
  const isNaNs = Array.from((out as HostArray).data, Number.isNaN);
  expect(isNaNs).toEqual(Array.from({ length: 27 }, (_, i) => i >= 3 * 4));
});

test('NaN of one head reaches no other through what is left in scratch memory', async () => {
  const random = generator(2);
  for (const [rows, keys, causal] of [
    [17, 9, false],
    [25, 13, true],
    [5, 21, true],
  ] as const) {
    const inputs = [rows, keys, keys].map((n) => uniformArray(random, [2, n, 3])) as [
      HostArray,
      HostArray,
      HostArray,
    ];
    for (const x of inputs) x.data.fill(Number.NaN, 0, x.size / 2);
    const loss = (qkv: readonly Value[]) =>
      reduceSum(
        square(fusedAttention(...(qkv as [Value, Value, Value]), { scale: 1, causal }).out),
      );
    const tape = simplify(trace(grad(loss), inputs));
    const results = await runTape(backends.one as Backend, tape, inputs);
    for (const x of results) {
      const [bad, good] = [x.data.slice(0, x.size / 2), x.data.slice(x.size / 2)];
      expect(Number.isNaN(bad[0])).toBe(true);
      expect(Array.from(good).every(Number.isFinite)).toBe(true);
    }
  }
});

test('no memory for scores', async () => {
  const backend = await wasmBackend({ threads: 2 });
  const length = 1024;
  const x = uniformArray(generator(1), [2, length, 8]);
  const loss = (y: Value) =>
    reduceSum(square(fusedAttention(y, y, y, { scale: 1, causal: true }).out));
  const tape = simplify(trace(grad(loss), x));
  await runTape(backend, tape, [x]);
  // Scores of one head take 4 MiB; of the two threads' scratch less than half.
  expect(backend.memory().peakBytes).toBeLessThan(4 * length * length);
  await backend.dispose();
});
