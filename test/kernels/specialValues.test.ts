/**
 * Functions over their ranges, and what happens to NaN, ±∞ and 0. Accuracy is relative to
 * max(tiny, |reference|) unless it says absolute.
 */
import {
  abs,
  add,
  argmax,
  constant,
  cos,
  div,
  equal,
  erf,
  exp,
  flatData,
  floor,
  type HostArray,
  hostArray,
  log,
  lt,
  max,
  min,
  mul,
  neg,
  type Operand,
  pow,
  reduceMax,
  reduceSum,
  relu,
  select,
  sign,
  sin,
  softmax,
  sqrt,
  sub,
  tanh,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import { expected, onEachBackend, runTape } from './support.js';

const floats32 = (values: readonly number[]): HostArray =>
  hostArray(Float32Array.from(values), [values.length]);
const linear = (from: number, to: number, n = 2001) =>
  floats32(Array.from({ length: n }, (_, i) => from + ((to - from) * i) / (n - 1)));
const geometric = (from: number, to: number, n = 2001) =>
  floats32(Array.from({ length: n }, (_, i) => from * (to / from) ** (i / (n - 1))));

interface Range {
  readonly f: (x: Operand) => Value;
  readonly x: HostArray;
  /** Greatest relative error by mode; one number for all. */
  readonly bound: number | Readonly<Record<string, number>>;
  readonly absolute?: boolean;
}

const FINE = 3e-7;
/** WGSL allows exp and pow an error that grows with the exponent. */
const shader = (bound: number) => ({
  'gpujs-cpu': FINE,
  'gpujs-webasm': FINE,
  wasm: Math.min(bound, 5e-6),
  'gpujs-webgpu': bound,
  webgpu: bound,
});

const ranges: Readonly<Record<string, Range>> = {
  'exp on [-87, 88]': { f: exp, x: linear(-87, 88), bound: { ...shader(1e-5), wasm: FINE } },
  'exp on [-1, 1]': { f: exp, x: linear(-1, 1), bound: FINE },
  'log on [1e-30, 1e30]': { f: log, x: geometric(1e-30, 1e30), bound: 5e-7, absolute: true },
  'log on [0.5, 2]': { f: log, x: linear(0.5, 2), bound: FINE, absolute: true },
  'sin on [-10, 10]': { f: sin, x: linear(-10, 10), bound: FINE },
  'cos on [-1000, 1000]': { f: cos, x: linear(-1000, 1000), bound: 3e-7, absolute: true },
  'sin on [-1e5, 1e5]': { f: sin, x: linear(-1e5, 1e5), bound: 3e-6, absolute: true },
  'tanh on [-20, 20]': { f: tanh, x: linear(-20, 20), bound: 5e-7 },
  'tanh near 0': { f: tanh, x: geometric(1e-20, 1), bound: 5e-7 },
  'erf on [-7, 7]': { f: erf, x: linear(-7, 7), bound: 5e-7 },
  'erf near 0': { f: erf, x: geometric(1e-20, 1), bound: 5e-7 },
  'sqrt on [1e-30, 1e30]': { f: sqrt, x: geometric(1e-30, 1e30), bound: FINE },
  'x^1.5 on [1e-10, 1e10]': {
    f: (x) => pow(x, 1.5),
    x: geometric(1e-10, 1e10),
    bound: shader(1e-5),
  },
  'x^-2 on [1e-8, 1e8]': { f: (x) => pow(x, -2), x: geometric(1e-8, 1e8), bound: shader(1e-5) },
  'x^3 on [-9, 9]': { f: (x) => pow(x, 3), x: linear(-9, 9), bound: shader(3e-6) },
  '1/x on [1e-20, 1e20]': { f: (x) => div(1, x), x: geometric(1e-20, 1e20), bound: FINE },
};

/** log takes absolute errors relative to max(1, |log x|): near 1 it crosses 0. */
const errorOf = (got: number, want: number, absolute: boolean): number =>
  Math.abs(got - want) / (absolute ? Math.max(1, Math.abs(want)) : Math.max(1e-37, Math.abs(want)));

const ODD = [
  Number.NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  1,
  -1,
  2.5,
  -2.5,
  3,
  -3,
  1e30,
  -1e30,
  100,
  -100,
];
const pairsOf = (list: readonly number[]) => list.flatMap((x) => list.map((y) => [x, y] as const));

const same = (got: number, want: number): boolean => {
  const w = Math.fround(want);
  // Numbers below 2^-126 may count as zero.
  const allowed = Math.max(2 ** -126, 1e-5 * Math.abs(w));
  return Object.is(got, w) || got === w || Math.abs(got - w) <= allowed;
};

onEachBackend((backend, name) => {
  const run = async (f: (...xs: Value[]) => Value, ...xs: HostArray[]) => {
    const tape = trace(f, ...xs);
    const [got, want] = [await runTape(backend(), tape, xs), expected(tape, xs)];
    return [got, want].map((r) => Array.from(flatData(r[0] as HostArray))) as [number[], number[]];
  };

  test.each(Object.entries(ranges))('%s', async (_, { f, x, bound, absolute = false }) => {
    const [got, want] = await run(f, x);
    const errors = got.map((g, i) => errorOf(g, want[i] as number, absolute));
    expect(Math.max(...errors)).toBeLessThanOrEqual(
      typeof bound === 'number' ? bound : (bound[name] as number),
    );
  });

  test.each(Object.entries({ abs, neg, sign, floor, exp, log, sin, cos, tanh, erf, sqrt, relu }))(
    '%s of NaN, ±∞ and 0',
    async (which, f) => {
      const values =
        which === 'sin' || which === 'cos' ? ODD.filter((x) => !(Math.abs(x) > 1e5)) : ODD;
      const [got, want] = await run(f, floats32(values));
      expect(got.map((g, i) => [values[i], g, same(g, want[i] as number)])).toEqual(
        got.map((g, i) => [values[i], g, true]),
      );
    },
  );

  test.each(Object.entries({ add, sub, mul, div, max, min, pow, lt, equal }))(
    '%s of NaN, ±∞ and 0',
    async (which, f) => {
      // C and JavaScript disagree about 1^∞ and (−1)^∞: not compared.
      const pairs = pairsOf(ODD.filter((x) => Math.abs(x) !== 1e30 && Math.abs(x) !== 100)).filter(
        ([x, y]) => which !== 'pow' || !(Math.abs(x) === 1 && Math.abs(y) === Infinity),
      );
      const [got, want] = await run(
        f,
        floats32(pairs.map(([x]) => x)),
        floats32(pairs.map(([, y]) => y)),
      );
      const wrong = pairs.filter((_, i) => !same(got[i] as number, want[i] as number));
      expect(wrong).toEqual([]);
    },
  );

  test('reductions hand NaN and ±∞ on', async () => {
    const rows = [
      [1, Number.NaN, 2],
      [Number.NaN, 1, 2],
      [1, 2, Number.NaN],
      [Infinity, 1, -Infinity],
      [-Infinity, -Infinity, -Infinity],
      [1, Infinity, Infinity],
      [-Infinity, 3, 1],
    ];
    const x = hostArray(Float32Array.from(rows.flat()), [rows.length, 3]);
    for (const f of [
      (v: Value) => reduceSum(v, 1),
      (v: Value) => reduceMax(v, 1),
      (v: Value) => softmax(v, 1),
    ]) {
      const [got, want] = await run(f, x);
      expect(got.filter((g, i) => !same(g, want[i] as number))).toEqual([]);
    }
    const noNaN = hostArray(Float32Array.from(rows.slice(3).flat()), [4, 3]);
    const [got, want] = await run((v) => argmax(v, 1), noNaN);
    expect(got).toEqual(want);
  });

  test('constants that float32 cannot hold', async () => {
    const x = floats32([1, -1]);
    for (const value of [Infinity, -Infinity, Number.NaN, 3.4e38, -1e30]) {
      const [got, want] = await run((v) => select(lt(v, 0), v, value), x);
      expect(got.map((g, i) => same(g, want[i] as number))).toEqual([true, true]);
    }
    const [tiny] = await run((v) => mul(v, 1e-60), x);
    expect(tiny.every((t) => Math.abs(t) < 1e-45)).toBe(true);
    const [huge] = await run((v) => max(v, 1e60), x);
    expect(huge).toEqual([Infinity, Infinity]);
    const [list] = await run((v) => add(v, constant(floats32([Infinity, Number.NaN]))), x);
    expect(list).toEqual([Infinity, Number.NaN]);
  });
});
