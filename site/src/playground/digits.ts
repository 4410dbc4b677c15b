/** Digits: a vision transformer that knows an upright hand learns a slanted one from a few images. */
import * as E from 'fp-ts/lib/Either.js';
import { foldIn, key, orThrow, range } from '../../../src/autodiff/index.js';
import { decodeSafetensors, treeOfTensors } from '../../../src/checkpoints/index.js';
import {
  drawnDigits,
  type ImageDataset,
  parseIdxPair,
  resizeBilinear,
  splitByClass,
  takeRows,
} from '../../../src/data/portable.js';
import { ARCHITECTURES } from '../../../src/huggingface/index.js';
import { MODEL, scores, TARGET_MODULES, taskLoss } from '../../../src/main/model.js';
import { initVisionTransformer, visionTransformer } from '../../../src/models/index.js';
import type { Task, TaskOptions } from './task.js';

/** Images that tests are made on; as many of each class. */
const TEST_IMAGES = 300;
const DRAWN_KEY = key(31);

/** Weights of the playground's ViT from a file: the committed ones, or a reader's of the same shape. */
export const readVitWeights = (file: Uint8Array): unknown =>
  orThrow(
    treeOfTensors(initVisionTransformer(MODEL, key(0)), orThrow(decodeSafetensors(file)).tensors),
  );

/** A reader's own digits: an IDX file of images and one of labels, unpacked. */
export function digitsOfFiles(images: Uint8Array, labels: Uint8Array): ImageDataset {
  const classes = range(10).map(String);
  const parsed = parseIdxPair(images, labels, { name: 'your images', classes });
  if (E.isLeft(parsed)) throw new Error(parsed.left.message);
  return parsed.right;
}

const sized = ({ images, labels }: ImageDataset) => ({
  images:
    images.shape[1] === 16 && images.shape[2] === 16 ? images : resizeBilinear(images, 16, 16),
  labels,
});

/**
 * @param weights of `readVitWeights`.
 * @param own a reader's images; drawn ones otherwise.
 * @throws Error, in a sentence, where a class has too few images.
 */
export function digitsTask(
  weights: unknown,
  { examples, key: own }: TaskOptions,
  images?: ImageDataset,
): Task {
  const all =
    images ?? drawnDigits({ hand: 'slanted', count: 10 * examples + TEST_IMAGES, key: DRAWN_KEY });
  const split = splitByClass(all, examples, foldIn(own, 1));
  if (E.isLeft(split)) throw new Error(split.left.message);
  const { chosen, rest } = split.right;
  const count = Math.min(TEST_IMAGES, rest.labels.shape[0] as number);
  if (count < 10) throw new Error(`${all.name}: too few images are left to test on`);
  const vit = ARCHITECTURES.find(({ name }) => name === 'ViTForImageClassification');
  return {
    base: weights,
    loss: taskLoss as Task['loss'],
    perExample: scores as Task['perExample'],
    train: sized(chosen),
    test: sized(takeRows(rest, range(count))),
    batchSize: 32,
    targetModules: TARGET_MODULES,
    architecture: vit as Task['architecture'],
    config: { ...MODEL, channels: 1, mlpWidth: 4 * MODEL.width, queryKeyValueBias: true },
    probeSize: 32,
    surfacePoints: 15,
    ask: { kind: 'image', logits: visionTransformer(MODEL) as never },
  };
}
