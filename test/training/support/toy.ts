/** A small regression whose loss uses every key of its context: what training tests train. */
import {
  add,
  dropout,
  floats,
  foldIn,
  type HostArray,
  hostUniform,
  type Key,
  key,
  type Loss,
  matmulTransposed,
  mean,
  mul,
  normal,
  square,
  sub,
  tanh,
  type Value,
} from '../../../src/autodiff/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../../src/optimisers/index.js';
import { shuffledBatches, type TrainingPlan, takeRows } from '../../../src/training/index.js';

export interface Net<L> {
  readonly first: L;
  readonly second: L;
}

export interface Examples<L> {
  readonly x: L;
  readonly y: L;
}

const [INPUTS, HIDDEN, COUNT] = [3, 5, 23];

const drawn = (seed: Key, shape: readonly number[]): HostArray =>
  floats(
    Array.from(
      hostUniform(
        seed,
        shape.reduce((n, d) => n * d, 1),
      ),
      (u) => 2 * u - 1,
    ),
    shape,
  );

export const toyParams = (): Net<HostArray> => ({
  first: drawn(key(1), [HIDDEN, INPUTS]),
  second: drawn(key(2), [1, HIDDEN]),
});

export const toyExamples = (): Examples<HostArray> => ({
  x: drawn(key(3), [COUNT, INPUTS]),
  y: drawn(key(4), [COUNT, 1]),
});

export const predict = ({ first, second }: Net<Value>, x: Value): Value =>
  matmulTransposed(tanh(matmulTransposed(x, first)), second);

/** Mean squared error without anything random. */
export const plainLoss: Loss<Net<Value>, Examples<Value>> = (params, { x, y }) =>
  mean(square(sub(predict(params, x), y)));

/** The same with weight noise from the step's key, growing with progress, and dropout by sample. */
export const noisyLoss: Loss<Net<Value>, Examples<Value>> = (params, { x, y }, context) => {
  const noise = mul(mul(0.1, context.progress), normal(context.stepKey, [HIDDEN, INPUTS]));
  const net = { ...params, first: add(params.first, noise) };
  return mean(square(sub(predict(net, dropout(context.sampleKey, 0.25, x)), y)));
};

/** The whole plan: AdamW with clipping and a cosine, shuffled batches of six. */
export function toyPlan(
  totalSteps: number,
  microBatches = 1,
): TrainingPlan<Net<Value>, Examples<Value>, Net<HostArray>> {
  const examples = toyExamples();
  const indices = shuffledBatches(foldIn(key(9), 0), COUNT, 6);
  return {
    loss: noisyLoss,
    optimiser: chain(
      clipByGlobalNorm(1),
      adamW({
        learningRate: cosineSchedule(0.02, { totalSteps, warmUpSteps: 2 }),
        weightDecay: 0.01,
      }),
    ),
    params: toyParams(),
    totalSteps,
    microBatches,
    batch: (step, micro) => takeRows(examples, indices(step * microBatches + micro)),
    runKey: key(42),
  };
}

/** How the run of `child.ts` keeps its state. */
export const CHECKPOINT_EVERY = 4;
export const CONFIGURATION = { task: 'toy', backend: 'reference' };
