/** Attention: masks, rows without keys, groups of heads. */
import fc from 'fast-check';
import {
  concat,
  constant,
  equal,
  type HostArray,
  hostArray,
  range,
  reshape,
  sliceAxis,
  type Value,
  vjp,
} from '../../src/autodiff/index.js';
import { dotProductAttention, relativeBias, rotary } from '../../src/models/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { gaussian, rows } from './support.js';

const bools = (values: readonly boolean[], shape: number[]) =>
  hostArray(Uint8Array.from(values, Number), shape);

const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  queries: fc.integer({ min: 1, max: 7 }),
  keys: fc.integer({ min: 1, max: 7 }),
  groups: fc.integer({ min: 1, max: 3 }),
  perGroup: fc.integer({ min: 1, max: 3 }),
  d: fc.integer({ min: 1, max: 5 }),
  seed: fc.nat(1e6),
});

const qkv = ({ batch, queries, keys, groups, perGroup, d, seed }: Sizes) => [
  gaussian(seed, [batch, queries, groups * perGroup, d]),
  gaussian(seed + 1, [batch, keys, groups, d]),
  gaussian(seed + 2, [batch, keys, groups, d]),
];
type Sizes = typeof sizes extends fc.Arbitrary<infer S> ? S : never;

/** The formula written out with plain loops. `sees` tells which key a query may look at. */
function byLoops(
  s: Sizes,
  [q, k, v]: readonly HostArray[],
  sees: (b: number, t: number, key: number) => boolean,
): number[] {
  const at = (x: HostArray | undefined, ...i: number[]) => x?.get(...i) as number;
  return range(s.batch).flatMap((b) =>
    range(s.queries).flatMap((t) =>
      range(s.groups * s.perGroup).flatMap((h) => {
        const g = Math.floor(h / s.perGroup);
        const weights = range(s.keys).map((j) =>
          sees(b, t, j)
            ? Math.exp(
                range(s.d).reduce((sum, i) => sum + at(q, b, t, h, i) * at(k, b, j, g, i), 0) /
                  Math.sqrt(s.d),
              )
            : 0,
        );
        const total = weights.reduce((a, w) => a + w, 0);
        return range(s.d).map((i) =>
          total === 0 ? 0 : weights.reduce((sum, w, j) => sum + (w / total) * at(v, b, j, g, i), 0),
        );
      }),
    ),
  );
}

test('the formula, for odd sizes, grouped queries, causal order and masks at once', () => {
  fc.assert(
    fc.property(sizes, fc.boolean(), fc.boolean(), fc.nat(), (s, causal, perQuery, bits) => {
      const shape = perQuery ? [s.batch, s.queries, s.keys] : [s.batch, s.keys];
      const seen = Array.from(
        { length: shape.reduce((n, d) => n * d, 1) },
        (_, i) => Math.imul(bits ^ i, 0x9e3779b1) >>> 31 === 1,
      );
      const tensors = qkv(s);
      const found = numbers(
        (q: Value, k: Value, v: Value, mask: Value) =>
          dotProductAttention(q, k, v, { causal, mask }),
        ...tensors,
        bools(seen, shape),
      );
      const expected = byLoops(s, tensors, (b, t, j) => {
        const index = perQuery ? (b * s.queries + t) * s.keys + j : b * s.keys + j;
        return (seen[index] as boolean) && (!causal || j <= t);
      });
      expect(relativeError(found, expected)).toBeLessThan(1e-12);
    }),
    { numRuns: runs(100) },
  );
});

test('a query without keys gets zeros, and sends no gradient and no NaN anywhere', () => {
  const s = { batch: 2, queries: 3, keys: 4, groups: 2, perGroup: 2, d: 3, seed: 5 };
  const seen = bools([true, true, false, true, false, false, false, false], [2, 4]);
  for (const causal of [false, true]) {
    const f = (q: Value, k: Value, v: Value, mask: Value) => {
      const attend = (a: Value, b: Value, c: Value) =>
        dotProductAttention(a, b, c, { causal, mask });
      const { outputs, pullback } = vjp(attend, q, k, v);
      return [outputs, pullback(outputs), pullback(q)];
    };
    const [y, ...gradients] = run(f, ...qkv(s), seen) as [HostArray, ...HostArray[]];
    expect(rows(y, 1, 2).every((x) => x === 0)).toBe(true);
    expect(rows(y, 0, 1).every((x) => x !== 0)).toBe(true);
    for (const g of gradients) {
      expect(toNumbers(g).every(Number.isFinite)).toBe(true);
      expect(rows(g, 1, 2).every((x) => x === 0)).toBe(true);
    }
  }
});

test('with a bias of zeros, which is not fused, results and gradients are the same', () => {
  fc.assert(
    fc.property(sizes, fc.boolean(), fc.nat(), (s, causal, bits) => {
      const { batch, queries, keys, groups, perGroup } = s;
      const seen = range(batch * keys).map((i) => ((bits >> (i % 30)) & 1) === 1);
      const zeros = floats(
        range(groups * perGroup * queries * keys).map(() => 0),
        [groups * perGroup, queries, keys],
      );
      const [fused, composed] = [undefined, zeros].map((bias) =>
        run(
          (q: Value, k: Value, v: Value, mask: Value) => {
            const attend = (a: Value, b: Value, c: Value) =>
              dotProductAttention(a, b, c, { causal, mask, bias: bias && constant(bias) });
            const { outputs, pullback } = vjp(attend, q, k, v);
            return [outputs, pullback(outputs)];
          },
          ...qkv(s),
          bools(seen, [batch, keys]),
        ),
      ) as [HostArray[], HostArray[]];
      fused.forEach((x, i) => {
        expect(relativeError(toNumbers(x), toNumbers(composed[i] as HostArray))).toBeLessThan(
          1e-12,
        );
      });
    }),
    { numRuns: runs(50) },
  );
});

test('grouped queries equal attention with the key heads repeated', () => {
  fc.assert(
    fc.property(sizes, fc.boolean(), (s, causal) => {
      const repeated = (x: Value) =>
        concat(
          range(s.groups * s.perGroup).map((h) => {
            const g = Math.floor(h / s.perGroup);
            return sliceAxis(x, 2, g, g + 1);
          }),
          2,
        );
      const bias = gaussian(s.seed + 3, [s.groups * s.perGroup, s.queries, s.keys]);
      const found = run(
        (q: Value, k: Value, v: Value, b: Value) => [
          dotProductAttention(q, k, v, { causal, bias: b }),
          dotProductAttention(q, repeated(k), repeated(v), { causal, bias: b }),
        ],
        ...qkv(s),
        bias,
      );
      const [grouped, plain] = found.map(toNumbers) as [number[], number[]];
      expect(relativeError(grouped, plain)).toBeLessThan(1e-13);
    }),
    { numRuns: runs(40) },
  );
});

test('rotary positions: lengths are kept, and scores depend on distances alone', () => {
  const [length, d] = [9, 6];
  const x = gaussian(3, [1, 1, 1, d]);
  const copies = (v: HostArray) =>
    floats(
      range(length).flatMap(() => toNumbers(v)),
      [1, length, 1, d],
    );
  const [q, k] = [copies(x), copies(gaussian(4, [1, 1, 1, d]))];
  const [a, b] = run((u: Value, v: Value) => [rotary(u), rotary(v)], q, k).map((y) =>
    range(length).map((t) => toNumbers(y).slice(t * d, (t + 1) * d)),
  ) as [number[][], number[][]];
  const score = (t: number, s: number) =>
    (a[t] as number[]).reduce((sum, v, i) => sum + v * (b[s]?.[i] as number), 0);
  for (const t of range(length - 2)) {
    expect(Math.hypot(...(a[t] as number[]))).toBeCloseTo(Math.hypot(...toNumbers(x)), 12);
    expect(score(t, t + 2)).toBeCloseTo(score(0, 2), 12);
    expect(Math.abs(score(t, t + 1) - score(0, 2))).toBeGreaterThan(1e-3);
  }
});

test('the relative bias reads the table by head and distance', () => {
  const table = floats(
    range(8 * 2).map((i) => i),
    [8, 2],
  );
  const f = (t: Value) =>
    relativeBias(t, 3, 3, { bidirectional: true, buckets: 8, maxDistance: 16 });
  const bias = run(f, table)[0] as HostArray;
  expect(bias.shape).toEqual([2, 3, 3]);
  // Bucket 0 for distance 0, 1 and 2 for keys behind, 5 and 6 for keys ahead.
  const buckets = [0, 5, 6, 1, 0, 5, 2, 1, 0];
  expect(toNumbers(bias)).toEqual([...buckets.map((b) => 2 * b), ...buckets.map((b) => 2 * b + 1)]);
});

test('masks of wrong shape or dtype are typed errors', () => {
  const s = { batch: 2, queries: 3, keys: 4, groups: 1, perGroup: 1, d: 2, seed: 1 };
  const attend = (toMask: (m: Value) => Value, mask: HostArray) => () =>
    run(
      (q: Value, k: Value, v: Value, m: Value) => dotProductAttention(q, k, v, { mask: toMask(m) }),
      ...qkv(s),
      mask,
    );
  const same = (m: Value) => m;
  expect(attend(same, bools(Array(6).fill(true), [2, 3]))).toThrow(
    'attention: mask is bool[2,3], expected bool[batch,4] or bool[batch,3,4]',
  );
  expect(attend(same, floats(Array(8).fill(1), [2, 4]))).toThrow('mask is float[2,4]');
  expect(attend((m) => equal(m, 1), floats(Array(8).fill(1), [2, 4]))).not.toThrow();
  expect(attend((m) => equal(reshape(m, [2, 1, 4]), 1), floats(Array(8).fill(1), [2, 4]))).toThrow(
    'bool[2,1,4]',
  );
});
