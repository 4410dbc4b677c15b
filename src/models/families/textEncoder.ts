/**
 * The encoder that reads a text and classifies it. Devlin et al., "BERT", 2019; and RoBERTa (Liu et al.,
 * 2019), whose classification head is the same network under other names.
 */
import {
  add,
  convert,
  cumsum,
  equal,
  type HostArray,
  type Key,
  mul,
  reshape,
  select,
  sliceAxis,
  split,
  tanh,
  type Value,
} from '../../autodiff/index.js';
import { type EmbeddingWeights, embedding, initEmbedding } from '../layers/embedding.js';
import { initLinear, type LinearWeights, linear } from '../layers/linear.js';
import { initNorm } from '../layers/norm.js';
import { resolveConfig, type TransformerConfig } from '../transformer/config.js';
import { initStack, type StackWeights, stack } from '../transformer/stack.js';
import { keyOf, type MatrixOf, type RunOptions } from '../weights.js';

export interface TextEncoderConfig extends TransformerConfig {
  /** Number of token ids. */
  readonly vocabulary: number;
  /** Rows of the table of positions. */
  readonly maxLength: number;
  /** Kinds of segments, such as first and second sentence; 2 by default. */
  readonly tokenTypes?: number;
  readonly classes: number;
  /**
   * The id of padding, where positions are counted over the other tokens alone and begin behind this
   * number (RoBERTa); by default position t is row t.
   */
  readonly countedFrom?: number;
}

export interface TextEncoderWeights<V = Value, M = MatrixOf<V>> extends StackWeights<V, M> {
  readonly tokenEmbedding: EmbeddingWeights<V>;
  /** [tokenTypes, width] */
  readonly typeEmbedding: EmbeddingWeights<V>;
  /** On the first token, before tanh: [width, width]. */
  readonly pooler: LinearWeights<V, M>;
  /** [classes, width] */
  readonly head: LinearWeights<V, M>;
}

export interface TextEncoderInputs {
  /** int [b, T] */
  readonly tokens: Value;
  /** Bool [b, T], false at padding. */
  readonly mask?: Value | undefined;
  /** int [b, T]: the segment of each token; all 0 by default. */
  readonly types?: Value | undefined;
}

/** Where tokens stand when only those that are no padding count: 1, 2, … beyond the padding's own id. */
function countedPositions(tokens: Value, padding: number, below: number) {
  const counts = select(equal(tokens, padding), 0, 1);
  const ordinals = convert(mul(cumsum(counts, 1), counts), 'int');
  return { at: add(ordinals, padding), below };
}

/**
 * Texts → logits [b, classes], by the first token.
 * @throws FlatloraError when ids are not int or a text is longer than `maxLength`.
 */
export function textEncoder(
  config: TextEncoderConfig,
): (weights: TextEncoderWeights, inputs: TextEncoderInputs, run?: RunOptions) => Value {
  const resolved = resolveConfig(config);
  const { width } = resolved;
  const { countedFrom, maxLength } = config;
  return (weights, { tokens, mask, types }, run = {}) => {
    const segment =
      types === undefined
        ? reshape(sliceAxis(weights.typeEmbedding.weight, 0, 0, 1), [1, 1, width])
        : embedding(weights.typeEmbedding, types);
    const embedded = add(embedding(weights.tokenEmbedding, tokens), segment);
    const first = stack(resolved, weights, embedded, {
      mask,
      key: keyOf(run),
      keep: 1,
      ...(countedFrom !== undefined && {
        positions: countedPositions(tokens, countedFrom, maxLength),
      }),
    });
    const pooled = tanh(linear(weights.pooler, reshape(first, [tokens.shape[0] as number, width])));
    return linear(weights.head, pooled);
  };
}

/** Fresh weights: Xavier-uniform matrices, truncated normal embeddings. */
export function initTextEncoder(
  config: TextEncoderConfig,
  key: Key,
): TextEncoderWeights<HostArray> {
  const { vocabulary, maxLength, tokenTypes = 2, classes, width } = config;
  const resolved = resolveConfig(config);
  const [kt, ky, ks, kp, kh] = split(key, 5) as [Key, Key, Key, Key, Key];
  return {
    tokenEmbedding: initEmbedding(kt, vocabulary, width),
    typeEmbedding: initEmbedding(ky, tokenTypes, width),
    ...initStack(resolved, ks, { maxLength }),
    embeddingNorm: initNorm(resolved.norm, width),
    pooler: initLinear(kp, width, width),
    head: initLinear(kh, width, classes),
  };
}
