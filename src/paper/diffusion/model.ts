/** The models of Figure 3: a small diffusion transformer, and the classifier that judges its images. */
import { argmax, convert, equal, type HostArray, mean, type Value } from '../../autodiff/index.js';
import {
  cosineDiffusion,
  type Denoiser,
  type DiffusionTransformerConfig,
  type DiffusionTransformerWeights,
  diffusionTransformer,
  linear,
  patches,
  resolveConfig,
  stack,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
} from '../../models/index.js';

/** Height and width of all images here. */
export const SIDE = 14;
export const CLASSES = 10;

/** 49 tokens of 2×2 pixels; about 330,000 parameters. */
export const DENOISER: DiffusionTransformerConfig = {
  imageSize: SIDE,
  patchSize: 2,
  width: 64,
  depth: 4,
  heads: 4,
  classes: CLASSES,
  timeFrequencies: 64,
};

export const SCHEDULE = cosineDiffusion();

/** The matrices that adapters stand on: all linear layers of attention and MLPs. */
export const TARGET_MODULES = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];

export type Weights = DiffusionTransformerWeights;
export type HostWeights = DiffusionTransformerWeights<HostArray>;

/** Images float[b, 14, 14] from −1 to 1 and labels int[b]. */
export interface Batch<A = Value> {
  readonly images: A;
  readonly labels: A;
}

const model = diffusionTransformer(DENOISER);

export const denoiser =
  (weights: Weights): Denoiser =>
  (...inputs) =>
    model(weights, ...inputs);

/** The judge sees plain digits and digits in the new style, and reads both. */
export const CLASSIFIER: VisionTransformerConfig = {
  imageSize: SIDE,
  patchSize: 2,
  width: 48,
  depth: 3,
  heads: 4,
  classes: CLASSES,
  pooling: 'mean',
};

export type ClassifierWeights = VisionTransformerWeights;
export type HostClassifier = VisionTransformerWeights<HostArray>;

const resolved = resolveConfig(CLASSIFIER);

/** What the head reads, [b, 48], and the logits [b, 10]. */
export function judged(weights: ClassifierWeights, images: Value) {
  const tokens = linear(weights.patchEmbedding, patches(CLASSIFIER, images));
  const features = mean(stack(resolved, weights, tokens), 1);
  return { features, logits: linear(weights.head, features) };
}

/** Whether the judge reads the digit that was asked for: float[b] of 0 and 1. */
export const agreement = (logits: Value, labels: Value): Value =>
  convert(equal(argmax(logits), labels), 'float');
