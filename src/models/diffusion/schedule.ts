/**
 * How noisy an image is at each time: x_t = √ᾱ_t·x₀ + √(1 − ᾱ_t)·ε, ε standard normal.
 *
 * Times count from 1 to T; ᾱ falls from near 1 to near 0, and ᾱ₀ = 1 stands for the image itself.
 */
import { FlatloraError } from '../../autodiff/index.js';

export interface DiffusionSchedule {
  /** T */
  readonly steps: number;
  /** ᾱ_t at place t, t = 0 … T. */
  readonly signal: readonly number[];
}

/** ᾱ_t = Π (1 − β_s) over s = 1 … t. */
function fromBetas(name: string, steps: number, beta: (t: number) => number): DiffusionSchedule {
  if (!Number.isInteger(steps) || steps < 1) {
    throw new FlatloraError('argument', `${name}: steps is ${steps}, expected a positive integer`);
  }
  const signal = [1];
  for (let t = 1; t <= steps; t++) signal.push((signal[t - 1] as number) * (1 - beta(t)));
  return { steps, signal };
}

/**
 * ᾱ_t = f(t)/f(0), f(t) = cos²(π/2·(t/T + s)/(1 + s)), s = 0.008, no β above 0.999.
 * Nichol & Dhariwal, "Improved denoising diffusion probabilistic models", 2021, Eq. 17.
 * @param steps T; 1000 by default, as there.
 */
export function cosineDiffusion(steps = 1000): DiffusionSchedule {
  const f = (t: number) => Math.cos(((t / steps + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
  return fromBetas('cosineDiffusion', steps, (t) => Math.min(0.999, 1 - f(t) / f(t - 1)));
}

/**
 * β from 10⁻⁴ to 0.02 in equal steps. Ho, Jain, Abbeel, "Denoising diffusion probabilistic models",
 * 2020, section 4. Fewer steps than 1000 take larger ones, so that ᾱ_T stays near zero.
 * @param steps T; 1000 by default, as there.
 */
export function linearDiffusion(steps = 1000): DiffusionSchedule {
  const [first, last] = [0.1 / steps, 20 / steps];
  return fromBetas('linearDiffusion', steps, (t) =>
    Math.min(0.999, first + ((last - first) * (t - 1)) / Math.max(1, steps - 1)),
  );
}
