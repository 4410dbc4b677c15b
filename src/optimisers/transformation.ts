/**
 * Gradient transformations: what stands between a gradient and the change of the parameters.
 *
 * Each takes "updates" (at the head of a chain: the gradients) and gives updates of the same tree;
 * what the last one gives is added to the parameters. Small ones chain into optimisers:
 *
 *     chain(clipByGlobalNorm(1), adamW({ learningRate: cosineSchedule(5e-4, { totalSteps }) }))
 *
 * Everything is traced, so that an optimiser is part of the step's program. Reference for the form:
 * the Optax library (DeepMind).
 */
import type { Monoid } from 'fp-ts/lib/Monoid.js';
import {
  FlatloraError,
  flatten,
  type HostArray,
  hostArray,
  storage,
  treeMap,
  unflatten,
  type Value,
} from '../autodiff/index.js';
import type { Schedule } from './schedules.js';

/** The states of the transformations of a chain, in order: one tree for each that has one. */
export type OptimiserState = readonly unknown[];

/** What updates may depend on besides gradients and parameters. */
export interface UpdateContext {
  /** The number of this optimisation step, from 0 (int[]). */
  readonly step: Value;
  /**
   * Whether this is the program of the steps 0, k, 2k, … of a transformation that says
   * `refreshEvery: k`. It is known while tracing: ordinary steps do not carry what only these do.
   */
  readonly refresh: boolean;
}

export interface Updated<P> {
  readonly updates: P;
  readonly state: OptimiserState;
}

/** λ, and which parameters shrink, by their place in the tree. */
export interface WeightDecay {
  readonly weightDecay: number;
  readonly decays: (path: string) => boolean;
}

/** A traceable transformation of gradients, for parameters of any form `P`. */
export interface GradientTransformation {
  /** How many entries of the state are its own. */
  readonly stateSize: number;
  /** Every so many steps it does more (GaLore finds its subspace anew); never, by default. */
  readonly refreshEvery?: number;
  /** η: the factor on what it takes off the parameters; none where it is only a part of an optimiser. */
  readonly learningRate?: Schedule;
  /** Decoupled weight decay that it has: parameters also change by −η λ times themselves. */
  readonly decay?: WeightDecay;
  /** The state before the first step, on the host, for parameters on the host. */
  readonly init: (params: unknown) => OptimiserState;
  /** Updates and next state; all trees have values as leaves. */
  readonly update: <P>(
    updates: P,
    state: OptimiserState,
    params: P,
    context: UpdateContext,
  ) => Updated<P>;
}

/** How often a chain of two refreshes: both at once, since a step has one of two programs. */
function commonRefresh(
  { refreshEvery: a }: GradientTransformation,
  { refreshEvery: b }: GradientTransformation,
): Pick<GradientTransformation, 'refreshEvery'> {
  if (a !== undefined && b !== undefined && a !== b) {
    throw new FlatloraError(
      'argument',
      `chain: transformations that refresh every ${a} and every ${b} steps, expected one interval`,
    );
  }
  const refreshEvery = a ?? b;
  return refreshEvery === undefined ? {} : { refreshEvery };
}

/** Rate and decay of a chain: those of its last part that has them. */
function lastRate(
  first: GradientTransformation,
  second: GradientTransformation,
): Pick<GradientTransformation, 'learningRate' | 'decay'> {
  const { learningRate = first.learningRate, decay = first.decay } = second;
  return { ...(learningRate && { learningRate }), ...(decay && { decay }) };
}

/** Transformations under "first this, then that"; the laws hold with equality of the states. */
export const gradientTransformationMonoid: Monoid<GradientTransformation> = {
  empty: {
    stateSize: 0,
    init: () => [],
    update: (updates, state) => ({ updates, state }),
  },
  concat: (first, second) => ({
    stateSize: first.stateSize + second.stateSize,
    ...commonRefresh(first, second),
    ...lastRate(first, second),
    init: (params) => [...first.init(params), ...second.init(params)],
    update: (updates, state, params, context) => {
      const a = first.update(updates, state.slice(0, first.stateSize), params, context);
      const b = second.update(a.updates, state.slice(first.stateSize), params, context);
      return { updates: b.updates, state: [...a.state, ...b.state] };
    },
  }),
};

/** One transformation after the other. */
export const chain = (
  ...transformations: readonly GradientTransformation[]
): GradientTransformation =>
  transformations.reduce(gradientTransformationMonoid.concat, gradientTransformationMonoid.empty);

/** A transformation without state: a function of updates and parameters. */
export const stateless = (
  update: <P>(updates: P, params: P, context: UpdateContext) => P,
): GradientTransformation => ({
  stateSize: 0,
  init: () => [],
  update: (updates, state, params, context) => ({
    updates: update(updates, params, context),
    state,
  }),
});

/** Applies `f` to the leaves that stand at one place in all trees. */
export function mapTrees<P>(
  f: (leaves: readonly Value[], path: string) => Value,
  first: P,
  ...others: readonly unknown[]
): P {
  const { shape, paths, leaves } = flatten<Value>(first);
  const columns = others.map((tree) => flatten<Value>(tree).leaves);
  const odd = columns.find((column) => column.length !== leaves.length);
  if (odd !== undefined) {
    throw new FlatloraError(
      'tree',
      `optimiser: trees of ${leaves.length} and ${odd.length} arrays, expected the same tree`,
    );
  }
  return unflatten<P>(
    shape,
    leaves.map((leaf, i) => f([leaf, ...columns.map((c) => c[i] as Value)], paths[i] as string)),
  );
}

/** Zeros like each parameter, in its own precision, on the host. */
export const zerosLikeParams = (params: unknown): unknown =>
  treeMap(({ shape, data, size }: HostArray) => {
    const precision = data.BYTES_PER_ELEMENT === 4 ? 32 : 64;
    return hostArray(storage('float', size, precision), shape);
  }, params);

/** A number ≥ 0 or a typed error. */
export function requireNonNegative(name: string, argument: string, x: number): void {
  if (!(x >= 0 && Number.isFinite(x))) {
    throw new FlatloraError('argument', `${name}: ${argument} is ${x}, expected a number ≥ 0`);
  }
}

/** A number in [0, 1) or a typed error. */
export function requireFraction(name: string, argument: string, x: number): void {
  if (!(x >= 0 && x < 1)) {
    throw new FlatloraError('argument', `${name}: ${argument} is ${x}, expected 0 ≤ x < 1`);
  }
}
