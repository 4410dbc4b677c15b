/**
 * LoRA: a frozen weight plus a trained update of low rank.
 *
 *     h = W x + s·B A x,   A ∈ R^{r×n}, B ∈ R^{m×r}, s = α/r            Eq. 1 of the Flat-LoRA paper
 *
 * B starts at zero, so training starts at the pre-trained model.
 *
 * Reference: Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  check,
  dropout as dropElements,
  type HostArray,
  hostArray,
  type Key,
  type LossContext,
  lowRankSum,
  type Result,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { hostLowRankSum, hostNormalMatrix, hostUniformMatrix } from '../hostMatrix.js';
import { layerwise } from '../layerwise.js';
import { layerKey } from '../objectives/perturb.js';
import type { Target } from '../targets.js';

/** The trained arrays of a layer: A [r, n] and B [m, r]. */
export type LoraPart = 'a' | 'b';

export interface LoraOptions {
  /** r, from 1 to min(m, n) of every target; 8 by default (Section 4.1 of the Flat-LoRA paper). */
  readonly rank?: number;
  /** α > 0 in s = α/r; 16 by default (same place). */
  readonly alpha?: number;
  /** Which weight matrices get an adapter; see `targets.ts`. */
  readonly targetModules: readonly Target[];
  /** Share of the inputs of A that is dropped in training, 0 ≤ p < 1; 0 by default. */
  readonly dropout?: number;
  /**
   * How A starts. `kaiming-uniform` (default): U(−1/√n, 1/√n), which is He's uniform initialisation
   * with a = √5, as in LoRA's own code and PEFT. `gaussian`: N(0, 1/r²), PEFT's other option.
   */
  readonly initialisation?: 'kaiming-uniform' | 'gaussian';
}

/** Whether rank, alpha and dropout are in range and fit a weight [m, n]. */
export function checkLora(
  path: string,
  [m, n]: readonly [number, number],
  { rank, alpha, dropout }: { rank: number; alpha: number; dropout: number },
): Result<void> {
  const greatest = Math.min(m, n);
  return pipe(
    check(
      Number.isInteger(rank) && rank >= 1 && rank <= greatest,
      'argument',
      () =>
        `lora: rank is ${rank}, expected an integer from 1 to ${greatest}, the smaller side of "${path}" [${m},${n}]`,
    ),
    E.chain(() =>
      check(
        Number.isFinite(alpha) && alpha > 0,
        'argument',
        () => `lora: alpha is ${alpha}, expected a number > 0`,
      ),
    ),
    E.chain(() =>
      check(
        dropout >= 0 && dropout < 1,
        'argument',
        () => `lora: dropout is ${dropout}, expected 0 ≤ dropout < 1`,
      ),
    ),
  );
}

/** Keeps LoRA's dropout masks apart from those that a model draws from the same key. */
const DROPOUT_STREAM = 'lora.dropout';

/** LoRA's dropout on the input of A: one mask per micro-batch and layer, in training only. */
export const adapterDropout = (rate: number, name: string, context: LossContext) => (x: Value) =>
  rate === 0 || !context.training
    ? x
    : dropElements(layerKey(layerKey(context.sampleKey, DROPOUT_STREAM), name), rate, x);

/** A at the start. */
const initialA = (
  key: Key,
  rank: number,
  n: number,
  initialisation: 'kaiming-uniform' | 'gaussian',
): HostArray =>
  initialisation === 'gaussian'
    ? hostNormalMatrix(key, [rank, n], 1 / rank)
    : hostUniformMatrix(key, [rank, n], 1 / Math.sqrt(n));

/** LoRA of one weight matrix. */
export function loraLayer({
  rank = 8,
  alpha = 16,
  targetModules,
  dropout = 0,
  initialisation = 'kaiming-uniform',
}: LoraOptions): LayerMethod<LoraPart> {
  const scale = alpha / rank;
  return {
    name: 'lora',
    targetModules,
    check: (path, shape) => checkLora(path, shape, { rank, alpha, dropout }),
    shapes: ([m, n]) => ({ a: [rank, n], b: [m, rank] }),
    init: (weight, key) => {
      const [m, n] = weight.shape as [number, number];
      return {
        adapter: {
          a: initialA(key, rank, n, initialisation),
          b: hostArray(new Float32Array(m * rank), [m, rank]),
        },
      };
    },
    effective: ({ name, frozen }, { a, b }, context) =>
      lowRankSum(frozen, { a, b, scale, onInput: adapterDropout(dropout, name, context) }),
    learningRates: { a: 1, b: 1 },
    merge: (weight, { a, b }) => hostLowRankSum(weight, a, b, scale),
    unmerge: (weight, { a, b }) => hostLowRankSum(weight, a, b, -scale),
    savedNames: { a: 'lora_A.weight', b: 'lora_B.weight' },
  };
}

/** LoRA on the target modules of a tree of weights. */
export const lora = (options: LoraOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(loraLayer(options));
