/** The transformer block of every family: self-attention, cross-attention if wanted, MLP. */
import {
  add,
  type HostArray,
  type Key,
  sliceAxis,
  split,
  type Value,
} from '../../autodiff/index.js';
import {
  type AttentionWeights,
  attention,
  attentionWithKeyValues,
  initAttention,
  type KeyValues,
  type MaskOptions,
} from '../layers/attention.js';
import { dropout } from '../layers/dropout.js';
import { initMlp, type MlpWeights, mlp } from '../layers/mlp.js';
import { initNorm, type NormWeights, norm } from '../layers/norm.js';
import { type GivenPositions, rotary } from '../layers/positions.js';
import { childKey, type MatrixOf, type MaybeKey } from '../weights.js';
import type { ResolvedConfig } from './config.js';

export interface BlockWeights<V = Value, M = MatrixOf<V>> {
  readonly attentionNorm: NormWeights<V>;
  readonly attention: AttentionWeights<V, M>;
  readonly crossAttentionNorm?: NormWeights<V>;
  readonly crossAttention?: AttentionWeights<V, M>;
  readonly mlpNorm: NormWeights<V>;
  readonly mlp: MlpWeights<V, M>;
}

export interface BlockInputs extends MaskOptions {
  /** What cross-attention looks at, [b, S, width]. */
  readonly memory?: Value | undefined;
  /** Its keys and values where they are known already: memory that is looked at again and again. */
  readonly memoryKeyValues?: KeyValues | undefined;
  /** Bool [b, S], true where the memory may be looked at. */
  readonly memoryMask?: Value | undefined;
  /** Key of the dropout masks. */
  readonly key?: MaybeKey;
  /** Only the first so many tokens are wanted: [b, keep, width] is what comes out. */
  readonly keep?: number | undefined;
  /** Where the tokens stand; at 0 … T − 1 by default. */
  readonly positions?: GivenPositions | undefined;
  /** See `AttentionInputs`; of self-attention. */
  readonly remember?: ((fresh: KeyValues) => KeyValues) | undefined;
}

/** Numbers of the keys that a block derives from its own. They never change. */
const KEYS = { attention: 0, crossAttention: 1, mlp: 2, attentionWeights: 3, crossWeights: 4 };

/**
 * x + f(norm x) for each sub-layer f (`pre`: Xiong et al. 2020), or norm(x + f(x)) (`post`, as in
 * the first Transformer and BERT). [b, T, width] → [b, T, width]; and the keys and values that
 * self-attention looked at.
 */
export function blockWithKeyValues(
  config: ResolvedConfig,
  weights: BlockWeights,
  x: Value,
  {
    memory,
    memoryKeyValues: known,
    memoryMask,
    key,
    keep,
    positions,
    remember,
    ...masks
  }: BlockInputs = {},
): { readonly out: Value; readonly keyValues: KeyValues } {
  const before = config.normPlacement === 'pre';
  const normed = (w: NormWeights, y: Value) => norm(config.norm, w, y, config.normEpsilon);
  const kept = (y: Value) => (keep === undefined ? y : sliceAxis(y, 1, 0, keep));
  const dropped = (use: keyof typeof KEYS, y: Value) =>
    dropout(config.dropout, childKey(key, KEYS[use]), y);
  /** What a sub-layer sees of its input, and what becomes of its result and what goes around it. */
  const seen = (w: NormWeights, y: Value) => (before ? normed(w, y) : y);
  const joined = (w: NormWeights, carried: Value, change: Value) =>
    before ? add(carried, change) : normed(w, add(carried, change));

  const rotate =
    config.positions === 'rotary'
      ? (y: Value) => rotary(y, config.rotaryTheta, positions, config.rotaryScaling)
      : undefined;
  const context = seen(weights.attentionNorm, x);
  const { out, keyValues } = attentionWithKeyValues(config, weights.attention, kept(context), {
    ...masks,
    context,
    rotate,
    remember,
    key: childKey(key, KEYS.attentionWeights),
  });
  const attended = joined(weights.attentionNorm, kept(x), dropped('attention', out));

  const { crossAttention, crossAttentionNorm } = weights;
  const crossed =
    crossAttention === undefined ||
    crossAttentionNorm === undefined ||
    (memory === undefined && known === undefined)
      ? attended
      : joined(
          crossAttentionNorm,
          attended,
          dropped(
            'crossAttention',
            attention(config, crossAttention, seen(crossAttentionNorm, attended), {
              ...(memory !== undefined && { context: memory }),
              ...(known !== undefined && { remember: () => known }),
              mask: memoryMask,
              key: childKey(key, KEYS.crossWeights),
            }),
          ),
        );
  const transformed = mlp(weights.mlp, seen(weights.mlpNorm, crossed), config.activation);
  return { out: joined(weights.mlpNorm, crossed, dropped('mlp', transformed)), keyValues };
}

/** `blockWithKeyValues`, of which only the result is wanted. */
export const block = (...args: Parameters<typeof blockWithKeyValues>): Value =>
  blockWithKeyValues(...args).out;

export function initBlock(
  config: ResolvedConfig,
  key: Key,
  { crossAttention = false }: { readonly crossAttention?: boolean } = {},
): BlockWeights<HostArray> {
  const [ka, kc, km] = split(key, 3) as [Key, Key, Key];
  const freshNorm = () => initNorm(config.norm, config.width, { bias: config.biases });
  return {
    attentionNorm: freshNorm(),
    attention: initAttention(config, ka),
    ...(crossAttention && {
      crossAttentionNorm: freshNorm(),
      crossAttention: initAttention(config, kc),
    }),
    mlpNorm: freshNorm(),
    mlp: initMlp(config, km),
  };
}
