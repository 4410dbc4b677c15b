/** How training steps are compared: three without noise, in which all must agree, and one with it. */
import { digestAll } from './digest.js';
import type { Digests } from './job.js';

/** The layers with LoRA factors: all linear layers of the blocks. */
export const TARGETS = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];

/** T of the noise schedule; far beyond what is timed. */
export const TOTAL_STEPS = 1e6;

/** Steps without noise at the start (σ is 0 there, the work is the same). */
export const QUIET_STEPS = 3;

/** σ at a step. */
export const strengthAt = (step: number, sigma: number): number => (step < QUIET_STEPS ? 0 : sigma);

export interface StepReport {
  readonly loss: number;
  readonly gradientNorm: number;
}

/** Takes the first steps of a training and digests what they tell. */
export async function firstSteps(next: () => Promise<StepReport>): Promise<Digests> {
  const steps: StepReport[] = [];
  for (let i = 0; i <= QUIET_STEPS; i++) steps.push(await next());
  const quiet = steps.slice(0, QUIET_STEPS);
  return digestAll({
    losses: quiet.map(({ loss }) => loss),
    gradientNorms: quiet.map(({ gradientNorm }) => gradientNorm),
    // Each engine draws its own noise: this agrees roughly.
    noisyLoss: steps.slice(QUIET_STEPS).map(({ loss }) => loss),
  });
}
