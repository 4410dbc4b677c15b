/**
 * The few statistics that the report needs: mean, sample standard deviation, and the paired
 * difference of two methods over the same seeds with its Student-t interval.
 */
import { FlatloraError } from '../autodiff/core/errors.js';

/**
 * How much `a` exceeds `b` over n pairs. With fewer than two pairs there is no spread and no
 * interval: those fields are null, never zero.
 */
export interface PairedDifference {
  /** Pairs in which both numbers are finite. */
  readonly n: number;
  /** Mean of a − b. */
  readonly mean: number | null;
  /** Sample standard deviation of a − b (divisor n − 1). */
  readonly standardDeviation: number | null;
  /** Lower end of the two-sided 95 % interval of the mean. */
  readonly low: number | null;
  /** Upper end of the two-sided 95 % interval of the mean. */
  readonly high: number | null;
}

/** Arithmetic mean; NaN for an empty list. */
export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sample standard deviation (divisor n − 1), in two passes; NaN for fewer than two values. */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN;
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

/**
 * Probability that Student's t lies between −t and t. For whole degrees of freedom it is a finite
 * sum (Abramowitz and Stegun, 26.7.3 and 26.7.4), so nothing is approximated.
 * @param t at least 0.
 * @param degrees a whole number, at least 1.
 */
export function studentCoverage(t: number, degrees: number): number {
  const sine = t / Math.sqrt(degrees + t * t);
  const cosineSquared = degrees / (degrees + t * t);
  const odd = degrees % 2 === 1;
  // Odd: cos θ (1 + 2/3 cos²θ + 2·4/(3·5) cos⁴θ + …). Even: 1 + 1/2 cos²θ + 1·3/(2·4) cos⁴θ + …
  let term = odd ? Math.sqrt(cosineSquared) : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = odd ? 3 : 2; k <= degrees - 2; k += 2) {
    term *= ((k - 1) / k) * cosineSquared;
    sum += term;
  }
  return odd ? (2 / Math.PI) * (Math.atan(t / Math.sqrt(degrees)) + sine * sum) : sine * sum;
}

/**
 * The t with `studentCoverage(t, degrees)` = `coverage`, by bisection.
 * @param coverage above 0 and below 1; 0.95 for a two-sided 95 % interval.
 * @param degrees a whole number, at least 1.
 * @throws FlatloraError 'argument' for values outside these ranges.
 */
export function studentCritical(coverage: number, degrees: number): number {
  if (!(coverage > 0 && coverage < 1)) {
    throw new FlatloraError('argument', `coverage: given ${coverage}, expected between 0 and 1`);
  }
  if (!Number.isInteger(degrees) || degrees < 1) {
    throw new FlatloraError(
      'argument',
      `degrees: given ${degrees}, expected a whole number, at least 1`,
    );
  }
  let low = 0;
  let high = 1;
  while (studentCoverage(high, degrees) < coverage) high *= 2;
  for (let middle = (low + high) / 2; low < middle && middle < high; middle = (low + high) / 2) {
    if (studentCoverage(middle, degrees) < coverage) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * `a − b` pair by pair: mean, sample standard deviation, and the two-sided 95 % interval
 * mean ± t·s/√n with n − 1 degrees of freedom. It assumes roughly normal differences.
 * @param a measurements, one per seed.
 * @param b the baseline's, in the same order of seeds. A pair in which either is null or not
 *   finite is left out; `n` says how many remain.
 * @throws FlatloraError 'argument' when the lengths differ.
 */
export function pairedDifference(
  a: readonly (number | null)[],
  b: readonly (number | null)[],
): PairedDifference {
  if (a.length !== b.length) {
    throw new FlatloraError(
      'argument',
      `pairedDifference: given ${a.length} and ${b.length} measurements, expected as many of each`,
    );
  }
  const differences = a.flatMap((value, i) => {
    const difference = (value ?? Number.NaN) - (b[i] ?? Number.NaN);
    return Number.isFinite(difference) ? [difference] : [];
  });
  const n = differences.length;
  if (n < 2) {
    const only = differences[0] ?? null;
    return { n, mean: only, standardDeviation: null, low: null, high: null };
  }
  const centre = mean(differences);
  const spread = standardDeviation(differences);
  const half = (studentCritical(0.95, n - 1) * spread) / Math.sqrt(n);
  return { n, mean: centre, standardDeviation: spread, low: centre - half, high: centre + half };
}
