/** The model of the main job, and its losses. */
import {
  argmax,
  convert,
  equal,
  type HostArray,
  type Loss,
  type Value,
} from '../autodiff/index.js';
import {
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../models/index.js';
import type { PerExample } from '../training/index.js';

/** A small ViT on 16×16 grey images: 16 patches, three blocks, about 90,000 parameters. */
export const MODEL: VisionTransformerConfig = {
  imageSize: 16,
  patchSize: 4,
  classes: 10,
  width: 48,
  depth: 3,
  heads: 4,
  pooling: 'mean',
};

/** The matrices that adapters stand on: all linear layers of the blocks. */
export const TARGET_MODULES = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];

/** Images [b, 16, 16] from 0 to 1 and labels int[b]. */
export interface Batch<A = Value> {
  readonly images: A;
  readonly labels: A;
}

export type Weights = VisionTransformerWeights;
export type HostWeights = VisionTransformerWeights<HostArray>;

const model = visionTransformer(MODEL);

/** Mean cross-entropy. */
export const taskLoss: Loss<Weights, Batch> = (weights, { images, labels }) =>
  softmaxCrossEntropy(model(weights, images), labels);

/** Whether each image is classified right, and its loss. */
export const scores: PerExample<Weights, Batch> = (weights, { images, labels }) => {
  const logits = model(weights, images);
  return {
    accuracy: convert(equal(argmax(logits), labels), 'float'),
    loss: softmaxCrossEntropy(logits, labels, { reduction: 'none' }),
  };
};
