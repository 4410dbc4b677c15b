/** The causal decoder: next-token logits, as in GPT and Llama. */
import {
  type HostArray,
  iota,
  type Key,
  lt,
  mul,
  reshape,
  select,
  split,
  sub,
  type Value,
} from '../../autodiff/index.js';
import { type EmbeddingWeights, embedding, initEmbedding } from '../layers/embedding.js';
import { initLinear, type LinearWeights, linear } from '../layers/linear.js';
import {
  type ResolvedConfig,
  resolveConfig,
  type TransformerConfig,
} from '../transformer/config.js';
import { initStack, type StackWeights, stack } from '../transformer/stack.js';
import { keyOf, type MatrixOf, type RunOptions } from '../weights.js';

export interface CausalDecoderConfig extends TransformerConfig {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Longest sequence, for learned positions. */
  readonly maxLength: number;
  /** Whether the head is the token embedding itself; off by default. */
  readonly tiedHead?: boolean;
  /** Factor of what the head reads; 1 by default (T5 v1.0: 1/√width). */
  readonly headScale?: number;
}

export interface CausalDecoderWeights<V = Value, M = MatrixOf<V>> extends StackWeights<V, M> {
  readonly tokenEmbedding: EmbeddingWeights<V>;
  /** [vocabulary, width]; absent where it is tied to the embedding. */
  readonly head?: LinearWeights<V, M>;
}

export interface DecoderRunOptions extends RunOptions {
  /** Bool [b, T], false at padding. */
  readonly mask?: Value | undefined;
}

/**
 * The mask of padding, bool [b, T], together with the sliding window where the text is longer than it:
 * bool [b, T, T], to be combined with the causal mask.
 */
function windowed(
  { slidingWindow }: ResolvedConfig,
  tokens: Value,
  mask: Value | undefined,
): Value | undefined {
  const [batch, length] = tokens.shape as readonly [number, number];
  if (slidingWindow === undefined || slidingWindow >= length) return mask;
  const shape = [batch, length, length];
  const distance = sub(iota(shape, 1), iota(shape, 2));
  return lt(
    mask === undefined
      ? distance
      : select(reshape(mask, [batch, 1, length]), distance, slidingWindow),
    slidingWindow,
  );
}

/** Logits by the head, or by the token embedding where there is none. */
export const tokenLogits = (
  { headScale = 1 }: Pick<CausalDecoderConfig, 'headScale'>,
  { head, tokenEmbedding }: Pick<CausalDecoderWeights, 'head' | 'tokenEmbedding'>,
  x: Value,
): Value => linear(head ?? tokenEmbedding, headScale === 1 ? x : mul(x, headScale));

/**
 * Token ids int [b, T] → logits [b, T, vocabulary]; position t is computed from tokens 0 … t alone.
 * @throws FlatloraError when ids are not int or the sequence is longer than `maxLength`.
 */
export function causalDecoder(
  config: CausalDecoderConfig,
): (weights: CausalDecoderWeights, tokens: Value, run?: DecoderRunOptions) => Value {
  const resolved = resolveConfig(config);
  return (weights, tokens, run = {}) => {
    const embedded = embedding(weights.tokenEmbedding, tokens);
    const hidden = stack(resolved, weights, embedded, {
      causal: true,
      mask: windowed(resolved, tokens, run.mask),
      key: keyOf(run),
    });
    return tokenLogits(config, weights, hidden);
  };
}

/** Fresh weights: Xavier-uniform matrices, truncated normal embeddings. */
export function initCausalDecoder(
  config: CausalDecoderConfig,
  key: Key,
): CausalDecoderWeights<HostArray> {
  const { vocabulary, maxLength, tiedHead = false, width } = config;
  const [ke, ks, kh] = split(key, 3) as [Key, Key, Key];
  return {
    tokenEmbedding: initEmbedding(ke, vocabulary, width),
    ...initStack(resolveConfig(config), ks, { maxLength }),
    ...(!tiedHead && { head: initLinear(kh, width, vocabulary, { bias: false }) }),
  };
}
