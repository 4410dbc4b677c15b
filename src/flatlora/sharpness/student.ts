/** Student's t: how many standard errors an interval needs when the spread itself is estimated. */
import { FlatloraError } from '../../autodiff/index.js';

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
