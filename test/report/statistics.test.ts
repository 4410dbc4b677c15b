import fc from 'fast-check';
import {
  mean,
  pairedDifference,
  standardDeviation,
  studentCoverage,
  studentCritical,
} from '../../src/report/statistics.js';
import { runs } from '../tooling/property.js';

const small = fc.double({ min: -100, max: 100, noNaN: true });

describe('Student t', () => {
  // The closed forms of the quantile for one and two degrees of freedom.
  test('critical values for 1 and 2 degrees of freedom', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 0.999, noNaN: true }), (p) => {
        expect(studentCritical(p, 1) / Math.tan((Math.PI * p) / 2)).toBeCloseTo(1, 11);
        expect(studentCritical(p, 2) / (p * Math.sqrt(2 / (1 - p * p)))).toBeCloseTo(1, 11);
      }),
      { numRuns: runs(100) },
    );
  });

  // The printed table of two-sided 5 % points.
  test.each([
    [1, 12.70620474],
    [2, 4.30265273],
    [3, 3.18244631],
    [4, 2.77644511],
    [5, 2.57058184],
    [9, 2.26215716],
    [30, 2.04227246],
    [100, 1.98397152],
  ])('critical value for %i degrees of freedom', (degrees, t) => {
    expect(Math.abs(studentCritical(0.95, degrees) - t)).toBeLessThan(5.1e-9);
  });

  test('coverage and critical value are inverse', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 0.999, noNaN: true }),
        fc.integer({ min: 1, max: 200 }),
        (coverage, degrees) => {
          const t = studentCritical(coverage, degrees);
          expect(studentCoverage(t, degrees)).toBeCloseTo(coverage, 12);
        },
      ),
      { numRuns: runs(100) },
    );
  });

  test.each([
    [0, 4],
    [1, 4],
    [Number.NaN, 4],
    [0.95, 0],
    [0.95, 1.5],
  ])('refuses coverage %p with %p degrees', (coverage, degrees) => {
    expect(() => studentCritical(coverage, degrees)).toThrow(/expected/);
  });
});

describe('pairedDifference', () => {
  test('the sleep data of Student (1908), against R: t.test(paired = TRUE)', () => {
    const first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2];
    const second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
    const difference = pairedDifference(first, second);
    expect(difference.n).toBe(10);
    expect(difference.mean).toBeCloseTo(-1.58, 12);
    expect(difference.standardDeviation).toBeCloseTo(1.229995, 6);
    expect(difference.low).toBeCloseTo(-2.4598858, 7);
    expect(difference.high).toBeCloseTo(-0.7001142, 7);
  });

  test('the interval holds the true mean in 95 % of samples', () => {
    // 4,000 samples of 5 normal pairs by a fixed generator; the bound is 4 standard errors.
    let state = 12345;
    const uniform = () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state + 0.5) / 2 ** 32;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const samples = 4000;
    const held = Array.from({ length: samples }, () => {
      const b = Array.from({ length: 5 }, normal);
      const a = b.map((value) => value + 3 + 2 * normal());
      const { low, high } = pairedDifference(a, b);
      return (low ?? Number.NaN) <= 3 && 3 <= (high ?? Number.NaN);
    }).filter(Boolean).length;
    expect(Math.abs(held / samples - 0.95)).toBeLessThan(4 * Math.sqrt((0.95 * 0.05) / samples));
  });

  test('swapping the sides changes the sign only', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(small, small), { minLength: 2, maxLength: 12 }), (pairs) => {
        const [a, b] = [pairs.map(([x]) => x), pairs.map(([, y]) => y)];
        const [one, other] = [pairedDifference(a, b), pairedDifference(b, a)];
        expect(other.mean).toBeCloseTo(-(one.mean ?? Number.NaN), 9);
        expect(other.low).toBeCloseTo(-(one.high ?? Number.NaN), 9);
        expect(other.standardDeviation).toBeCloseTo(one.standardDeviation ?? Number.NaN, 9);
      }),
      { numRuns: runs(100) },
    );
  });

  test('leaves out pairs with a missing side and says how many remain', () => {
    const a = [1, Number.NaN, 3, null, 5, Number.POSITIVE_INFINITY];
    const difference = pairedDifference(a, [0, 0, 0, 0, 2, 0]);
    expect(difference).toEqual(pairedDifference([1, 3, 5], [0, 0, 2]));
    expect(difference.n).toBe(3);
  });

  test('one pair has a mean, no spread and no interval; none has nothing', () => {
    const nothing = { standardDeviation: null, low: null, high: null };
    expect(pairedDifference([2], [0.5])).toEqual({ n: 1, mean: 1.5, ...nothing });
    expect(pairedDifference([Number.NaN], [0.5])).toEqual({ n: 0, mean: null, ...nothing });
  });

  test('refuses lists of different lengths', () => {
    expect(() => pairedDifference([1, 2], [1])).toThrow('given 2 and 1 measurements');
  });
});

test('mean and sample standard deviation', () => {
  expect(mean([2, 4, 4, 4, 5, 5, 7, 9])).toBe(5);
  expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(Math.sqrt(32 / 7), 14);
  expect(standardDeviation([3])).toBeNaN();
  // Two passes: a naive sum of squares would lose everything here.
  expect(standardDeviation([1e9, 1e9 + 1, 1e9 + 2])).toBe(1);
});
