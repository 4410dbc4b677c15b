/**
 * Sampling in few steps and without further randomness (DDIM): the image is a function of the noise
 * that one starts from.
 * Song, Meng, Ermon, "Denoising diffusion implicit models", 2021, Eq. 12 with η = 0.
 */
import {
  add,
  concat,
  convert,
  div,
  FlatloraError,
  full,
  max,
  min,
  mul,
  range,
  reshape,
  sliceAxis,
  sub,
  type Value,
} from '../../autodiff/index.js';
import type { Denoiser } from '../families/diffusionTransformer.js';
import { mixtureAt } from './denoising.js';
import type { DiffusionSchedule } from './schedule.js';

/**
 * T = t₀ > t₁ > … > t_steps = 0 in equal strides, rounded.
 * @param steps from 1 to T.
 */
export function samplingTimes({ steps: total }: DiffusionSchedule, steps: number): number[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > total) {
    throw new FlatloraError(
      'argument',
      `samplingTimes: steps is ${steps}, expected an integer from 1 to ${total}`,
    );
  }
  return range(steps + 1).map((i) => Math.round(total * (1 - i / steps)));
}

/**
 * Classifier-free guidance: ε̂ = ε̂(any) + w·(ε̂(label) − ε̂(any)), both from one run on a doubled batch.
 * Ho & Salimans, "Classifier-free diffusion guidance", 2022, in the form with w = 1 for none.
 */
export const guided =
  (denoise: Denoiser, anyLabel: number, weight: number): Denoiser =>
  (images, times, labels) => {
    if (weight === 1) return denoise(images, times, labels);
    const count = images.shape[0] as number;
    const both = denoise(
      concat([images, images]),
      concat([times, times]),
      concat([labels, full([count], anyLabel, 'int')]),
    );
    const [own, any] = [sliceAxis(both, 0, 0, count), sliceAxis(both, 0, count, 2 * count)];
    return add(any, mul(weight, sub(own, any)));
  };

/**
 * One step from time `from` to the earlier time `to`, both int[]:
 *
 *     x̂₀ = (x − √(1 − ᾱ)·ε̂)/√ᾱ, kept within ±1
 *     x′ = √ᾱ′·x̂₀ + √(1 − ᾱ′)·(x − √ᾱ·x̂₀)/√(1 − ᾱ)
 *
 * At `to` = 0 this is x̂₀. `from` must be at least 1.
 * @param images [b, …]
 * @param labels int[b]
 */
export function ddimStep(
  denoise: Denoiser,
  schedule: DiffusionSchedule,
  images: Value,
  labels: Value,
  from: Value,
  to: Value,
): Value {
  const now = mixtureAt(schedule, from);
  const then = mixtureAt(schedule, to);
  const count = images.shape[0] as number;
  const times = mul(full([count], 1), reshape(convert(from, 'float'), [1]));
  const predicted = denoise(images, times, labels);
  const clean = max(-1, min(1, div(sub(images, mul(now.noise, predicted)), now.signal)));
  // The noise that the kept-in-range image leaves, rather than the predicted one.
  const noise = div(sub(images, mul(now.signal, clean)), now.noise);
  return add(mul(then.signal, clean), mul(then.noise, noise));
}
