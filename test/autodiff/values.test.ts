import {
  abs,
  cumsum,
  erf,
  floats,
  gather,
  ints,
  logSumExp,
  reduceMax,
  reduceSum,
  sigmoid,
  softmax,
  softplus,
  sqrt,
  take,
  takeAlongAxis,
  type Value,
} from '../../src/autodiff/index.js';
import { numbers } from '../support/numeric.js';

describe('values', () => {
  test('abs, erf and sqrt of plain numbers', () => {
    expect(numbers(abs, floats([-2, 0, 3]))).toEqual([2, 0, 3]);
    expect(numbers(sqrt, floats([0, 4]))).toEqual([0, 2]);
    // Abramowitz & Stegun, table 7.1.
    const table = numbers(erf, floats([0, 0.5, 1, -1, 2, 3, 7]));
    const known = [0, 0.5204998778, 0.8427007929, -0.8427007929, 0.995322265, 0.9999779095, 1];
    table.forEach((value, i) => {
      expect(value).toBeCloseTo(known[i] as number, 9);
    });
  });

  test('cumsum, take and gather move what they should', () => {
    const x = floats([1, 2, 3, 4, 5, 6], [2, 3]);
    expect(numbers((v: Value) => cumsum(v, 0), x)).toEqual([1, 2, 3, 5, 7, 9]);
    expect(numbers(cumsum, x)).toEqual([1, 3, 6, 4, 9, 15]);
    expect(numbers((v: Value) => take(v, ints([2, 0]), 1), x)).toEqual([3, 1, 6, 4]);
    // Outside the rows: zeros, on either side.
    expect(numbers((v: Value) => gather(v, ints([1, -1, 2])), x)).toEqual([
      4, 5, 6, 0, 0, 0, 0, 0, 0,
    ]);
    expect(numbers((v: Value) => takeAlongAxis(v, ints([2, -1, 3, 0], [2, 2]), 1), x)).toEqual([
      3, 0, 0, 4,
    ]);
  });

  test('reductions of nothing', () => {
    const nothing = floats([], [0, 2]);
    expect(numbers((x: Value) => reduceSum(x, 0), nothing)).toEqual([0, 0]);
    expect(numbers((x: Value) => reduceMax(x, 0), nothing)).toEqual([-Infinity, -Infinity]);
  });

  test('softmax and its kin do not overflow', () => {
    const x = floats([1000, 1001, 999]);
    expect(numbers(softmax, x).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 14);
    expect(numbers((v: Value) => logSumExp(v), x)[0]).toBeCloseTo(1001.407605964444, 9);
    expect(numbers(softplus, floats([1000, -1000]))).toEqual([1000, 0]);
    expect(numbers(sigmoid, floats([1000, -1000]))).toEqual([1, 0]);
  });
});
