/**
 * The trace of a symmetric operator from products alone (Hutchinson 1990): for v with independent
 * random signs,
 *
 *     E vᵀHv = tr H,   var vᵀHv = 2·(‖H‖_F² − Σ_i h_ii²).
 *
 * The trace is the sum of all curvatures: half of it, times σ², is how much the loss rises to second
 * order under isotropic noise N(0, σ²).
 *
 * Reference: Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian
 * smoothing splines", 1990; the variance as in Avron, Toledo 2011.
 */
import { check, foldIn, hostBits, type Key, orThrow } from '../../autodiff/index.js';
import { innerProduct } from './space.js';
import { studentCritical } from './student.js';

export interface TraceOptions {
  /** Picks the random signs; the same key gives the same result. */
  readonly key: Key;
  /** Products with the operator, at least 2; 32 by default. */
  readonly samples?: number;
  /** Probability with which the interval covers the trace, for samples that are near to normal; 0.95. */
  readonly confidence?: number;
}

export interface TraceEstimate {
  readonly trace: number;
  readonly standardError: number;
  /** The interval trace ∓ t·standardError, t of Student's law with samples − 1 degrees of freedom. */
  readonly low: number;
  readonly high: number;
}

/** A vector of independent random signs. */
export const randomSigns = (key: Key, size: number): Float64Array =>
  Float64Array.from(hostBits(key, size), (word) => (word >>> 31 === 0 ? 1 : -1));

/**
 * @param product v ↦ H·v for vectors of length `size`.
 * @throws FlatloraError when `samples` or `confidence` is out of range.
 */
export async function hutchinsonTrace(
  product: (v: Float64Array) => Promise<Float64Array>,
  size: number,
  { key, samples = 32, confidence = 0.95 }: TraceOptions,
): Promise<TraceEstimate> {
  orThrow(
    check(
      Number.isInteger(samples) && samples >= 2,
      'argument',
      () => `hutchinsonTrace: samples is ${samples}, expected an integer ≥ 2`,
    ),
  );
  const critical = studentCritical(confidence, samples - 1);
  const forms: number[] = [];
  for (let k = 0; k < samples; k++) {
    const v = randomSigns(foldIn(key, k), size);
    forms.push(innerProduct(v, await product(v)));
  }
  const trace = forms.reduce((sum, x) => sum + x, 0) / samples;
  const variance = forms.reduce((sum, x) => sum + (x - trace) ** 2, 0) / (samples - 1);
  const standardError = Math.sqrt(variance / samples);
  return {
    trace,
    standardError,
    low: trace - critical * standardError,
    high: trace + critical * standardError,
  };
}
