/**
 * The few statistics that the report needs: mean, sample standard deviation, and the paired
 * difference of two methods over the same seeds with its Student-t interval.
 */
import { FlatloraError } from '../autodiff/core/errors.js';
import { studentCritical } from '../flatlora/sharpness/student.js';

export { studentCoverage, studentCritical } from '../flatlora/sharpness/student.js';

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
