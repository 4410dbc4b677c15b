/**
 * Half precision on every backend: conversion in both directions and rounding give the reference's
 * bits, for random numbers, all boundaries between neighbours' rounding, and specials.
 */
import {
  add,
  concat,
  convert,
  dtypeOfHost,
  flatData,
  gather,
  type HalfPrecision,
  type HostArray,
  halfBits,
  hostArray,
  ints,
  matmulTransposed,
  mul,
  numberOfHalf,
  range,
  reshape,
  roundTo,
  slice,
  toHalf,
  trace,
  transpose,
  type Value,
  widened,
} from '../../src/autodiff/index.js';
import { compile, download, release } from '../../src/kernels/index.js';
import { generator, halfArray, uniformArray } from '../support/draw.js';
import { checkTape, expected, onEachBackend, runTape } from './support.js';

const float32 = (xs: readonly number[]) => hostArray(Float32Array.from(xs), [xs.length]);

const SPECIALS = [0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 3.4e38, -3.4e38, 65_504, 65_519.9]
  .concat([65_520, -65_520, 2 ** -14, 2 ** -24, 2 ** -25, 1.5 * 2 ** -24, -(2 ** -26), 6.1e-5])
  .concat([1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -11, 1 + 3 * 2 ** -11, -1 - 2 ** -8, 1e-30]);

/** Numbers of all magnitudes, then the points half way between neighbours, and the next to them. */
function testNumbers(precision: HalfPrecision, least: number): number[] {
  const random = generator(7);
  const [low, high] = precision === 'bfloat16' ? [-125, 128] : [-27, 17];
  const wide = range(600).map(() => {
    const e = low + (high - low) * random();
    return (random() < 0.5 ? -1 : 1) * 2 ** e;
  });
  const infinity = precision === 'bfloat16' ? 0x7f80 : 0x7c00;
  const boundaries = range(200).flatMap(() => {
    const p = Math.floor(random() * (infinity - 1));
    const [a, b] = [numberOfHalf(p, precision), numberOfHalf(p + 1, precision)];
    const middle = a + (b - a) / 2;
    const ulp = 2 ** Math.max(Math.floor(Math.log2(middle)) - 23, -149);
    return [a, middle, -middle, middle - ulp, middle + ulp];
  });
  // The least numbers, bfloat16's below those that shaders take for zero.
  const tiny = range(300).map((i) => i * 2 ** (precision === 'bfloat16' ? -135 : -26));
  return [...SPECIALS, ...wide, ...boundaries, ...tiny]
    .map(Math.fround)
    .filter((x) => !(x !== 0 && Math.abs(x) < least));
}

/** Whether two lists of numbers are the same but for NaN's payload and, where told, zero's sign. */
const differing = (got: ArrayLike<number>, want: ArrayLike<number>, signs: boolean) =>
  range(want.length).filter((i) => {
    const [g, w] = [got[i] as number, want[i] as number];
    return !(Object.is(g, w) || (!signs && g === w));
  });

onEachBackend((backend, name) => {
  const signs = !name.includes('webgpu');
  const one = async (f: (x: Value) => Value, x: HostArray) => {
    const tape = trace(f, x);
    const [got, want] = [await runTape(backend(), tape, [x]), expected(tape, [x])];
    return [got[0], want[0]] as [HostArray, HostArray];
  };

  describe.each<HalfPrecision>(['bfloat16', 'float16'])('%s', (precision) => {
    const x = float32(testNumbers(precision, name.includes('webgpu') ? 2 ** -126 : 0));

    test('rounding: the bits of the reference', async () => {
      const [got, want] = await one((v) => roundTo(v, precision), x);
      expect(differing(flatData(got), flatData(want), signs).map((i) => x.get(i))).toEqual([]);
    });

    test('conversion to half: the bits of the reference', async () => {
      const [got, want] = await one((v) => convert(v, precision), x);
      expect(dtypeOfHost(got)).toBe(precision);
      const numberAt = (a: HostArray) => Array.from(flatData(a), (b) => numberOfHalf(b, precision));
      expect(differing(numberAt(got), numberAt(want), signs).map((i) => x.get(i))).toEqual([]);
      expect(flatData(want)[3]).toBe(halfBits(-1, precision));
    });

    test('conversion from half: exact for every normal pattern', async () => {
      const patterns = range(65_536).filter((p) => {
        const a = Math.abs(numberOfHalf(p, precision));
        return a === 0 || a >= 2 ** -126;
      });
      const half = toHalf(float32(patterns.map((p) => numberOfHalf(p, precision))), precision);
      const [got, want] = await one((v) => convert(v, 'float'), half);
      expect(differing(flatData(got), flatData(want), signs)).toEqual([]);
    });

    test('moved about, and widened inside a product', async () => {
      const random = generator(11);
      const w = halfArray(random, [5, 6], precision);
      const y = uniformArray(random, [3, 6]);
      const moves = (v: Value) =>
        concat(
          [
            gather(transpose(v), ints([3, 0, 9])),
            reshape(slice(v, [1, 0], [3, 5], [1, 2]), [2, 3]),
          ].map((part) => slice(part, [0, 0], [2, 3])),
          0,
        );
      const half = trace(moves, w);
      const [got, want] = [await runTape(backend(), half, [w]), expected(half, [w])];
      expect(Array.from(flatData(got[0] as HostArray))).toEqual(
        Array.from(flatData(want[0] as HostArray)),
      );
      const product = trace(
        (v: Value, u: Value) =>
          mul(2, matmulTransposed(u, add(convert(v, 'float'), roundTo(u.shape.length, precision)))),
        w,
        y,
      );
      await checkTape(backend(), product, [w, y], `product with ${precision}`);
    });
  });

  test('a program is compiled anew for another dtype of its argument', async () => {
    const program = compile((v: Value) => mul(2, widened(v)), backend());
    const numbersOf = async (x: HostArray) => {
      const result = await program(x);
      const host = await download(backend(), result);
      release(backend(), result);
      return Array.from(flatData(host as unknown as HostArray));
    };
    const x = float32([1 + 2 ** -9, 3]);
    expect(await numbersOf(x)).toEqual([2 + 2 ** -8, 6]);
    expect(await numbersOf(toHalf(x, 'bfloat16'))).toEqual([2, 6]);
    expect(await numbersOf(toHalf(x, 'float16'))).toEqual([2 + 2 ** -8, 6]);
    await program.dispose();
  });
});
