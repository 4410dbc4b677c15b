/**
 * Half precision on the host: every pattern of both formats against tables that are made here in
 * another way, rounding against its definition, and what traced programs may do with it.
 */
import fc from 'fast-check';
import {
  add,
  Bfloat16Bits,
  concat,
  convert,
  dtypeOfHost,
  Float16Bits,
  flatData,
  floats,
  gather,
  grad,
  type HalfPrecision,
  type HostArray,
  halfBits,
  hostArray,
  ints,
  isHostArray,
  numberOfHalf,
  pad,
  printTape,
  range,
  reduceMax,
  reduceSum,
  reshape,
  roundedBits,
  roundTo,
  roundToHalf,
  select,
  simplify,
  slice,
  toFloat,
  toHalf,
  trace,
  transpose,
  type Value,
  vmap,
  widenedBits,
} from '../../src/autodiff/index.js';
import { interpret } from '../../src/kernels/reference/backend.js';
import { numbers, run } from '../support/numeric.js';

const FORMATS: readonly HalfPrecision[] = ['bfloat16', 'float16'];
const PATTERNS = range(65_536);

/** All numbers of float32 whose lower half is empty, from the machine's own float32. */
const bfloat16Table = new Float32Array(Uint32Array.from(PATTERNS, (p) => p << 16).buffer);

/** IEEE binary16, counted up: 1,024 numbers between neighbouring powers of two. */
const float16Table = (() => {
  const positive: number[] = [];
  for (let i = 0; i < 1024; i++) positive.push(i / 2 ** 24);
  for (let e = -14; e <= 15; e++) {
    for (let i = 0; i < 1024; i++) positive.push(2 ** e + i * 2 ** (e - 10));
  }
  positive.push(Infinity);
  while (positive.length < 32_768) positive.push(Number.NaN);
  return [...positive, ...positive.map((x) => -x)];
})();

const TABLES: Readonly<Record<HalfPrecision, ArrayLike<number>>> = {
  bfloat16: bfloat16Table,
  float16: float16Table,
};

describe.each(FORMATS)('%s', (precision) => {
  const table = TABLES[precision];
  const at = (pattern: number) => table[pattern] as number;
  /** The non-negative finite numbers, ascending; the pattern is the index. */
  const ascending = PATTERNS.filter((p) => p < 32_768 && Number.isFinite(at(p))).map(at);
  const greatest = ascending.at(-1) as number;
  const infinity = ascending.length;

  test('known patterns', () => {
    expect(numberOfHalf(0x3c00, 'float16')).toBe(1);
    expect(numberOfHalf(0x7bff, 'float16')).toBe(65_504);
    expect(numberOfHalf(0xc000, 'float16')).toBe(-2);
    expect(numberOfHalf(0x3555, 'float16')).toBe(0.333251953125);
    expect(numberOfHalf(0x3f80, 'bfloat16')).toBe(1);
    expect(numberOfHalf(0x4049, 'bfloat16')).toBe(3.140625);
    expect(numberOfHalf(0x7f7f, 'bfloat16')).toBe(3.3895313892515355e38);
  });

  test('all 65,536 patterns are read as their table says', () => {
    const wrong = PATTERNS.filter((p) => !Object.is(numberOfHalf(p, precision), at(p)));
    expect(wrong).toEqual([]);
  });

  test('all 65,536 patterns come back when they are written again; NaN as one quiet NaN', () => {
    const quiet = precision === 'bfloat16' ? 0x7fc0 : 0x7e00;
    const wrong = PATTERNS.filter(
      (p) => halfBits(at(p), precision) !== (Number.isNaN(at(p)) ? quiet : p),
    );
    expect(wrong).toEqual([]);
  });

  test('between all neighbours: nearest, ties to even, to ∞ half a step beyond the greatest', () => {
    const wrong: unknown[] = [];
    const expectBits = (x: number, pattern: number) => {
      if (halfBits(x, precision) !== pattern) wrong.push([x, pattern]);
      if (halfBits(-x, precision) !== pattern + 0x8000) wrong.push([-x, pattern]);
    };
    const beyond = greatest + (greatest - (ascending.at(-2) as number));
    ascending.forEach((low, p) => {
      const high = ascending[p + 1] ?? beyond;
      const middle = low + (high - low) / 2;
      const nudge = (high - low) / 2 ** 30;
      expectBits(middle - nudge, p);
      expectBits(middle, p % 2 === 0 ? p : p + 1);
      expectBits(middle + nudge, p + 1);
    });
    expect(wrong).toEqual([]);
    expect(halfBits(beyond * 10, precision)).toBe(infinity);
    expect(halfBits(-Infinity, precision)).toBe(infinity + 0x8000);
    // Far below the least number there is zero, whose sign is kept.
    expect(halfBits(1e-300, precision)).toBe(0);
    expect(halfBits(-1e-300, precision)).toBe(0x8000);
    expect(halfBits(-0, precision)).toBe(0x8000);
  });

  test('whole arrays: the same bits as one by one, from float64 and from float32', () => {
    const beyond = greatest * 1.01;
    const middles = ascending.flatMap((low, p) => {
      // All of the least and the greatest, and some between.
      if (p > 40 && p < infinity - 40 && p % 11 > 0 && p % 1024 > 1) return [];
      const middle = (low + (ascending[p + 1] ?? beyond)) / 2;
      // Next to the middle in float32, and so close to it that float32 takes it for the middle.
      return [low, middle, middle * (1 + 2 ** -23), middle * (1 - 2 ** -23)].concat([
        middle * (1 + 2 ** -40),
        middle * (1 - 2 ** -40),
      ]);
    });
    const odd = [Number.NaN, Infinity, 1e300, 1e-300, 2 ** -150, 2 ** -25, 65_519.99, 65_520];
    const both = [...middles, ...odd].flatMap((x) => [x, -x]);
    for (const data of [Float64Array.from(both), Float32Array.from(both)]) {
      const bits = roundedBits(data, precision);
      const wrong = range(data.length).filter(
        (i) => bits[i] !== halfBits(data[i] as number, precision),
      );
      expect(wrong.map((i) => data[i])).toEqual([]);
    }
    const numbersOfAll = widenedBits(PATTERNS, precision);
    expect(PATTERNS.filter((p) => !Object.is(numbersOfAll[p], at(p)))).toEqual([]);
  });

  test('rounding is off by half a step at most, monotone, odd, and changes nothing twice', () => {
    const number = fc.oneof(
      fc.double({ noNaN: true }),
      fc.float({ noNaN: true }),
      fc.double({ min: -1e5, max: 1e5, noNaN: true }),
    );
    fc.assert(
      fc.property(number, number, (x, y) => {
        const r = roundToHalf(x, precision);
        const pattern = halfBits(Math.abs(x), precision);
        const step =
          pattern < infinity ? (ascending[pattern + 1] ?? greatest * 2) - at(pattern) : 0;
        const error = Math.abs(r - x);
        const [low, high] = [Math.min(x, y), Math.max(x, y)];
        return (
          (pattern >= infinity || error <= step / 2) &&
          roundToHalf(low, precision) <= roundToHalf(high, precision) &&
          Object.is(roundToHalf(-x, precision), -r) &&
          Object.is(roundToHalf(r, precision), r) &&
          Object.is(numberOfHalf(halfBits(x, precision), precision), r)
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('host arrays: the class tells the dtype, parts and views keep it', () => {
    const x = toHalf(floats([1, 2.5, -3, 1e-3, 7, 8], [2, 3]), precision);
    expect(dtypeOfHost(x)).toBe(precision);
    expect(x.data).toBeInstanceOf(precision === 'bfloat16' ? Bfloat16Bits : Float16Bits);
    expect(x.data.BYTES_PER_ELEMENT).toBe(2);
    expect(dtypeOfHost(hostArray(x.data.slice(1, 3), [2]))).toBe(precision);
    expect(dtypeOfHost(x.transpose(1, 0) as HostArray)).toBe(precision);
    const turned = toFloat(x.transpose(1, 0) as HostArray);
    expect(turned.data).toBeInstanceOf(Float32Array);
    const r = (v: number) => roundToHalf(v, precision);
    expect([...flatData(turned)]).toEqual([1, r(1e-3), 2.5, 7, -3, 8]);
  });

  test('programs move it, read it and write it; the reference does what the host does', () => {
    const values = floats([1.001, -2.7, 3e-6, 4e4, 0.1, 1e6], [2, 3]);
    const half = toHalf(values, precision);
    const widened = [...flatData(toFloat(half))];
    expect(numbers((x: Value) => convert(x, 'float'), half)).toEqual(widened);
    const [written] = run((x: Value) => convert(x, precision), values);
    expect(dtypeOfHost(written as HostArray)).toBe(precision);
    expect([...flatData(written as HostArray)]).toEqual([...half.data]);
    expect(numbers((x: Value) => roundTo(x, precision), values)).toEqual(widened);
    const moves = (x: Value) =>
      gather(
        concat([pad(transpose(reshape(x, [3, 2])), [0, 0], [0, 1]), slice(x, [0, 0], [2, 2])], 1),
        ints([1, 5, 0]),
      );
    const [moved] = run(moves, half);
    expect(dtypeOfHost(moved as HostArray)).toBe(precision);
    expect(numbers((x: Value) => convert(moves(x), 'float'), half)).toEqual(
      numbers(moves, hostArray(Float64Array.from(widened), [2, 3])),
    );
    expect(
      numbers(
        vmap((x: Value) => convert(x, 'float')),
        half,
      ),
    ).toEqual(widened);
  });

  test('nothing computes with it', () => {
    const half = toHalf(floats([1, 2, 3]), precision);
    const attempts: readonly ((x: Value) => Value)[] = [
      (x) => add(x, x),
      (x) => add(x, 1),
      (x) => reduceSum(x),
      (x) => reduceMax(x),
      (x) => select(convert(floats([1, 0, 1]), 'int'), x, x),
      (x) => convert(x, 'int'),
      (x) => convert(x, precision === 'bfloat16' ? 'float16' : 'bfloat16'),
      (x) => roundTo(x, precision),
    ];
    for (const f of attempts) expect(() => trace(f, half)).toThrow(precision);
    expect(() => trace((x: Value) => convert(x, precision), ints([1]))).toThrow('convert');
    expect(() => toFloat(ints([1]))).toThrow('toFloat: array is int');
  });

  test('no derivative flows through it, but straight through the rounding', () => {
    const x = floats([1.2345, -7]);
    const stored = (v: Value) => reduceSum(convert(convert(v, precision), 'float'));
    expect(numbers(grad(stored), x)).toEqual([0, 0]);
    const rounded = (v: Value) => reduceSum(roundTo(v, precision));
    expect(numbers(grad(rounded), x)).toEqual([1, 1]);
    const half = toHalf(x, precision);
    expect(() => run(grad(stored), half)).toThrow(`is ${precision}, expected float`);
  });

  test('simplified, rows are taken before they are widened', () => {
    const table = toHalf(floats([1, 2, 3, 4, 5, 6], [3, 2]), precision);
    const f = (x: Value) => gather(convert(x, 'float'), ints([2, 9, 0]));
    const tape = simplify(trace(f, table));
    expect(printTape(tape).split('\n').slice(2)).toEqual([
      `c: ${precision}[3,2] = gather a b`,
      'd: float[3,2] = convert{dtype=float} c',
      'return d',
    ]);
    expect([...flatData(interpret(tape, [table])[0] as HostArray)]).toEqual([5, 6, 0, 0, 1, 2]);
  });

  test('tapes print the dtype, and a scalar as its number', () => {
    const f = () => convert(toHalf(floats([1.5], []), precision), 'float');
    expect(printTape(trace(f))).toBe(
      `a: ${precision}[] = constant{value=1.5}\nb: float[] = convert{dtype=float} a\nreturn b`,
    );
  });
});

test('plain 16-bit words are no host array: their format is unknown', () => {
  const words = { ...hostArray(Float64Array.of(1), [1]), data: new Uint16Array(1) };
  expect(isHostArray(words)).toBe(false);
  expect(() => dtypeOfHost(words as unknown as HostArray)).toThrow('Bfloat16Bits or Float16Bits');
});
