/** Medians, paired ratios and growth of the benchmark. */
import fc from 'fast-check';
import {
  exponentOf,
  launchedRatio,
  median,
  medianInterval,
  pairedRatio,
  quantile,
  repeatsFor,
  roundsFor,
} from '../../bench/src/harness/statistics.js';

const times = fc.array(fc.double({ min: 0.1, max: 100, noNaN: true }), {
  minLength: 1,
  maxLength: 20,
});

test('quantiles of known numbers', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(quantile([10, 20, 30, 40, 50], 0.1)).toBeCloseTo(14);
  expect(quantile([], 0.5)).toBeNaN();
});

test('the ratio is taken within rounds: a slow spell that hits both leaves it as it was', () => {
  const subject = [1, 1, 10, 1, 1];
  const peer = [3, 3, 30, 3, 3];
  expect(pairedRatio(subject, peer)).toEqual({
    ratio: 3,
    low: 3,
    high: 3,
    interval: null,
  });
});

test("the median's interval has the ranks of the binomial tables", () => {
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => n - i);
  expect(medianInterval(upTo(5))).toBeNull();
  expect(medianInterval(upTo(6))).toEqual([1, 6]);
  expect(medianInterval(upTo(25))).toEqual([8, 18]);
  expect(medianInterval(upTo(100))).toEqual([40, 61]);
  // Past where 2^-n is a number.
  expect(medianInterval(upTo(4000))).toEqual([1938, 2063]);
});

test('over several processes each has one voice', () => {
  const process = (ratio: number, rounds: number) => ({
    subject: Array.from({ length: rounds }, () => 2),
    peer: Array.from({ length: rounds }, () => 2 * ratio),
  });
  const { ratio, low, high, interval } = launchedRatio([
    process(1.5, 100),
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((i) => process(1 + i / 100, 3)),
  ]);
  expect(ratio).toBeCloseTo(1.05);
  expect(interval?.map((x) => x.toFixed(2))).toEqual(['1.02', '1.08']);
  expect([low, high]).toEqual([1.05, 1.5]);
});

test('above 1 means that the subject is faster, and the spread encloses the median', () => {
  expect(pairedRatio([1, 1], [2, 2]).ratio).toBe(2);
  fc.assert(
    fc.property(times, times, (a, b) => {
      const n = Math.min(a.length, b.length);
      const { ratio, low, high } = pairedRatio(a.slice(0, n), b.slice(0, n));
      return low <= ratio && ratio <= high;
    }),
  );
});

test('short works are repeated until a sample is long enough, within bounds', () => {
  expect(repeatsFor(0.5, 60)).toBe(120);
  expect(repeatsFor(200, 60)).toBe(1);
  expect(repeatsFor(0, 60)).toBe(1000);
  expect(roundsFor(1000, { budgetMs: 20_000, least: 7, most: 25 })).toBe(20);
  expect(roundsFor(10_000, { budgetMs: 20_000, least: 7, most: 25 })).toBe(7);
  expect(roundsFor(10, { budgetMs: 20_000, least: 7, most: 25 })).toBe(25);
});

test('the exponent of a power law is found', () => {
  const points = [1, 2, 4, 8].map((size) => ({ size, value: 5 * size ** 1.7 }));
  expect(exponentOf(points)).toBeCloseTo(1.7, 10);
});
