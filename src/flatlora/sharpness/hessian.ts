/**
 * The curvature of the loss in the full parameter space: the largest eigenvalues of its Hessian, by
 * Lanczos on Hessian–vector products, and its trace, by Hutchinson's estimator. The Hessian itself is
 * never formed.
 */
import {
  check,
  evaluationContext,
  flatData,
  foldIn,
  type HostArray,
  hvp,
  type Key,
  type Loss,
  orThrow,
  type Value,
} from '../../autodiff/index.js';
import { hostNormalMatrix } from '../hostMatrix.js';
import type { Target } from '../targets.js';
import { hutchinsonTrace, type TraceEstimate, type TraceOptions } from './hutchinson.js';
import { type LanczosOptions, lanczos, type TopEigenvalues } from './lanczos.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from './runner.js';
import { leavesAt, parameterSpace, withLeaves } from './space.js';

/**
 * One step: H·v at the weights, H the second derivatives in the leaves at `places` (their positions in
 * the list of the tree's leaves); v is a list of arrays like those leaves, and so is the result;
 * traceable.
 */
export const hessianProduct =
  <W, X>(loss: Loss<W, X>, places: readonly number[]) =>
  (weights: W, batch: X, direction: readonly Value[]): readonly Value[] =>
    hvp(
      (leaves: readonly Value[]): Value =>
        loss(withLeaves(weights, places, leaves), batch, evaluationContext()),
    )(direction, leavesAt(weights, places));

/** The Hessian as an operator on vectors. */
export interface HessianOperator {
  /** Length of the vectors: how many numbers the chosen weights have. */
  readonly size: number;
  /** v ↦ H·v, the mean over the batches. */
  readonly product: (v: Float64Array) => Promise<Float64Array>;
}

/** Calls `use` with the Hessian of the mean loss of equally large batches. */
export async function withHessian<W, X, T>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  targetModules: readonly Target[] | undefined,
  use: (hessian: HessianOperator) => Promise<T>,
): Promise<T> {
  orThrow(
    check(batches.length > 0, 'argument', () => 'hessian: no batches given, expected at least one'),
  );
  const space = parameterSpace(weights, targetModules);
  return withProgram(runner, hessianProduct(loss, space.places), (program) =>
    withUploaded(runner, weights, (onDevice) =>
      use({
        size: space.size,
        product: async (v) => {
          const sum = new Float64Array(space.size);
          const direction = space.arrays(v);
          for (const batch of batches) {
            const product = space.vector(
              await onHost<readonly HostArray[]>(runner, program, onDevice, batch, direction),
            );
            for (let i = 0; i < sum.length; i++)
              sum[i] = (sum[i] as number) + (product[i] as number);
          }
          return sum.map((x) => x / batches.length);
        },
      }),
    ),
  );
}

export interface HessianOptions extends LanczosOptions {
  /** Picks the start vector; the same key gives the same result. */
  readonly key: Key;
  /** Which matrices move; every array of floats by default. */
  readonly targetModules?: readonly Target[];
}

/**
 * The largest (or smallest) eigenvalues of ∇²L at the weights, L the mean over batches of equal size.
 *
 * It stops when the residuals are within the tolerance; on float32 backends 10⁻⁴ is about the least to
 * ask for. It keeps a vector of all weights in float64 for each iteration.
 *
 * @param weights host arrays; merged weights for an adapted model.
 * @throws FlatloraError when there is no batch or nothing to move, or `count` is no positive integer.
 */
export async function topHessianEigenvalues<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  { key, targetModules, ...options }: HessianOptions,
): Promise<TopEigenvalues> {
  const { count = 1 } = options;
  orThrow(
    check(
      Number.isInteger(count) && count >= 1,
      'argument',
      () => `topHessianEigenvalues: count is ${count}, expected an integer ≥ 1`,
    ),
  );
  return withHessian(runner, loss, weights, batches, targetModules, ({ size, product }) =>
    lanczos(
      product,
      (k) => Float64Array.from(flatData(hostNormalMatrix(foldIn(key, k), [size], 1))),
      options,
    ),
  );
}

export interface TopEigenvalue {
  readonly eigenvalue: number;
  /** Products with the Hessian that were needed. */
  readonly iterations: number;
  /** ‖H y − θ y‖ / |θ|, the relative residual of the result. */
  readonly residual: number;
  /** Whether the residual is within the tolerance. */
  readonly converged: boolean;
  /** The unit eigenvector y. */
  readonly eigenvector: Float64Array;
}

/** The first of `topHessianEigenvalues`: the curvature along the sharpest direction. */
export async function topHessianEigenvalue<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  options: Omit<HessianOptions, 'count'>,
): Promise<TopEigenvalue> {
  const { eigenvalues, residuals, eigenvectors, iterations, converged } =
    await topHessianEigenvalues(runner, loss, weights, batches, { ...options, count: 1 });
  return {
    eigenvalue: eigenvalues[0] as number,
    residual: residuals[0] as number,
    eigenvector: eigenvectors[0] as Float64Array,
    iterations,
    converged,
  };
}

/**
 * tr ∇²L at the weights, with an interval; see `hutchinsonTrace`.
 * @param weights host arrays; merged weights for an adapted model.
 */
export async function hessianTrace<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  { targetModules, ...options }: TraceOptions & Pick<HessianOptions, 'targetModules'>,
): Promise<TraceEstimate> {
  return withHessian(runner, loss, weights, batches, targetModules, ({ size, product }) =>
    hutchinsonTrace(product, size, options),
  );
}
