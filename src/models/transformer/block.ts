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
  initAttention,
  type MaskOptions,
} from '../layers/attention.js';
import { dropout } from '../layers/dropout.js';
import { initMlp, type MlpWeights, mlp } from '../layers/mlp.js';
import { initNorm, type NormWeights, norm } from '../layers/norm.js';
import { rotary } from '../layers/positions.js';
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
  /** Bool [b, S], true where the memory may be looked at. */
  readonly memoryMask?: Value | undefined;
  /** Key of the dropout masks. */
  readonly key?: MaybeKey;
  /** Only the first so many tokens are wanted: [b, keep, width] is what comes out. */
  readonly keep?: number | undefined;
}

/** Numbers of the keys that a block derives from its own. They never change. */
const KEYS = { attention: 0, crossAttention: 1, mlp: 2, attentionWeights: 3, crossWeights: 4 };

/**
 * x + f(norm x) for each sub-layer f (`pre`: Xiong et al. 2020), or norm(x + f(x)) (`post`, as in
 * the first Transformer and BERT). [b, T, width] → [b, T, width].
 */
export function block(
  config: ResolvedConfig,
  weights: BlockWeights,
  x: Value,
  { memory, memoryMask, key, keep, ...masks }: BlockInputs = {},
): Value {
  const before = config.normPlacement === 'pre';
  const normed = (w: NormWeights, y: Value) => norm(config.norm, w, y, config.normEpsilon);
  const kept = (y: Value) => (keep === undefined ? y : sliceAxis(y, 1, 0, keep));
  const dropped = (use: keyof typeof KEYS, y: Value) =>
    dropout(config.dropout, childKey(key, KEYS[use]), y);
  /** One sub-layer with its norm and its way around; `carried` is what goes around. */
  const residual = (w: NormWeights, y: Value, carried: Value, f: (y: Value) => Value): Value =>
    before ? add(carried, f(normed(w, y))) : normed(w, add(carried, f(y)));

  const rotate =
    config.positions === 'rotary' ? (y: Value) => rotary(y, config.rotaryTheta) : undefined;
  const attended = residual(weights.attentionNorm, x, kept(x), (y) =>
    dropped(
      'attention',
      attention(config, weights.attention, kept(y), {
        ...masks,
        context: y,
        rotate,
        key: childKey(key, KEYS.attentionWeights),
      }),
    ),
  );
  const { crossAttention, crossAttentionNorm } = weights;
  const crossed =
    crossAttention === undefined || crossAttentionNorm === undefined || memory === undefined
      ? attended
      : residual(crossAttentionNorm, attended, attended, (y) =>
          dropped(
            'crossAttention',
            attention(config, crossAttention, y, {
              context: memory,
              mask: memoryMask,
              key: childKey(key, KEYS.crossWeights),
            }),
          ),
        );
  return residual(weights.mlpNorm, crossed, crossed, (y) =>
    dropped('mlp', mlp(weights.mlp, y, config.activation)),
  );
}

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
