/** Blocks one after another, with positions before them and a norm behind. */
import {
  checkpoint,
  FlatloraError,
  foldIn,
  type HostArray,
  type Key,
  range,
  type Value,
} from '../../autodiff/index.js';
import { dropout } from '../layers/dropout.js';
import { type EmbeddingWeights, initEmbedding } from '../layers/embedding.js';
import { initNorm, type NormWeights, norm } from '../layers/norm.js';
import { type GivenPositions, learnedPositions, sinusoidalPositions } from '../layers/positions.js';
import { relativeBias } from '../layers/relativeBias.js';
import { childKey, type MatrixOf } from '../weights.js';
import { type BlockInputs, type BlockWeights, block, initBlock } from './block.js';
import type { ResolvedConfig } from './config.js';

export interface StackWeights<V = Value, M = MatrixOf<V>> {
  /** [maxLength, width], where positions are learned. */
  readonly positionEmbedding?: EmbeddingWeights<V>;
  /** [relativeBuckets, heads], where positions are relative; shared by all blocks. */
  readonly relativeBias?: EmbeddingWeights<V>;
  /** On the tokens with their positions, where there is one (BERT, CLIP's images). */
  readonly embeddingNorm?: NormWeights<V>;
  readonly blocks: readonly BlockWeights<V, M>[];
  /** Behind the last block, where norms stand before the sub-layers. */
  readonly norm?: NormWeights<V>;
}

/** Tokens with their positions added, where positions are added at all; `given` as in `BlockInputs`. */
export function withPositions(
  { positions }: ResolvedConfig,
  weights: StackWeights,
  x: Value,
  given?: GivenPositions,
): Value {
  switch (positions) {
    case 'learned':
      if (weights.positionEmbedding === undefined) {
        throw new FlatloraError(
          'tree',
          'transformer: the weights have no positionEmbedding, expected one for learned positions',
        );
      }
      return learnedPositions(weights.positionEmbedding, x, given);
    case 'sinusoidal':
      return sinusoidalPositions(x, given);
    case 'rotary':
    case 'relative':
    case 'none':
      return x;
  }
}

/** Tokens as the first block sees them: with positions, and normalised where there is such a norm. */
export function blockInputs(
  config: ResolvedConfig,
  weights: StackWeights,
  x: Value,
  given?: GivenPositions,
): Value {
  const placed = withPositions(config, weights, x, given);
  const { embeddingNorm } = weights;
  return embeddingNorm === undefined
    ? placed
    : norm(config.norm, embeddingNorm, placed, config.normEpsilon);
}

/** The bias of relative positions [heads, T, T], where there are such. */
function positionBias(
  { positions, relativeMaxDistance: maxDistance }: ResolvedConfig,
  { relativeBias: table }: StackWeights,
  length: number,
  causal: boolean,
): Value | undefined {
  if (positions !== 'relative') return undefined;
  if (table === undefined) {
    throw new FlatloraError(
      'tree',
      'transformer: the weights have no relativeBias, expected one for relative positions',
    );
  }
  return relativeBias(table.weight, length, length, { maxDistance, bidirectional: !causal });
}

/** Embedded tokens [b, T, width] through all blocks; `keep` shortens the last block's work. */
export function stack(
  config: ResolvedConfig,
  weights: StackWeights,
  embedded: Value,
  { keep, key, ...inputs }: BlockInputs = {},
): Value {
  const { blocks } = weights;
  if (blocks.length !== config.depth) {
    throw new FlatloraError(
      'tree',
      `transformer: the weights have ${blocks.length} blocks, expected depth ${config.depth}`,
    );
  }
  const start = dropout(
    config.dropout,
    childKey(key, blocks.length),
    blockInputs(config, weights, embedded, inputs.positions),
  );
  const length = embedded.shape[1] as number;
  const bias = inputs.bias ?? positionBias(config, weights, length, inputs.causal ?? false);
  const end = blocks.reduce((x, blockWeights, i) => {
    const apply = (w: BlockWeights, y: Value) =>
      block(config, w, y, {
        ...inputs,
        bias,
        key: childKey(key, i),
        keep: i === blocks.length - 1 ? keep : undefined,
      });
    return (config.checkpoint ? checkpoint(apply) : apply)(blockWeights, x);
  }, start);
  return lastNorm(config, weights, end);
}

/** The norm behind the last block, where there is one. */
export const lastNorm = (config: ResolvedConfig, weights: StackWeights, x: Value): Value =>
  weights.norm === undefined ? x : norm(config.norm, weights.norm, x, config.normEpsilon);

export interface StackOptions {
  /** Rows of the table of learned positions. */
  readonly maxLength: number;
  readonly crossAttention?: boolean;
}

export function initStack(
  config: ResolvedConfig,
  key: Key,
  { maxLength, crossAttention = false }: StackOptions,
): StackWeights<HostArray> {
  const { width, depth, biases: bias } = config;
  return {
    ...(config.positions === 'learned' && {
      positionEmbedding: initEmbedding(foldIn(key, depth), maxLength, width),
    }),
    ...(config.positions === 'relative' && {
      relativeBias: initEmbedding(foldIn(key, depth), config.relativeBuckets, config.heads),
    }),
    blocks: range(depth).map((i) => initBlock(config, foldIn(key, i), { crossAttention })),
    ...(config.normPlacement === 'pre' && { norm: initNorm(config.norm, width, { bias }) }),
  };
}
