/** The model of the vision experiments, a small stand-in for CLIP ViT-B/32, and its losses. */
import { fileURLToPath } from 'node:url';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import {
  argmax,
  convert,
  equal,
  type HostArray,
  key,
  type Loss,
  orThrow,
  type Value,
} from '../../autodiff/index.js';
import { treeOfTensors } from '../../checkpoints/index.js';
import { readSafetensors } from '../../checkpoints/node/index.js';
import {
  initVisionTransformer,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../models/index.js';
import type { PerExample } from '../../training/index.js';

/** 16×16 grey images, 16 patches, three blocks, about 155,000 parameters. */
export const MODEL: VisionTransformerConfig = {
  imageSize: 16,
  patchSize: 4,
  classes: 10,
  width: 64,
  depth: 3,
  heads: 4,
  pooling: 'mean',
};

/** The matrices that adapters stand on: all linear layers of the blocks. The head stays frozen. */
export const TARGET_MODULES = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];

/** Images [b, 16, 16] from 0 to 1 and labels int[b]. */
export interface Batch<A = Value> {
  readonly images: A;
  readonly labels: A;
}

export type Images = Batch<HostArray>;
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

/** The committed weights: trained by `pretrain.ts` on MNIST's 60,000 training images. */
export const WEIGHTS_FILE = fileURLToPath(
  new URL('../../../weights/vit-mnist.safetensors', import.meta.url),
);

export const loadBase = async (file = WEIGHTS_FILE): Promise<HostWeights> =>
  orThrow(
    await pipe(
      readSafetensors(file),
      TE.flatMap(({ tensors }) =>
        TE.fromEither(treeOfTensors(initVisionTransformer(MODEL, key(0)), tensors)),
      ),
    )(),
  );
