/**
 * LoRA-Pro: A and B move so that W + s·B A moves as nearly as possible as full fine-tuning would.
 *
 * Changes ΔA, ΔB change the weight by s(B ΔA + ΔB A). The ones nearest to a wanted change G (least
 * squares) are, with ∂A = s BᵀG and ∂B = s G Aᵀ,
 *
 *     ΔA = s⁻² (BᵀB)⁻¹ ∂A + X A
 *     ΔB = s⁻² (I − B (BᵀB)⁻¹ Bᵀ) ∂B (A Aᵀ)⁻¹ − B X          for any X [r, r];
 *
 * the X that keeps ΔA and ΔB nearest to ∂A and ∂B solves BᵀB X + X A Aᵀ = −s⁻² (BᵀB)⁻¹ ∂A Aᵀ.
 *
 * Let P(∂A, ∂B) be this pair. A step then is
 *
 *     G̃ = s (B g_A + g_B A),  (g_A, g_B) = P(∂A, ∂B)    the gradient as far as A and B can follow it
 *     U = the inner optimiser's change of the weight for G̃: its moments are [m, n]
 *     (ΔA, ΔB) = P(s BᵀU, s U Aᵀ)
 *
 * For AdamW this is Algorithm 1 of the paper, for SGD the pair P(∂A, ∂B) itself. `moments: 'factors'`
 * instead gives P(∂A, ∂B) to the inner optimiser, whose moments then have the shapes of A and B; for
 * plain SGD the two are the same, and this one forms nothing of the shape of W.
 *
 * Reference: Wang, Liang, He, Wang & Tan, "LoRA-Pro: Are low-rank adapters properly optimized?", ICLR
 * 2025; repository mrflogs/LoRA-Pro (`peta/optim.py`, modes "full" and "efficient").
 */
import {
  add,
  concat,
  div,
  FlatloraError,
  type HostArray,
  hostArray,
  matmul,
  matmulTransposed,
  max,
  mul,
  type Shape,
  type SymmetricEigen,
  sliceAxis,
  solveSylvester,
  storage,
  sub,
  symmetricEigen,
  symmetricFunction,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import type { GradientTransformation, UpdateContext } from '../../optimisers/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import {
  type Group,
  groupsOf,
  type Pair,
  type Pairs,
  requirePairs,
  stacked,
  stackedPair,
  unstacked,
} from '../adapterPairs.js';
import { layerwise } from '../layerwise.js';
import { type LoraOptions, type LoraPart, loraLayer } from './lora.js';

export interface ProjectionOptions {
  /** s: the weight is W + s·B A. */
  readonly scale: number;
  /**
   * Where the inner optimiser lives: in the space of W (`full`, the default: the paper's, and most
   * of the method's memory) or in those of A and B (`factors`).
   */
  readonly moments?: 'full' | 'factors';
  /** δ in (BᵀB + δI)⁻¹ and (A Aᵀ + δI)⁻¹; 1e-8 by default (the reference code). */
  readonly damping?: number;
}

/** A group of layers with what P needs of their A and B. */
interface Frame extends Pair {
  readonly group: Group;
  /** (A Aᵀ + δI)⁻¹ and (BᵀB + δI)⁻¹, [L, r, r] */
  readonly aInverse: Value;
  readonly bInverse: Value;
  readonly aEigen: SymmetricEigen;
  readonly bEigen: SymmetricEigen;
}

/** Eigenvalues of the Gram matrices of several groups, in one go where they have one rank. */
function jointEigen(stacks: readonly Value[]): readonly SymmetricEigen[] {
  const sizes = new Set(stacks.map((x) => x.shape[1]));
  if (sizes.size > 1) return stacks.map((x) => symmetricEigen(x));
  const { values, vectors } = symmetricEigen(concat(stacks));
  let from = 0;
  return stacks.map((x) => {
    const to = from + (x.shape[0] as number);
    const part = (y: Value) => sliceAxis(y, 0, from, to);
    const eigen = { values: part(values), vectors: part(vectors) };
    from = to;
    return eigen;
  });
}

function framesOf(pairs: Pairs, damping: number): readonly Frame[] {
  const groups = groupsOf(pairs).map((group) => ({ group, ...stackedPair(pairs, group) }));
  const grams = groups.flatMap(({ a, b }) => [matmulTransposed(a, a), matmul(transpose(b), b)]);
  const eigen = jointEigen(grams);
  // Rounding may turn eigenvalues near zero negative.
  const inverse = (e: SymmetricEigen) =>
    symmetricFunction(e, (values) => div(1, add(max(values, 0), damping)));
  return groups.map((group, i) => {
    const [aEigen, bEigen] = [eigen[2 * i], eigen[2 * i + 1]] as [SymmetricEigen, SymmetricEigen];
    return { ...group, aEigen, bEigen, aInverse: inverse(aEigen), bInverse: inverse(bEigen) };
  });
}

/** P without its X, which changes A and B but not s(B ΔA + ΔB A). */
function projected({ b, aInverse, bInverse }: Frame, along: Pair, scale: number): Pair {
  const shrink = 1 / scale ** 2;
  const forB = matmul(along.b, aInverse);
  const inside = matmul(b, matmul(bInverse, matmul(transpose(b), forB)));
  return {
    a: mul(shrink, matmul(bInverse, along.a)),
    b: mul(shrink, sub(forB, inside)),
  };
}

/** P(∂A, ∂B). */
function projectedNearest(frame: Frame, along: Pair, scale: number): Pair {
  const { a, b, aEigen, bEigen } = frame;
  const pair = projected(frame, along, scale);
  const x = solveSylvester({
    left: bEigen,
    right: aEigen,
    constant: mul(-1, matmulTransposed(pair.a, a)),
  });
  return { a: add(pair.a, matmul(x, a)), b: sub(pair.b, matmul(b, x)) };
}

/** Stacks of pairs, one per group, as pairs by path. */
function pairsByPath(frames: readonly Frame[], stacks: readonly Pair[]): Pairs {
  return Object.fromEntries(
    frames.flatMap(({ group }, i) => {
      const { a, b } = stacks[i] as Pair;
      const [as, bs] = [unstacked(a), unstacked(b)];
      return group.paths.map((path, k) => [path, { a: as[k], b: bs[k] } as Pair]);
    }),
  );
}

/** One array per layer and group, by path. */
const byPath = (frames: readonly Frame[], stacks: readonly Value[]) =>
  Object.fromEntries(
    frames.flatMap(({ group }, i) => {
      const layers = unstacked(stacks[i] as Value);
      return group.paths.map((path, k) => [path, layers[k] as Value]);
    }),
  );

function requireOptions({ scale, moments = 'full', damping = 1e-8 }: ProjectionOptions) {
  for (const [argument, x] of Object.entries({ scale, damping })) {
    if (!(Number.isFinite(x) && x > 0)) {
      throw new FlatloraError('argument', `loraPro: ${argument} is ${x}, expected a number > 0`);
    }
  }
  if (moments !== 'full' && moments !== 'factors') {
    throw new FlatloraError(
      'argument',
      `loraPro: moments is "${moments}", expected "full" or "factors"`,
    );
  }
  return { scale, moments, damping };
}

/** Zeros [m, n] in the precision of the adapters, by path. */
const emptyWeights = (pairs: Pairs<HostArray>): Readonly<Record<string, HostArray>> =>
  Object.fromEntries(
    Object.entries(pairs).map(([path, { a, b }]) => {
      const shape: Shape = [b.shape[0] as number, a.shape[1] as number];
      const precision = a.data.BYTES_PER_ELEMENT === 4 ? 32 : 64;
      const size = (shape[0] as number) * (shape[1] as number);
      return [path, hostArray(storage('float', size, precision), shape)];
    }),
  );

/**
 * An optimiser for pairs of A and B from one for weights, as told at the top of this file. With
 * `moments: 'full'` the inner optimiser sees, for each layer, the gradient G̃ [m, n] and the parameter
 * s·B A (so that its weight decay shrinks s·B A); whatever clips inside it clips G̃. Trees keep the
 * layers' paths.
 *
 * @throws FlatloraError 'tree' when a layer's parameters are no pair of A and B.
 */
export function towardsFullGradient(
  inner: GradientTransformation,
  options: ProjectionOptions,
): GradientTransformation {
  const { scale, moments, damping } = requireOptions(options);
  const pairsOf = (tree: unknown) => requirePairs<Value>('loraPro', tree);
  const common = {
    stateSize: inner.stateSize,
    ...(inner.refreshEvery !== undefined && { refreshEvery: inner.refreshEvery }),
    ...(inner.learningRate !== undefined && { learningRate: inner.learningRate }),
  };
  if (moments === 'factors') {
    return {
      ...common,
      init: (params) => inner.init(requirePairs<HostArray>('loraPro', params)),
      update: <P>(gradients: P, state: readonly unknown[], params: P, context: UpdateContext) => {
        const frames = framesOf(pairsOf(params), damping);
        const along = frames.map((frame) =>
          projectedNearest(frame, stackedPair(pairsOf(gradients), frame.group), scale),
        );
        return inner.update(pairsByPath(frames, along) as P, state, params, context);
      },
    };
  }
  return {
    ...common,
    init: (params) => inner.init(emptyWeights(requirePairs<HostArray>('loraPro', params))),
    update: <P>(gradients: P, state: readonly unknown[], params: P, context: UpdateContext) => {
      const frames = framesOf(pairsOf(params), damping);
      /** s(B ΔA + ΔB A) as one product of [B ΔB] and [ΔA; A]. */
      const change = ({ a, b }: Frame, by: Pair) =>
        mul(scale, matmul(concat([b, by.b], 2), concat([by.a, a], 1)));
      const wanted = frames.map((frame) =>
        change(frame, projected(frame, stackedPair(pairsOf(gradients), frame.group), scale)),
      );
      const weights = frames.map(({ a, b }) => mul(scale, matmul(b, a)));
      const { updates, state: next } = inner.update(
        byPath(frames, wanted),
        state,
        byPath(frames, weights),
        context,
      );
      const steps = frames.map((frame) => {
        const u = stacked(frame.group.paths.map((path) => updates[path] as Value));
        const along = {
          a: mul(scale, matmul(transpose(frame.b), u)),
          b: mul(scale, matmulTransposed(u, frame.a)),
        };
        return projectedNearest(frame, along, scale);
      });
      return { updates: pairsByPath(frames, steps) as P, state: next };
    },
  };
}

export interface LoraProOptions extends LoraOptions, Omit<ProjectionOptions, 'scale'> {}

/** LoRA-Pro of one weight matrix: LoRA but for the optimiser. */
export function loraProLayer({
  moments = 'full',
  damping = 1e-8,
  ...options
}: LoraProOptions): LayerMethod<LoraPart> {
  const { rank = 8, alpha = 16 } = options;
  return {
    ...loraLayer(options),
    name: 'lora-pro',
    optimiser: (inner) => towardsFullGradient(inner, { scale: alpha / rank, moments, damping }),
  };
}

/** LoRA-Pro on the target modules of a tree of weights. */
export const loraPro = (options: LoraProOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(loraProLayer(options));
