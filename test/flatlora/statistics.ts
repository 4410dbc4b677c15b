/**
 * The statistics of the theory tests and their bounds. All bounds hold for every sample size, or say
 * what they approximate. With the seeds fixed a test passes or fails for good; the rates say how
 * likely a fair sample is to fail when the seed is changed.
 */
import { cdf } from './normalCdf.js';

/**
 * Laurent and Massart (2000, Lemma 1): for Q ~ χ²_d,
 * P(Q ≥ d + 2√(dx) + 2x) ≤ e^(−x) and P(Q ≤ d − 2√(dx)) ≤ e^(−x).
 * @returns t with P(|Q/d − 1| > t) ≤ 2e^(−x) = `rate`.
 */
export function chiSquareBound(degrees: number, rate: number): number {
  const x = Math.log(2 / rate);
  return 2 * Math.sqrt(x / degrees) + (2 * x) / degrees;
}

/**
 * For independent standard normal x, y ∈ R^d: Σ xᵢyᵢ = (Q₁ − Q₂)/2 with Q = Σ ((xᵢ ± yᵢ)/√2)² ~ χ²_d.
 * By the lemma above |Σ xᵢyᵢ|/d ≤ 2√(x/d) + x/d up to probability 4e^(−x) = `rate`.
 */
export function correlationBound(degrees: number, rate: number): number {
  const x = Math.log(4 / rate);
  return 2 * Math.sqrt(x / degrees) + x / degrees;
}

/** Dvoretzky, Kiefer, Wolfowitz with Massart's constant: P(D > t) ≤ 2e^(−2Nt²) = `rate`. */
export const kolmogorovBound = (samples: number, rate: number): number =>
  Math.sqrt(Math.log(2 / rate) / (2 * samples));

/** P(|Z| > t) ≤ 2e^(−t²/2) = `rate` for a standard normal Z. */
export const normalBound = (rate: number): number => Math.sqrt(2 * Math.log(2 / rate));

export const meanSquare = (xs: readonly number[]): number =>
  xs.reduce((sum, x) => sum + x * x, 0) / xs.length;

export const average = (xs: readonly number[]): number =>
  xs.reduce((sum, x) => sum + x, 0) / xs.length;

export const variance = (xs: readonly number[]): number => {
  const m = average(xs);
  return xs.reduce((sum, x) => sum + (x - m) ** 2, 0) / (xs.length - 1);
};

export const dotMean = (xs: readonly number[], ys: readonly number[]): number =>
  xs.reduce((sum, x, i) => sum + x * (ys[i] as number), 0) / xs.length;

/** sup |F_N − Φ| of a sample. */
export function kolmogorovDistance(xs: readonly number[]): number {
  const sorted = [...xs].sort((a, b) => a - b);
  return sorted.reduce((worst, x, i) => {
    const p = cdf(x);
    return Math.max(worst, Math.abs(p - i / xs.length), Math.abs((i + 1) / xs.length - p));
  }, 0);
}

/** A matrix in rows. */
export const rowsOf = (flat: readonly number[], n: number): number[][] =>
  Array.from({ length: flat.length / n }, (_, i) => flat.slice(i * n, (i + 1) * n));

/** All values of a list of lists, larger than any argument list may be. */
export const largest = (xs: readonly number[]): number =>
  xs.reduce((a, b) => Math.max(a, b), -Infinity);
