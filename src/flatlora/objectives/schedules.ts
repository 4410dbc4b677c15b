/** How the strength of the perturbation grows during training. */
import { cos, lift, mul, type Operand, sub, type Value } from '../../autodiff/index.js';

/** From progress t/T in [0, 1] to the share of σ that is used at step t. */
export type NoiseSchedule = (progress: Operand) => Value;

/**
 * σ_t = σ · ½(1 − cos(π t/T)): from 0 at the start to σ at the end. The paper's choice ("a
 * cosine-increasing strategy", Sections 4.1–4.3) in the form of its released code.
 */
export const cosineIncreasing: NoiseSchedule = (progress) =>
  mul(0.5, sub(1, cos(mul(Math.PI, progress))));

/** σ_t = σ. */
export const constantNoise: NoiseSchedule = () => lift(1);
