/**
 * What a step of Llama-2-7B would take, without having it: the step is traced at the model's sizes
 * and planned as a backend would, and the plan's arithmetic is read. Nothing of it runs.
 */
import {
  type Aval,
  flatten,
  input,
  key,
  type Loss,
  range,
  traceAt,
  treeMap,
  type Value,
  valueAndGrad,
} from '../../autodiff/index.js';
import type { LossTransformer } from '../../finetune/methods.js';
import { adapt, type LayerAdapters, lora } from '../../flatlora/index.js';
import { kernelCost, totalCost } from '../../kernels/plan/cost.js';
import { bytesOf, placeIntermediates } from '../../kernels/plan/memory.js';
import { type FusedLimits, planTape } from '../../kernels/plan/plan.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  causalDecoder,
  initCausalDecoder,
  softmaxCrossEntropy,
} from '../../models/index.js';
import { trainingContext } from '../../training/index.js';

/** Llama-2-7B with another depth: costs are linear in it. */
const llama = (depth: number): CausalDecoderConfig => ({
  width: 4096,
  heads: 32,
  mlpWidth: 11008,
  depth,
  vocabulary: 32000,
  maxLength: 1024,
  activation: 'silu',
  gatedMlp: true,
  norm: 'rmsNorm',
  positions: 'rotary',
  biases: false,
});

/** A small model with the same tree, and which of its sizes stands for which of Llama's. */
const SMALL: Partial<CausalDecoderConfig> = { width: 8, heads: 2, mlpWidth: 12, vocabulary: 20 };
const SIZES: Readonly<Record<number, number>> = { 8: 4096, 12: 11008, 20: 32000 };

export const DEPTH = 32;
/** Matrices that adapters stand on: all linear layers of the blocks. */
export const TARGETS = ['query', 'key', 'value', 'out', 'fc1', 'fc2', 'gate'];
const RANK = 8;

/** Weights in bfloat16, as inputs without numbers. */
function weightsOf(depth: number): CausalDecoderWeights {
  const tree = initCausalDecoder({ ...llama(depth), ...SMALL } as CausalDecoderConfig, key(0));
  return treeMap(({ shape }: Aval) => {
    const full = shape.map((n) => SIZES[n] ?? n);
    return input({ shape: full, dtype: full.length === 2 ? 'bfloat16' : 'float' });
  }, tree) as unknown as CausalDecoderWeights;
}

/** The shapes [m, n] of the adapted matrices of the whole model. */
export const adaptedShapes = (): readonly (readonly [number, number])[] => {
  const { leaves, paths } = flatten<Value>(weightsOf(1));
  const own = leaves.flatMap((leaf, i) =>
    TARGETS.some((name) => paths[i]?.endsWith(`.${name}.weight`))
      ? [leaf.shape as readonly [number, number]]
      : [],
  );
  return range(DEPTH).flatMap(() => own);
};

interface Batch {
  readonly tokens: Value;
  readonly next: Value;
}

/** What the fast backends fuse. */
const LIMITS: FusedLimits = {
  maxReads: 24,
  operandCost: 30,
  fused: new Set(['attention', 'attentionBackward']),
};

export interface StepCost {
  /** Operations on floats of loss and gradient. */
  readonly flops: number;
  /** Bytes of intermediates at their peak. */
  readonly intermediateBytes: number;
  /** Bytes of weights, adapters, gradients and batch. */
  readonly heldBytes: number;
}

/** Loss and gradient of LoRA's factors under a loss transformer, at some depth. */
function planned(depth: number, transform: LossTransformer, tokens: number): StepCost {
  const config = llama(depth);
  const model = causalDecoder(config);
  const task: Loss<CausalDecoderWeights, Batch> = (weights, batch) =>
    softmaxCrossEntropy(model(weights, batch.tokens), batch.next);
  const base = weightsOf(depth);
  const { leaves, paths } = flatten<Value>(base);
  const factors = Object.fromEntries(
    paths.flatMap((path, i) => {
      if (!TARGETS.some((name) => path.endsWith(`.${name}.weight`))) return [];
      const [m, n] = (leaves[i] as Value).shape as [number, number];
      const a = input({ shape: [RANK, n], dtype: 'float' });
      const b = input({ shape: [m, RANK], dtype: 'float' });
      return [[path, { a, b }] as const];
    }),
  );
  const ids = { shape: [2, tokens], dtype: 'int' } as const;
  const step = (
    weights: CausalDecoderWeights,
    adapters: LayerAdapters<'a' | 'b', Value>,
    batch: Batch,
    runKey: Value,
    at: Value,
  ) => {
    const loss = transform(adapt(weights, lora({ rank: RANK, targetModules: TARGETS }))(task));
    const context = trainingContext(runKey, at, 0, { totalSteps: 1000 });
    return valueAndGrad((p: never, x: Batch) => loss(p, x, context))(adapters as never, batch);
  };
  const { closure } = traceAt(step as never, [
    base,
    factors,
    { tokens: input(ids), next: input(ids) },
    input({ shape: [2], dtype: 'uint' }),
    input({ shape: [], dtype: 'int' }),
  ]);
  const plan = planTape(closure.tape, LIMITS);
  const { flops } = totalCost(plan.kernels.map(kernelCost));
  const held = [...plan.inputs, ...plan.constants.map((c) => c.variable), ...plan.outputs];
  return {
    flops,
    intermediateBytes: placeIntermediates(plan).arenaBytes,
    heldBytes: held.reduce((sum, v) => sum + bytesOf(v), 0),
  };
}

/**
 * A step of the whole model: planned with one and two blocks, and continued to 32.
 * @param tokens per sequence, of two sequences: the micro-batch of Section 4.7.
 */
export function llamaStep(transform: LossTransformer, tokens = 1024): StepCost {
  const [one, two] = [planned(1, transform, tokens), planned(2, transform, tokens)];
  const at = (name: keyof StepCost) => one[name] + (DEPTH - 1) * (two[name] - one[name]);
  return {
    flops: at('flops'),
    intermediateBytes: at('intermediateBytes'),
    heldBytes: at('heldBytes'),
  };
}
