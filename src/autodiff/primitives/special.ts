/** Functions of plain numbers that JavaScript's `Math` lacks. */

/**
 * The error function to about 1e-15: its all-positive series for |x| < 3, and the continued fraction
 * of the complement beyond (Abramowitz & Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (Number.isNaN(x)) return Number.NaN;
  if (a >= 6) return Math.sign(x);
  const gauss = Math.exp(-a * a) / Math.sqrt(Math.PI);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let k = 1; term > sum * 1e-17; k++) {
      term *= (2 * a * a) / (2 * k + 1);
      sum += term;
    }
    return Math.sign(x) * 2 * gauss * sum;
  }
  let fraction = a;
  for (let k = 60; k >= 1; k--) fraction = a + k / 2 / fraction;
  return Math.sign(x) * (1 - gauss / fraction);
}
