/**
 * The encoder classifier: images as sequences of patches.
 * Dosovitskiy et al., "An image is worth 16x16 words", 2021.
 */
import {
  broadcastTo,
  concat,
  type HostArray,
  type Key,
  mean,
  reshape,
  split,
  type Value,
} from '../../autodiff/index.js';
import { truncatedNormal } from '../initialisers.js';
import { initLinear, type LinearWeights, linear } from '../layers/linear.js';
import { type ImageConfig, patches, patchGrid } from '../layers/patches.js';
import { resolveConfig, type TransformerConfig } from '../transformer/config.js';
import { initStack, type StackWeights, stack } from '../transformer/stack.js';
import { keyOf, type MatrixOf, type RunOptions } from '../weights.js';

export interface VisionTransformerConfig extends TransformerConfig, ImageConfig {
  readonly classes: number;
  /** What the head reads: a learned token in front (the default), or the mean over all patches. */
  readonly pooling?: 'classToken' | 'mean';
}

export interface VisionTransformerWeights<V = Value, M = MatrixOf<V>> extends StackWeights<V, M> {
  /** On flattened patches: [width, channels·patch²]. */
  readonly patchEmbedding: LinearWeights<V, M>;
  /** [width] */
  readonly classToken?: V;
  /** [classes, width] */
  readonly head: LinearWeights<V, M>;
}

/**
 * Images [b, height, width] or [b, height, width, channels] → logits [b, classes].
 * @throws FlatloraError for images of another size, and for sizes that do not fit together.
 */
export function visionTransformer(
  config: VisionTransformerConfig,
): (weights: VisionTransformerWeights, images: Value, run?: RunOptions) => Value {
  const resolved = resolveConfig(config);
  const { width } = resolved;
  return (weights, images, run = {}) => {
    const flat = linear(weights.patchEmbedding, patches(config, images));
    const batch = images.shape[0] as number;
    const { classToken } = weights;
    const key = keyOf(run);
    if (classToken === undefined) {
      return linear(weights.head, mean(stack(resolved, weights, flat, { key }), 1));
    }
    const tokens = concat([broadcastTo(classToken, [batch, 1, width]), flat], 1);
    // The head reads one token, so the last block computes no other.
    const first = stack(resolved, weights, tokens, { key, keep: 1 });
    return linear(weights.head, reshape(first, [batch, width]));
  };
}

/** Fresh weights: Xavier-uniform matrices, truncated normal class token and positions. */
export function initVisionTransformer(
  config: VisionTransformerConfig,
  key: Key,
): VisionTransformerWeights<HostArray> {
  const { pooling = 'classToken', patchSize, channels = 1, classes, width } = config;
  const resolved = resolveConfig(config);
  const [rows, columns] = patchGrid(config);
  const [kp, kt, ks, kh] = split(key, 4) as [Key, Key, Key, Key];
  const extra = pooling === 'classToken' ? 1 : 0;
  return {
    patchEmbedding: initLinear(kp, channels * patchSize ** 2, width),
    ...(extra === 1 && { classToken: truncatedNormal(kt, [width]) }),
    ...initStack(resolved, ks, { maxLength: rows * columns + extra }),
    head: initLinear(kh, width, classes),
  };
}
