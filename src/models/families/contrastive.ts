/**
 * Images and texts in one space: a vision transformer and a causal text transformer, each projected to
 * the same width. Radford et al., "Learning transferable visual models from natural language
 * supervision" (CLIP), 2021.
 */
import {
  add,
  argmax,
  convert,
  div,
  equal,
  exp,
  type HostArray,
  iota,
  type Key,
  matmulTransposed,
  mul,
  reduceSum,
  reshape,
  split,
  sqrt,
  square,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import { filled } from '../initialisers.js';
import { type EmbeddingWeights, embedding, initEmbedding } from '../layers/embedding.js';
import { initLinear, type LinearWeights, linear } from '../layers/linear.js';
import { initNorm } from '../layers/norm.js';
import { softmaxCrossEntropy } from '../losses.js';
import { resolveConfig, type TransformerConfig } from '../transformer/config.js';
import { initStack, type StackWeights, stack } from '../transformer/stack.js';
import { childKey, keyOf, type MatrixOf, type RunOptions } from '../weights.js';
import {
  initVisionTransformer,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from './visionTransformer.js';

export interface TextTowerConfig extends TransformerConfig {
  readonly vocabulary: number;
  readonly maxLength: number;
  /** Numbers of an embedding. */
  readonly projection: number;
  /**
   * The token whose place stands for the whole text: the first of this id, or `'highest'` for the first
   * of the highest id in the text (checkpoints from before the id was right in their configuration).
   */
  readonly end: number | 'highest';
}

export interface TextTowerWeights<V = Value, M = MatrixOf<V>> extends StackWeights<V, M> {
  readonly tokenEmbedding: EmbeddingWeights<V>;
  /** [projection, width] */
  readonly projection: LinearWeights<V, M>;
}

/** Token ids int [b, T] (and their mask, bool [b, T]) → embeddings [b, projection], not normalised. */
export function textTower(
  config: TextTowerConfig,
): (
  weights: TextTowerWeights,
  tokens: Value,
  run?: RunOptions & { readonly mask?: Value | undefined },
) => Value {
  const resolved = resolveConfig(config);
  return (weights, tokens, run = {}) => {
    const [batch, length] = tokens.shape as readonly [number, number];
    const hidden = stack(resolved, weights, embedding(weights.tokenEmbedding, tokens), {
      causal: true,
      mask: run.mask,
      key: keyOf(run),
    });
    const { end } = config;
    const sought = end === 'highest' ? tokens : convert(equal(tokens, end), 'int');
    const at = reshape(argmax(sought, 1), [batch, 1]);
    const here = convert(equal(iota([batch, length], 1), at), 'float');
    const pooled = reduceSum(mul(hidden, reshape(here, [batch, length, 1])), 1);
    return linear(weights.projection, pooled);
  };
}

export interface ContrastiveConfig {
  /** Its `classes` are the numbers of an embedding. */
  readonly vision: VisionTransformerConfig;
  readonly text: TextTowerConfig;
}

export interface ContrastiveWeights<V = Value, M = MatrixOf<V>> {
  readonly vision: VisionTransformerWeights<V, M>;
  readonly text: TextTowerWeights<V, M>;
  /** The logarithm of the factor of similarities, []. */
  readonly logitScale: V;
}

/** Each row by its length. */
export const unitRows = (x: Value): Value =>
  div(x, reshape(sqrt(reduceSum(square(x), -1)), [x.shape[0] as number, 1]));

/** Cosine similarities of images and texts, [images, texts], times exp(logitScale). */
export const similarities = (images: Value, texts: Value, logitScale: Value): Value =>
  mul(matmulTransposed(unitRows(images), unitRows(texts)), exp(logitScale));

export interface ContrastiveInputs {
  /** [b, height, width, channels] */
  readonly images: Value;
  /** int [n, T] */
  readonly tokens: Value;
  /** bool [n, T], false at padding */
  readonly mask?: Value | undefined;
}

/** Images and texts → logits [images, texts]. */
export function contrastive(
  config: ContrastiveConfig,
): (weights: ContrastiveWeights, inputs: ContrastiveInputs, run?: RunOptions) => Value {
  const [see, read] = [visionTransformer(config.vision), textTower(config.text)];
  return (weights, { images, tokens, mask }, run = {}) => {
    const key = keyOf(run);
    return similarities(
      see(weights.vision, images, { key: childKey(key, 0) }),
      read(weights.text, tokens, { mask, key: childKey(key, 1) }),
      weights.logitScale,
    );
  };
}

/** The mean of both directions' cross-entropies: image i belongs to text i. */
export function contrastiveLoss(logits: Value): Value {
  const labels = iota([logits.shape[0] as number], 0);
  return mul(
    add(
      softmaxCrossEntropy(logits, labels),
      softmaxCrossEntropy(transpose(logits, [1, 0]), labels),
    ),
    0.5,
  );
}

/** Fresh weights; the factor of similarities starts at 1/0.07, as in the paper. */
export function initContrastive(
  { vision, text }: ContrastiveConfig,
  key: Key,
): ContrastiveWeights<HostArray> {
  const [kv, kt, ks, kp] = split(key, 4) as [Key, Key, Key, Key];
  const resolved = resolveConfig(vision);
  const { head, patchEmbedding, ...tower } = initVisionTransformer(vision, kv);
  return {
    vision: {
      ...tower,
      patchEmbedding: { weight: patchEmbedding.weight },
      embeddingNorm: initNorm(resolved.norm, vision.width),
      head: { weight: head.weight },
    },
    text: {
      tokenEmbedding: initEmbedding(kt, text.vocabulary, text.width),
      ...initStack(resolveConfig(text), ks, { maxLength: text.maxLength }),
      projection: initLinear(kp, text.width, text.projection, { bias: false }),
    },
    logitScale: filled([], Math.log(1 / 0.07)),
  };
}
