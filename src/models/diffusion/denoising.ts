/**
 * The loss that diffusion models are trained with: how well the noise in an image is predicted.
 * Ho, Jain, Abbeel, "Denoising diffusion probabilistic models", 2020, Eq. 14.
 */
import {
  add,
  bernoulli,
  constant,
  convert,
  floats,
  floor,
  gather,
  iota,
  mul,
  normal,
  type Operand,
  reshape,
  type Shape,
  select,
  splitTraced,
  sqrt,
  sub,
  uniform,
  type Value,
} from '../../autodiff/index.js';
import type { Denoiser } from '../families/diffusionTransformer.js';
import { meanSquaredError } from '../losses.js';
import type { DiffusionSchedule } from './schedule.js';

/** √ᾱ_t and √(1 − ᾱ_t). */
export interface Mixture {
  readonly signal: Value;
  readonly noise: Value;
}

/** The mixture at times int[…]: both in the times' shape, or in `shape` (as many numbers). */
export function mixtureAt(
  { signal }: DiffusionSchedule,
  times: Value,
  shape: Shape = times.shape,
): Mixture {
  const kept = reshape(gather(constant(floats(signal)), times), shape);
  return { signal: sqrt(kept), noise: sqrt(sub(1, kept)) };
}

/** One number per image in shape to be combined with images of this rank. */
const perImage = (images: Value): Shape => [
  images.shape[0] as number,
  ...images.shape.slice(1).map(() => 1),
];

/**
 * x_t = √ᾱ_t·x₀ + √(1 − ᾱ_t)·ε, with times int[b] from 0 to T.
 */
export function addNoise(
  schedule: DiffusionSchedule,
  images: Value,
  noise: Value,
  times: Value,
): Value {
  const mixture = mixtureAt(schedule, times, perImage(images));
  return add(mul(mixture.signal, images), mul(mixture.noise, noise));
}

/**
 * Times int[count], each uniform on 1 … T, spread evenly over one batch: one random shift of equally
 * spaced points, which makes the loss of a batch vary less.
 * Kingma et al., "Variational diffusion models", 2021, appendix I.1.
 */
export function drawTimes({ steps }: DiffusionSchedule, key: Operand, count: number): Value {
  const shift = uniform(key, [1]);
  const even = add(shift, mul(1 / count, convert(iota([count]), 'float')));
  const onCircle = sub(even, floor(even));
  return add(1, convert(floor(mul(steps, onCircle)), 'int'));
}

export interface DenoisingOptions {
  readonly schedule: DiffusionSchedule;
  /** The label that means "any". */
  readonly anyLabel: number;
  /** Share of labels that are replaced by it (Ho & Salimans 2022); 0.1 by default, as in DiT. */
  readonly labelDropout?: number;
}

/**
 * mean ‖ε − ε̂(x_t, t, label)‖² over times and noise drawn from the key.
 * @param images [b, …], scaled to −1 … 1.
 * @param labels int[b]
 * @returns float[]
 */
export function denoisingLoss(
  denoise: Denoiser,
  { schedule, anyLabel, labelDropout = 0.1 }: DenoisingOptions,
  images: Value,
  labels: Value,
  key: Operand,
): Value {
  const count = images.shape[0] as number;
  const [timeKey, noiseKey, labelKey] = splitTraced(key, 3) as [Value, Value, Value];
  const times = drawTimes(schedule, timeKey, count);
  const noise = normal(noiseKey, images.shape);
  const shown =
    labelDropout === 0
      ? labels
      : select(bernoulli(labelKey, labelDropout, [count]), anyLabel, labels);
  const noisy = addNoise(schedule, images, noise, times);
  return meanSquaredError(denoise(noisy, convert(times, 'float'), shown), noise);
}
