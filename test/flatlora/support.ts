/** Small problems and contexts for the tests of this folder. */
import {
  add,
  asOperator,
  constant,
  evaluationContext,
  foldIn,
  type HostArray,
  type Key,
  key,
  type Loss,
  type LossContext,
  lift,
  mean,
  mul,
  type Operand,
  square,
  sub,
  tanh,
  type Value,
  type Weight,
} from '../../src/autodiff/index.js';
import { hostNormalMatrix } from '../../src/flatlora/hostMatrix.js';
import { floats, toNumbers } from '../support/numeric.js';

/** Test seeds, so that every test file draws its own numbers. */
export const seeded = (seed: number, index = 0): Key => foldIn(key(seed), index);

/** A float64 array of independent N(0, deviation²) numbers. */
export const gaussian = (from: Key, shape: readonly number[], deviation = 1): HostArray =>
  floats(toNumbers(hostNormalMatrix(from, shape, deviation)), shape);

export interface ContextOptions {
  readonly step?: Operand;
  readonly sample?: Operand;
  readonly progress?: number;
}

/** A context of training, at its end unless told otherwise (so that σ_t = σ). */
export const trainingContext = ({
  step = constant(key(1)),
  sample = constant(key(2)),
  progress = 1,
}: ContextOptions = {}): LossContext => ({
  ...evaluationContext(),
  stepKey: lift(step),
  sampleKey: lift(sample),
  progress: lift(progress),
  training: true,
});

/** A two-layer network with a norm scale. */
export interface Network<M, V> {
  readonly first: { readonly weight: M; readonly bias: V };
  readonly scale: V;
  readonly second: { readonly weight: M; readonly bias: V };
}

export interface Batch {
  readonly x: Value;
  readonly y: Value;
}

export const INPUTS = 11;
export const HIDDEN = 7;
export const OUTPUTS = 5;

export const initNetwork = (seed: number): Network<HostArray, HostArray> => ({
  first: {
    weight: gaussian(seeded(seed, 0), [HIDDEN, INPUTS], 1 / Math.sqrt(INPUTS)),
    bias: gaussian(seeded(seed, 1), [HIDDEN], 0.3),
  },
  scale: gaussian(seeded(seed, 2), [HIDDEN]),
  second: {
    weight: gaussian(seeded(seed, 3), [OUTPUTS, HIDDEN], 1 / Math.sqrt(HIDDEN)),
    bias: gaussian(seeded(seed, 4), [OUTPUTS], 0.3),
  },
});

export const makeBatch = (seed: number, rows = 6): { x: HostArray; y: HostArray } => ({
  x: gaussian(seeded(seed, 5), [rows, INPUTS]),
  y: gaussian(seeded(seed, 6), [rows, OUTPUTS]),
});

/** Mean squared error of the network. */
export const networkLoss: Loss<Network<Weight, Value>, Batch> = (weights, { x, y }) => {
  const hidden = add(asOperator(weights.first.weight).apply(x), weights.first.bias);
  const out = asOperator(weights.second.weight).apply(tanh(mul(hidden, weights.scale)));
  return mean(square(sub(add(out, weights.second.bias), y)));
};

/** Random adapters of the network's two layers, B not zero. */
export const randomAdapters = (seed: number, rank = 2, size = 0.4) => ({
  'first.weight': {
    a: gaussian(seeded(seed, 10), [rank, INPUTS], size),
    b: gaussian(seeded(seed, 11), [HIDDEN, rank], size),
  },
  'second.weight': {
    a: gaussian(seeded(seed, 12), [rank, HIDDEN], size),
    b: gaussian(seeded(seed, 13), [OUTPUTS, rank], size),
  },
});
