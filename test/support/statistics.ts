/** Test statistics, each with its law under the null hypothesis, so that bounds can be stated. */

export const meanOf = (xs: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < xs.length; i++) sum += xs[i] as number;
  return sum / xs.length;
};

/** The mean of f over a sample. */
export const momentOf = (xs: ArrayLike<number>, f: (x: number) => number): number => {
  let sum = 0;
  for (let i = 0; i < xs.length; i++) sum += f(xs[i] as number);
  return sum / xs.length;
};

/**
 * √n · D of Kolmogorov and Smirnov: P(√n · D > c) ≤ 2 e^(−2c²) for every n (Massart 1990); c = 2.9
 * gives 10⁻⁷.
 */
export function kolmogorovSmirnov(
  sample: ArrayLike<number>,
  distribution: (x: number) => number,
): number {
  const sorted = Float64Array.from(sample).sort();
  const n = sorted.length;
  let distance = 0;
  sorted.forEach((x, i) => {
    const f = distribution(x);
    distance = Math.max(distance, f - i / n, (i + 1) / n - f);
  });
  return Math.sqrt(n) * distance;
}

/** √n times the sample correlation: nearly N(0, 1) for independent samples. */
export function correlationScore(xs: ArrayLike<number>, ys: ArrayLike<number>): number {
  const n = Math.min(xs.length, ys.length);
  const [mx, my] = [meanOf(xs), meanOf(ys)];
  let [xy, xx, yy] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [a, b] = [(xs[i] as number) - mx, (ys[i] as number) - my];
    xy += a * b;
    xx += a * a;
    yy += b * b;
  }
  return (Math.sqrt(n) * xy) / Math.sqrt(xx * yy);
}

/**
 * Φ(x) to about 1e-15 by the all-positive series Φ = ½ + φ(x) Σ x^(2k+1) / (2k+1)!!, written anew
 * here so that nothing of the engine takes part.
 */
export function normalDistribution(x: number): number {
  const a = Math.abs(x);
  if (a > 9) return x < 0 ? 0 : 1;
  let term = a;
  let sum = 0;
  for (let k = 1; term > 1e-18 * sum; k++) {
    sum += term;
    term *= (a * a) / (2 * k + 1);
  }
  const half = (Math.exp((-a * a) / 2) / Math.sqrt(2 * Math.PI)) * sum;
  return 0.5 + Math.sign(x) * half;
}

/** Pearson's χ² against equal probabilities. */
export function chiSquareUniform(counts: readonly number[]): number {
  const expected = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0);
}
