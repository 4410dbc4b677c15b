/** Threefry, keys on the host and their traced twins. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { pipe } from 'fp-ts/lib/function.js';
import * as S from 'fp-ts/lib/State.js';
import {
  bernoulli,
  drawWith,
  dropout,
  floats,
  foldIn,
  foldInTraced,
  grad,
  type HostArray,
  hostArray,
  hostBits,
  hostNormal,
  hostPermutation,
  hostUniform,
  ints,
  type Key,
  key,
  mul,
  normal,
  normalsOfBlock,
  normalTable,
  PURPOSE,
  permutation,
  randomBits,
  reduceSum,
  split,
  splitTraced,
  threefry2x32,
  uniform,
  type Value,
} from '../../src/autodiff/index.js';
import { numbers, run, toNumbers } from '../support/numeric.js';
import { meanOf } from '../support/statistics.js';
import { runs, testSeed } from '../tooling/property.js';

const words: fc.Arbitrary<Key> = fc
  .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff))
  .map((pair) => hostArray(Uint32Array.from(pair), [2]));

test('Threefry-2x32-20: the published known answers', () => {
  const hex = (k0: number, k1: number, c0: number, c1: number) =>
    threefry2x32(k0, k1, c0, c1).map((w) => w.toString(16).padStart(8, '0'));
  expect(hex(0, 0, 0, 0)).toEqual(['6b200159', '99ba4efe']);
  const ones = 0xffffffff;
  expect(hex(ones, ones, ones, ones)).toEqual(['1cb996fc', 'bb002be7']);
  expect(hex(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3)).toEqual(['c4923a9c', '483df7a0']);
});

test('the table and the streams of normal numbers are those of an independent implementation', () => {
  const golden = JSON.parse(
    readFileSync(new URL('../fixtures/normals.json', import.meta.url), 'utf8'),
  ) as { table: number[]; streams: { key: [number, number]; normals: number[] }[] };
  const grains = (xs: Float32Array) => Array.from(xs, (x) => x * 2 ** 20);
  expect(grains(normalTable)).toEqual(golden.table);
  for (const { key: pair, normals } of golden.streams) {
    const k = hostArray(Uint32Array.from(pair), [2]) as Key;
    expect(grains(hostNormal(k, normals.length))).toEqual(normals);
  }
});

describe('traced = host', () => {
  const property = (f: (k: Key, count: number) => void) =>
    fc.assert(fc.property(words, fc.integer({ min: 0, max: 17 }), f), { numRuns: runs(100) });

  test('random words, uniform and normal numbers, permutations', () => {
    property((k, n) => {
      const bits = hostBits(k, n);
      expect(numbers((x: Value) => randomBits(x, [n]), k)).toEqual([...bits]);
      expect(numbers((x: Value) => uniform(x, [n]), k)).toEqual([...hostUniform(k, n)]);
      expect(numbers((x: Value) => normal(x, [n]), k)).toEqual([...hostNormal(k, n)]);
      expect(numbers((x: Value) => permutation(x, n), k)).toEqual([...hostPermutation(k, n)]);
    });
  });

  test('the shape only arranges the stream', () => {
    const flat = numbers((x: Value) => randomBits(x, [6]), key(1));
    expect(numbers((x: Value) => randomBits(x, [2, 3]), key(1))).toEqual(flat);
    expect(numbers((x: Value) => randomBits(x, [5]), key(1))).toEqual(flat.slice(0, 5));
  });

  test('split and foldIn, for data of all 32 bits', () => {
    property((k, n) => {
      const derived = run((x: Value) => splitTraced(x, n + 1), k).flatMap(toNumbers);
      expect(derived).toEqual(split(k, n + 1).flatMap((s) => [...s.data]));
    });
    fc.assert(
      fc.property(words, fc.nat(0xffffffff), (k, data) => {
        const fed = ints([data], []);
        expect(numbers(foldInTraced, k, fed)).toEqual([...foldIn(k, data).data]);
      }),
    );
  });

  test('keys of seeds: both words count', () => {
    expect([...key(5).data]).toEqual([0, 5]);
    expect([...key(2 ** 53 - 1).data]).toEqual([2 ** 21 - 1, 2 ** 32 - 1]);
    expect([...key(2 ** 32).data]).toEqual([1, 0]);
  });

  test('ties of a permutation go by position', () => {
    // Of 2^13 draws of 24 bits some pair is equal with probability 0.86; this key has one.
    const n = 8192;
    const seed = [0, 1, 2, 3, 4, 5].find((s) => new Set(hostUniform(key(s), n)).size < n) as number;
    const draws = hostUniform(key(seed), n);
    const order = hostPermutation(key(seed), n);
    let ties = 0;
    order.forEach((at, i) => {
      const before = order[i - 1];
      if (before === undefined || draws[before] !== draws[at]) return;
      ties++;
      expect(before).toBeLessThan(at);
    });
    expect(ties).toBeGreaterThan(0);
    expect([...order].sort((a, b) => a - b)).toEqual([...order.keys()]);
  });
});

describe('purposes', () => {
  // For one key, blocks at different counters differ always: the cipher is a bijection. What can go
  // wrong is that two purposes share counters, and this would show in every key.
  test('bits, split keys and folded keys never coincide', () => {
    fc.assert(
      fc.property(words, (k) => {
        const pairs = (list: ArrayLike<number>) =>
          [...Array(list.length / 2).keys()].map((i) => `${list[2 * i]},${list[2 * i + 1]}`);
        const all = [
          ...pairs(hostBits(k, 64)),
          ...split(k, 32).map((s) => s.data.join()),
          ...[...Array(32).keys()].map((i) => foldIn(k, i).data.join()),
          k.data.join(),
        ];
        expect(new Set(all).size).toBe(all.length);
      }),
      { numRuns: runs(200) },
    );
    expect(new Set(Object.values(PURPOSE)).size).toBe(3);
  });

  test('keys derived along different paths differ', () => {
    const root = key(testSeed());
    const children = [...split(root, 8), ...[...Array(8).keys()].map((i) => foldIn(root, i))];
    const grandchildren = children.flatMap((c) => [
      ...split(c, 8),
      ...[...Array(8).keys()].map((i) => foldIn(c, i)),
    ]);
    const all = [root, ...children, ...grandchildren].map((k) => k.data.join());
    expect(new Set(all).size).toBe(1 + 16 + 256);
  });
});

test('drawWith threads a key: no draw repeats, and the order is that of split', () => {
  const program = (k: Value) => {
    const [pair, rest] = pipe(
      drawWith((use) => normal(use, [3])),
      S.chain((a) =>
        pipe(
          drawWith((use) => uniform(use, [2])),
          S.map((b) => [a, b] as const),
        ),
      ),
    )(k);
    return [...pair, rest];
  };
  const [a, b, rest] = run(program, key(9)) as [HostArray, HostArray, HostArray];
  const [use1, next1] = split(key(9)) as [Key, Key];
  const [use2, next2] = split(next1) as [Key, Key];
  expect(toNumbers(a)).toEqual([...hostNormal(use1, 3)]);
  expect(toNumbers(b)).toEqual([...hostUniform(use2, 2)]);
  expect(toNumbers(rest)).toEqual([...next2.data]);
});

describe('bernoulli and dropout', () => {
  test('bernoulli is exactly "uniform < p", p on the grid of 2⁻²⁴', () => {
    const n = 1000;
    for (const p of [0, 2 ** -24, 0.1, 0.5, 1 / 3, 1 - 2 ** -24, 1]) {
      const grid = Math.round(p * 2 ** 24) / 2 ** 24;
      const expected = [...hostUniform(key(3), n)].map((u) => Number(u < grid));
      expect(numbers((k: Value) => bernoulli(k, p, [n]), key(3))).toEqual(expected);
      if (p === 0 || p === 1) expect(new Set(expected)).toEqual(new Set([p]));
    }
  });

  test('dropout keeps the mean, scales what it keeps, and masks the gradient', () => {
    const n = 20_000;
    const x = floats(new Float64Array(n).fill(2));
    for (const rate of [0.1, 0.5, 0.9]) {
      const y = numbers((k: Value, v: Value) => dropout(k, rate, v), key(4), x);
      expect(new Set(y)).toEqual(new Set([0, 2 * (1 / (1 - rate))]));
      // n draws, standard deviation of one √(rate / (1 − rate)); 5.5 deviations: p < 4e-8.
      const deviation = 2 * Math.sqrt(rate / (1 - rate) / n);
      expect(Math.abs(meanOf(y) - 2)).toBeLessThan(5.5 * deviation);
      // Planted: forgetting the scale moves the mean by far more.
      expect(Math.abs(meanOf(y.map((v) => v * (1 - rate))) - 2)).toBeGreaterThan(5.5 * deviation);
      const g = numbers(
        (k: Value, v: Value) => grad((w: Value) => reduceSum(mul(w, dropout(k, rate, w))))(v),
        key(4),
        x,
      );
      expect(g).toEqual(y.map((v) => 2 * v));
    }
    expect(numbers((v: Value) => dropout(key(1), 0, v), floats([1, 2]))).toEqual([1, 2]);
  });
});

test('the normals of a block are its eight signed sums of table entries, exact in float32', () => {
  const parity = (x: number) => [0, 1, 2].reduce((sum, bit) => sum ^ ((x >> bit) & 1), 0);
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (first, second) => {
      const entries = [...new Uint8Array(Uint32Array.of(first, second).buffer)].map(
        (byte) => normalTable[byte] as number,
      );
      // Two ways of adding give the same bits, since every partial sum is exact.
      const signed = (j: number) => entries.map((t, k) => (parity(j & k) === 1 ? -t : t));
      const inFloat32 = (xs: readonly number[]) => xs.reduce((a, b) => Math.fround(a + b), 0);
      [...normalsOfBlock([first, second])].forEach((z, j) => {
        expect(z).toBe(inFloat32(signed(j)));
        expect(z).toBe(inFloat32(signed(j).reverse()));
      });
    }),
  );
});
