/** What all families share: the size of a transformer and the choices made in its block. */
import { FlatloraError } from '../../autodiff/index.js';
import { type Activation, activations } from '../layers/activations.js';
import type { NormKind } from '../layers/norm.js';
import type { RotaryScaling } from '../layers/rotaryScaling.js';

export type PositionKind = 'learned' | 'sinusoidal' | 'rotary' | 'relative' | 'none';

export interface TransformerConfig {
  /** Numbers per token between the layers. */
  readonly width: number;
  /** Number of blocks. */
  readonly depth: number;
  /** Attention heads of the queries. */
  readonly heads: number;
  /** Heads of keys and values (grouped-query attention); `heads` by default. */
  readonly keyValueHeads?: number;
  /** Numbers per head; `width / heads` by default. */
  readonly headWidth?: number;
  /** Hidden numbers of the MLP; `4 · width` by default. */
  readonly mlpWidth?: number;
  /** `gelu` by default. */
  readonly activation?: Activation;
  /** SwiGLU with `silu`, GEGLU with `gelu`; off by default. */
  readonly gatedMlp?: boolean;
  /** `layerNorm` by default. */
  readonly norm?: NormKind;
  /** Norms before the sub-layers, and one after the last block (`pre`, the default), or behind them. */
  readonly normPlacement?: 'pre' | 'post';
  /** Added to the variance; 10⁻⁵ by default. */
  readonly normEpsilon?: number;
  /** Whether linear layers and layer norms have biases; on by default. */
  readonly biases?: boolean;
  /** `learned` by default; `relative` are T5's, a bias on the scores by bucket of distance. */
  readonly positions?: PositionKind;
  /** Rows of the table of relative positions; 32 by default. */
  readonly relativeBuckets?: number;
  /** Distances from here on share a bucket; 128 by default. */
  readonly relativeMaxDistance?: number;
  /** Whether scores are divided by √headWidth; they are by default, in T5 they are not. */
  readonly scaledScores?: boolean;
  /** Base θ of rotary positions; 10000 by default. */
  readonly rotaryTheta?: number;
  /** How rotary positions are slowed for long texts; not at all by default. */
  readonly rotaryScaling?: RotaryScaling | undefined;
  /** In causal attention a token sees itself and this many less one before it; all by default. */
  readonly slidingWindow?: number | undefined;
  /** Rate of dropout on embeddings and on what each sub-layer adds; 0 by default. */
  readonly dropout?: number;
  /** Rate of dropout on attention weights; 0 by default. */
  readonly attentionDropout?: number;
  /** Computes each block again in the backward pass instead of keeping its inside; off by default. */
  readonly checkpoint?: boolean;
}

export type ResolvedConfig = Required<Omit<TransformerConfig, 'rotaryScaling' | 'slidingWindow'>> &
  Pick<TransformerConfig, 'rotaryScaling' | 'slidingWindow'>;

/**
 * The configuration with its defaults filled in.
 * @throws FlatloraError for sizes that do not fit together.
 */
export function resolveConfig<C extends TransformerConfig>(config: C): C & ResolvedConfig {
  const { width, heads } = config;
  const resolved: C & ResolvedConfig = {
    keyValueHeads: heads,
    headWidth: width / heads,
    mlpWidth: 4 * width,
    activation: 'gelu',
    gatedMlp: false,
    norm: 'layerNorm',
    normPlacement: 'pre',
    normEpsilon: 1e-5,
    biases: true,
    positions: 'learned',
    relativeBuckets: 32,
    relativeMaxDistance: 128,
    scaledScores: true,
    rotaryTheta: 10_000,
    dropout: 0,
    attentionDropout: 0,
    checkpoint: false,
    ...config,
  };
  const wrong = firstProblem(resolved, config.headWidth === undefined);
  if (wrong !== undefined) throw new FlatloraError('argument', `transformer: ${wrong}`);
  return resolved;
}

const isSize = (n: number): boolean => Number.isInteger(n) && n > 0;
const isRate = (n: number): boolean => n >= 0 && n < 1;

function firstProblem(config: ResolvedConfig, widthIsShared: boolean): string | undefined {
  for (const name of ['width', 'depth', 'heads', 'keyValueHeads', 'mlpWidth'] as const) {
    if (!isSize(config[name])) return `${name} is ${config[name]}, expected a positive integer`;
  }
  for (const name of ['dropout', 'attentionDropout'] as const) {
    if (!isRate(config[name])) return `${name} is ${config[name]}, expected 0 ≤ rate < 1`;
  }
  const { width, heads, keyValueHeads, headWidth, positions, activation } = config;
  if (!isSize(headWidth)) {
    return widthIsShared
      ? `heads is ${heads}, expected a divisor of width ${width}`
      : `headWidth is ${headWidth}, expected a positive integer`;
  }
  if (config.slidingWindow !== undefined && !isSize(config.slidingWindow)) {
    return `slidingWindow is ${config.slidingWindow}, expected a positive integer`;
  }
  if (heads % keyValueHeads !== 0) {
    return `keyValueHeads is ${keyValueHeads}, expected a divisor of heads ${heads}`;
  }
  if (positions === 'rotary' && headWidth % 2 !== 0) {
    return `headWidth is ${headWidth}, expected an even number for rotary positions`;
  }
  if (!(activation in activations)) {
    return `activation is ${activation}, expected one of ${Object.keys(activations).join(', ')}`;
  }
  return undefined;
}
