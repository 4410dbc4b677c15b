/**
 * GaLore: all weights are trained, but the optimiser's moments live in a subspace of the gradient.
 *
 *     m ≥ n:  R = G P   [m, r],   W ← W + scale · u(R) Pᵀ,   P the leading right singular vectors of G
 *     m < n:  R = PᵀG  [r, n],   W ← W + scale · P u(R),    P the leading left ones
 *
 * u is the change that the inner optimiser makes for the gradient R. P is found anew from the gradient
 * of every `gap`-th step, by a randomised SVD; moments are kept. New columns of P get the sign that
 * goes with the old ones, since moments that are kept have signs (the reference code takes them as
 * its SVD gives them). What is no projected matrix is trained by the inner optimiser as it is. AdamW's
 * weight decay acts on W itself, not on its projection.
 *
 * Reference: Zhao et al., "GaLore: Memory-efficient LLM training by gradient low-rank projection",
 * ICML 2024; repository jiaweizzhao/GaLore.
 */
import {
  constant,
  FlatloraError,
  flatten,
  foldInTraced,
  type HostArray,
  hostArray,
  input,
  key,
  lt,
  matmul,
  matmulTransposed,
  mul,
  orThrow,
  randomisedSvd,
  reduceSum,
  select,
  storage,
  sub,
  transpose,
  treeMap,
  type Value,
  zeros,
} from '../../autodiff/index.js';
import type {
  GradientTransformation,
  OptimiserState,
  UpdateContext,
} from '../../optimisers/index.js';
import { mapTrees, requireNonNegative } from '../../optimisers/transformation.js';
import type { AdapterMethod } from '../adapterMethod.js';
import { stacked, unstacked } from '../adapterPairs.js';
import { selectTargets, type Target } from '../targets.js';
import { type FullFineTuningOptions, fullFineTuning } from './fullFineTuning.js';

export interface GradientProjectionOptions {
  /** r ≥ 1; 4 by default (the reference code for GLUE, as `scale` and `gap`). */
  readonly rank?: number;
  /** Factor on the changes of projected matrices; 4 by default. */
  readonly scale?: number;
  /** Steps from one P to the next; 500 by default. */
  readonly gap?: number;
  /**
   * The matrices to project; their shorter side must be greater than r. By default all matrices for
   * which that is so.
   */
  readonly targetModules?: readonly Target[];
  /** Of the randomised SVD; 0 by default. */
  readonly seed?: number;
}

type Shaped = { readonly shape: readonly number[] };
type ByPath<L = Value> = Readonly<Record<string, L>>;

const fitsRight = ({ shape }: Shaped): boolean => (shape[0] as number) >= (shape[1] as number);

/** The shape of R. */
const projectedShape = ({ shape }: Shaped, rank: number): readonly number[] =>
  fitsRight({ shape }) ? [shape[0] as number, rank] : [rank, shape[1] as number];

/** The paths of the matrices to project. */
function projectedPaths(
  params: unknown,
  rank: number,
  targetModules: readonly Target[] | undefined,
): readonly string[] {
  const { leaves, paths } = flatten<Shaped>(params);
  const shapes = new Map(paths.map((path, i) => [path, (leaves[i] as Shaped).shape]));
  const wide = (path: string) => {
    const shape = shapes.get(path) as readonly number[];
    return shape.length === 2 && Math.min(...shape) > rank;
  };
  if (targetModules === undefined) return paths.filter(wide);
  const chosen = orThrow(selectTargets(params, targetModules));
  const narrow = chosen.find((path) => !wide(path));
  if (narrow !== undefined) {
    throw new FlatloraError(
      'argument',
      `galore: rank is ${rank}, expected less than the smaller side of "${narrow}" [${shapes.get(narrow)}]`,
    );
  }
  return chosen;
}

const leavesByPath = <L>(tree: unknown): ByPath<L> => {
  const { leaves, paths } = flatten<L>(tree);
  return Object.fromEntries(paths.map((path, i) => [path, leaves[i] as L]));
};

/** Random vectors beyond the rank: few, since the range finder's power iterations make up for it. */
const OVERSAMPLING = 4;

/** The new P of each matrix, from its gradient; matrices of one shape together. */
function newProjections(gradients: ByPath, old: ByPath, rank: number, random: Value): ByPath {
  const groups = new Map<string, string[]>();
  for (const path of Object.keys(old)) {
    const shape = (gradients[path] as Value).shape.join();
    groups.set(shape, [...(groups.get(shape) ?? []), path]);
  }
  const found = [...groups.values()].flatMap((paths, i) => {
    const g = stacked(paths.map((path) => gradients[path] as Value));
    const { u, v } = randomisedSvd(g, foldInTraced(random, i), {
      rank,
      oversampling: OVERSAMPLING,
    });
    const fresh = fitsRight({ shape: g.shape.slice(1) }) ? v : u;
    const agreement = reduceSum(mul(fresh, stacked(paths.map((path) => old[path] as Value))), 1, {
      keepAxes: true,
    });
    const aligned = mul(fresh, select(lt(agreement, 0), -1, 1));
    return unstacked(aligned).map((p, k) => [paths[k] as string, p] as const);
  });
  return Object.fromEntries(found);
}

/** Whether any of the values is computed from one of the others. */
function dependsOn(values: readonly Value[], others: ReadonlySet<Value>): boolean {
  const seen = new Set<Value>();
  const open = [...values];
  for (let v = open.pop(); v !== undefined; v = open.pop()) {
    if (others.has(v)) return true;
    if (seen.has(v)) continue;
    seen.add(v);
    open.push(...(v.source?.inputs ?? []));
  }
  return false;
}

function requireOptions(rank: number, gap: number, scale: number): void {
  for (const [argument, x] of Object.entries({ rank, gap })) {
    if (!Number.isInteger(x) || x < 1) {
      throw new FlatloraError(
        'argument',
        `galore: ${argument} is ${x}, expected a positive integer`,
      );
    }
  }
  requireNonNegative('galore', 'scale', scale);
}

/**
 * An optimiser whose moments are projected, made of one whose moments are not.
 *
 * The inner optimiser sees R in the place of each projected matrix. But for decoupled decay it must not
 * make use of the weights, which have no counterpart there.
 *
 * @throws FlatloraError 'argument' for options out of range, for an inner optimiser that uses the
 *   weights (other than adamW's decay), and for one that refreshes at other steps; 'target-modules'
 *   for targets that are not there.
 */
export function projectGradients(
  inner: GradientTransformation,
  { rank = 4, scale = 4, gap = 500, targetModules, seed = 0 }: GradientProjectionOptions = {},
): GradientTransformation {
  requireOptions(rank, gap, scale);
  if (inner.refreshEvery !== undefined && inner.refreshEvery !== gap) {
    throw new FlatloraError(
      'argument',
      `galore: gap is ${gap}, expected ${inner.refreshEvery}, after which the inner optimiser refreshes`,
    );
  }
  const { learningRate, decay: innerDecay } = inner;
  return {
    stateSize: inner.stateSize + 1,
    refreshEvery: gap,
    ...(learningRate && { learningRate }),
    ...(innerDecay && { decay: innerDecay }),
    init: (params) => {
      const paths = projectedPaths(params, rank, targetModules);
      const empty = ({ data }: HostArray, shape: readonly number[]) => {
        const size = shape.reduce((n, d) => n * d, 1);
        const precision = data.BYTES_PER_ELEMENT === 4 ? 32 : 64;
        return hostArray(storage('float', size, precision), shape);
      };
      const leaves = leavesByPath<HostArray>(params);
      const projections = Object.fromEntries(
        paths.map((path) => {
          const w = leaves[path] as HostArray;
          return [path, empty(w, [Math.min(...w.shape), rank])];
        }),
      );
      const seen = treeMap(
        (w: HostArray, path) =>
          projections[path] === undefined ? w : empty(w, projectedShape(w, rank)),
        params,
      );
      return [projections, ...inner.init(seen)];
    },
    update: <P>(gradients: P, state: OptimiserState, params: P, context: UpdateContext) => {
      const [old, ...moments] = state as [ByPath, ...unknown[]];
      const random = foldInTraced(constant(key(seed)), context.step);
      const p = context.refresh
        ? newProjections(leavesByPath<Value>(gradients), old, rank, random)
        : old;
      const small = mapTrees(([g], path) => {
        const [full, basis] = [g as Value, p[path]];
        if (basis === undefined) return full;
        return fitsRight(full) ? matmul(full, basis) : matmul(transpose(basis), full);
      }, gradients);
      // Stand-ins for projected weights: of zeros decoupled decay makes nothing.
      const standIns = new Set<Value>();
      const weights = mapTrees(([w], path) => {
        if (p[path] === undefined) return w as Value;
        const shape = projectedShape(w as Value, rank);
        const standIn = innerDecay ? zeros(shape) : input({ shape, dtype: 'float' });
        standIns.add(standIn);
        return standIn;
      }, params);
      const { updates, state: next } = inner.update(small, moments, weights, context);
      if (!innerDecay && dependsOn(flatten<Value>([updates, next]).leaves, standIns)) {
        throw new FlatloraError(
          'argument',
          'galore: the inner optimiser makes use of the weights, which are not there in the projected space; expected none such but the decay of adamW',
        );
      }
      const shrinkage =
        innerDecay &&
        learningRate &&
        mul(innerDecay.weightDecay, learningRate.traced(context.step));
      return {
        updates: mapTrees(
          ([u, w], path) => {
            const [step, basis, weight] = [u as Value, p[path], w as Value];
            if (basis === undefined) return step;
            const back = fitsRight(weight) ? matmulTransposed(step, basis) : matmul(basis, step);
            const change = mul(scale, back);
            return shrinkage && innerDecay.decays(path)
              ? sub(change, mul(shrinkage, weight))
              : change;
          },
          updates,
          params,
        ),
        state: [p, ...next],
      };
    },
  };
}

export interface GaloreOptions extends FullFineTuningOptions, GradientProjectionOptions {}

/**
 * Full fine-tuning with projected moments. `targetModules` are both the matrices that are projected
 * and those that `flat` and `sam` perturb; every matrix by default.
 */
export const galore = <H = unknown>(options: GaloreOptions = {}): AdapterMethod<H> => ({
  ...fullFineTuning<H>(options),
  name: 'galore',
  optimiser: (inner) => projectGradients(inner, options),
});
