/** The encoder–decoder of Vaswani et al. 2017: one sequence read, another written. */
import { type HostArray, type Key, split, type Value } from '../../autodiff/index.js';
import { type EmbeddingWeights, embedding, initEmbedding } from '../layers/embedding.js';
import { initLinear, type LinearWeights } from '../layers/linear.js';
import { resolveConfig } from '../transformer/config.js';
import { initStack, type StackWeights, stack } from '../transformer/stack.js';
import { childKey, keyOf, type MatrixOf, type RunOptions } from '../weights.js';
import { type CausalDecoderConfig, tokenLogits } from './causalDecoder.js';

export interface EncoderDecoderConfig extends CausalDecoderConfig {
  /** Blocks of the encoder; `depth`, that of the decoder, by default. */
  readonly encoderDepth?: number;
}

export interface EncoderDecoderWeights<V = Value, M = MatrixOf<V>> {
  /** Shared by both sides. */
  readonly tokenEmbedding: EmbeddingWeights<V>;
  readonly encoder: StackWeights<V, M>;
  readonly decoder: StackWeights<V, M>;
  /** [vocabulary, width]; absent where it is tied to the embedding. */
  readonly head?: LinearWeights<V, M>;
}

export interface EncoderDecoderInputs {
  /** Token ids that are read, int [b, S]. */
  readonly source: Value;
  /** Token ids written so far, int [b, T]. */
  readonly target: Value;
  /** Bool [b, S], false at padding. */
  readonly sourceMask?: Value | undefined;
  /** Bool [b, T], false at padding. */
  readonly targetMask?: Value | undefined;
}

/** The configurations of both sides, with their defaults. */
export const sides = (config: EncoderDecoderConfig) => {
  const decoder = resolveConfig(config);
  return { decoder, encoder: { ...decoder, depth: config.encoderDepth ?? config.depth } };
};

/** The encoder alone: source tokens [b, S] → memory [b, S, width]. */
export const encode =
  (config: EncoderDecoderConfig) =>
  (
    { tokenEmbedding, encoder }: EncoderDecoderWeights,
    source: Value,
    { mask, ...run }: RunOptions & { readonly mask?: Value | undefined } = {},
  ): Value =>
    stack(sides(config).encoder, encoder, embedding(tokenEmbedding, source), {
      mask,
      key: keyOf(run),
    });

/**
 * Source and target tokens → logits of the next target token [b, T, vocabulary].
 * @throws FlatloraError when ids are not int or a sequence is longer than `maxLength`.
 */
export function encoderDecoder(
  config: EncoderDecoderConfig,
): (weights: EncoderDecoderWeights, inputs: EncoderDecoderInputs, run?: RunOptions) => Value {
  const { decoder } = sides(config);
  const encoder = encode(config);
  return (weights, { source, target, sourceMask, targetMask }, run = {}) => {
    const key = keyOf(run);
    const memory = encoder(weights, source, { mask: sourceMask, key: childKey(key, 0) });
    const written = stack(decoder, weights.decoder, embedding(weights.tokenEmbedding, target), {
      causal: true,
      mask: targetMask,
      memory,
      memoryMask: sourceMask,
      key: childKey(key, 1),
    });
    return tokenLogits(config, weights, written);
  };
}

/** Fresh weights: Xavier-uniform matrices, truncated normal embeddings. */
export function initEncoderDecoder(
  config: EncoderDecoderConfig,
  key: Key,
): EncoderDecoderWeights<HostArray> {
  const { vocabulary, maxLength, tiedHead = false, width } = config;
  const { encoder, decoder } = sides(config);
  const [kt, ke, kd, kh] = split(key, 4) as [Key, Key, Key, Key];
  return {
    tokenEmbedding: initEmbedding(kt, vocabulary, width),
    encoder: initStack(encoder, ke, { maxLength }),
    decoder: initStack(decoder, kd, { maxLength, crossAttention: true }),
    ...(!tiedHead && { head: initLinear(kh, width, vocabulary, { bias: false }) }),
  };
}
