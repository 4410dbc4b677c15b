/**
 * The denoiser of a diffusion model as a transformer (DiT): given a noisy image, how noisy it is and
 * what it is to show, it predicts the noise.
 * Peebles & Xie, "Scalable diffusion models with transformers", 2023.
 */
import {
  add,
  constant,
  FlatloraError,
  flatData,
  floats,
  foldIn,
  type HostArray,
  type Key,
  range,
  showAval,
  split,
  type Value,
} from '../../autodiff/index.js';
import { filled } from '../initialisers.js';
import { type AttentionWeights, attention, initAttention } from '../layers/attention.js';
import { type EmbeddingWeights, embedding, initEmbedding } from '../layers/embedding.js';
import { initLinear, type LinearWeights, linear } from '../layers/linear.js';
import { initMlp, type MlpWeights, mlp } from '../layers/mlp.js';
import { gated, initModulation, modulatedNorm, modulations } from '../layers/modulation.js';
import { fromPatches, type ImageConfig, patches, patchGrid } from '../layers/patches.js';
import { sinusoidalTable } from '../layers/positions.js';
import {
  initTimeEmbedding,
  type TimeEmbeddingWeights,
  timeEmbedding,
} from '../layers/timeEmbedding.js';
import {
  type ResolvedConfig,
  resolveConfig,
  type TransformerConfig,
} from '../transformer/config.js';
import type { MatrixOf } from '../weights.js';

export interface DiffusionTransformerConfig
  extends ImageConfig,
    Pick<TransformerConfig, 'width' | 'depth' | 'heads' | 'mlpWidth'> {
  /** Labels are 0 … classes − 1; the label `classes` means "any" (for classifier-free guidance). */
  readonly classes: number;
  /** Cosines and sines of the time, an even number; 256 by default, as in the paper's code. */
  readonly timeFrequencies?: number;
}

export interface DiffusionBlockWeights<V = Value, M = MatrixOf<V>> {
  /** Shift, scale and gate of the attention, then of the MLP: [6·width, width]. */
  readonly modulation: LinearWeights<V, M>;
  readonly attention: AttentionWeights<V, M>;
  readonly mlp: MlpWeights<V, M>;
}

export interface DiffusionTransformerWeights<V = Value, M = MatrixOf<V>> {
  /** [width, channels·patch²] */
  readonly patchEmbedding: LinearWeights<V, M>;
  readonly timeEmbedding: TimeEmbeddingWeights<V, M>;
  /** [classes + 1, width]; the last row is "any". */
  readonly classEmbedding: EmbeddingWeights<V>;
  readonly blocks: readonly DiffusionBlockWeights<V, M>[];
  readonly final: {
    /** Shift and scale: [2·width, width]. */
    readonly modulation: LinearWeights<V, M>;
    /** [channels·patch², width] */
    readonly projection: LinearWeights<V, M>;
  };
}

/** What is denoised: times float[b] count from 1 (little noise), labels int[b]. */
export type Denoiser = (images: Value, times: Value, labels: Value) => Value;

const resolved = ({ width, depth, heads, mlpWidth = 4 * width }: DiffusionTransformerConfig) =>
  resolveConfig({ width, depth, heads, mlpWidth, activation: 'geluTanh', positions: 'none' });

/**
 * Fixed positions [rows·columns, width] of a grid: the first half of a token's numbers tells its
 * column, the second its row, each as sines and then cosines (as in the paper's code).
 */
export function gridPositions(
  [rows, columns]: readonly [number, number],
  width: number,
): HostArray {
  if (width % 4 !== 0) {
    throw new FlatloraError(
      'argument',
      `gridPositions: width is ${width}, expected a multiple of 4`,
    );
  }
  const half = width / 2;
  // The table has sines and cosines in turns; here all sines come first.
  const table = flatData(sinusoidalTable(Math.max(rows, columns), half));
  const inOrder = (position: number) =>
    range(half).map((i) => {
      const [place, odd] = i < half / 2 ? [i, 0] : [i - half / 2, 1];
      return table[position * half + 2 * place + odd] as number;
    });
  return floats(
    range(rows).flatMap((y) => range(columns).flatMap((x) => [...inOrder(x), ...inOrder(y)])),
    [rows * columns, width],
  );
}

/** One block: attention and MLP, their norms and what they add decided by the condition [b, width]. */
function diffusionBlock(
  config: ResolvedConfig,
  { modulation, attention: attentionWeights, mlp: mlpWeights }: DiffusionBlockWeights,
  tokens: Value,
  condition: Value,
): Value {
  const [shift1, scale1, gate1, shift2, scale2, gate2] = modulations(
    modulation,
    condition,
    6,
  ) as readonly [Value, Value, Value, Value, Value, Value];
  const attended = gated(tokens, gate1, (x) =>
    attention(config, attentionWeights, modulatedNorm(x, shift1, scale1)),
  );
  return gated(attended, gate2, (x) =>
    mlp(mlpWeights, modulatedNorm(x, shift2, scale2), config.activation),
  );
}

/**
 * Noisy images [b, height, width] (or [b, height, width, channels]), times float[b] and labels int[b]
 * → the predicted noise, in the images' shape.
 * @throws FlatloraError for images of another size, labels that are not int, sizes that do not fit.
 */
export function diffusionTransformer(
  config: DiffusionTransformerConfig,
): (weights: DiffusionTransformerWeights, ...inputs: Parameters<Denoiser>) => Value {
  const shared = resolved(config);
  const { timeFrequencies: frequencies = 256 } = config;
  const positions = gridPositions(patchGrid(config), config.width);
  return (weights, images, times, labels) => {
    if (weights.blocks.length !== config.depth) {
      throw new FlatloraError(
        'tree',
        `diffusionTransformer: the weights have ${weights.blocks.length} blocks, expected depth ${config.depth}`,
      );
    }
    if (times.dtype !== 'float' || times.shape.join() !== String(images.shape[0])) {
      throw new FlatloraError(
        'shape',
        `diffusionTransformer: times are ${showAval(times)}, expected float[${images.shape[0]}], one per image`,
      );
    }
    const condition = add(
      timeEmbedding(weights.timeEmbedding, times, frequencies),
      embedding(weights.classEmbedding, labels),
    );
    const start = add(linear(weights.patchEmbedding, patches(config, images)), constant(positions));
    const tokens = weights.blocks.reduce(
      (x, block) => diffusionBlock(shared, block, x, condition),
      start,
    );
    const [shift, scale] = modulations(weights.final.modulation, condition, 2) as [Value, Value];
    const noise = linear(weights.final.projection, modulatedNorm(tokens, shift, scale));
    return fromPatches(config, noise, images.shape.length === 4);
  };
}

/**
 * Fresh weights: Xavier-uniform matrices, truncated normal embeddings, zeros in every modulation and
 * in the last projection, so that the untrained model predicts no noise at all.
 */
export function initDiffusionTransformer(
  config: DiffusionTransformerConfig,
  key: Key,
): DiffusionTransformerWeights<HostArray> {
  const { width, depth, classes, patchSize, channels = 1, timeFrequencies: size = 256 } = config;
  const shared = resolved(config);
  const numbers = channels * patchSize ** 2;
  const [kp, kt, kc, kb] = split(key, 4) as [Key, Key, Key, Key];
  return {
    patchEmbedding: initLinear(kp, numbers, width),
    timeEmbedding: initTimeEmbedding(kt, size, width),
    classEmbedding: initEmbedding(kc, classes + 1, width),
    blocks: range(depth).map((i) => {
      const [ka, km] = split(foldIn(kb, i)) as [Key, Key];
      return {
        modulation: initModulation(width, 6),
        attention: initAttention(shared, ka),
        mlp: initMlp(shared, km),
      };
    }),
    final: {
      modulation: initModulation(width, 2),
      projection: { weight: filled([numbers, width], 0), bias: filled([numbers], 0) },
    },
  };
}
