/**
 * The top eigenvalue of the loss's Hessian in the full parameter space: the curvature along the
 * sharpest direction, by Lanczos on Hessian–vector products.
 */
import {
  check,
  evaluationContext,
  flatData,
  flatten,
  foldIn,
  type HostArray,
  hostArray,
  hvp,
  type Key,
  type Loss,
  orThrow,
  unflatten,
  type Value,
} from '../../autodiff/index.js';
import { hostNormalMatrix } from '../hostMatrix.js';
import { type LanczosOptions, lanczos, type TopEigenvalue } from './lanczos.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from './runner.js';

/** One step: H·v at the weights, a tree like them; traceable. */
export const hessianProduct =
  <W, X>(loss: Loss<W, X>) =>
  (weights: W, batch: X, direction: W): unknown =>
    hvp((w: W): Value => loss(w, batch, evaluationContext()))(direction, weights);

export interface HessianOptions extends LanczosOptions {
  /** Picks the start vector; the same key gives the same result. */
  readonly key: Key;
}

/**
 * The largest eigenvalue of ∇²L at the weights (all leaves, which must be floats), L the mean over
 * batches of equal size. It stops when the relative residual is within the tolerance; on float32
 * backends 10⁻⁴ is about the least to ask for.
 */
export async function topHessianEigenvalue<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  { key, ...options }: HessianOptions,
): Promise<TopEigenvalue> {
  orThrow(
    check(
      batches.length > 0,
      'argument',
      () => 'topHessianEigenvalue: no batches given, expected at least one',
    ),
  );
  const { leaves, shape } = flatten<HostArray>(weights);
  const sizes = leaves.map((leaf) => leaf.size);
  const total = sizes.reduce((sum, n) => sum + n, 0);
  const toTree = (v: Float64Array) => {
    let from = 0;
    const parts = leaves.map((leaf) => {
      const part = v.subarray(from, from + leaf.size);
      from += leaf.size;
      return hostArray(part, leaf.shape);
    });
    return unflatten<unknown>(shape, parts);
  };
  const start = Float64Array.from(flatData(hostNormalMatrix(foldIn(key, 0), [total], 1)));
  return withProgram(runner, hessianProduct(loss), (program) =>
    withUploaded(runner, weights, (onDevice) =>
      lanczos(
        async (v) => {
          const out = new Float64Array(total);
          for (const batch of batches) {
            const tree = await onHost<unknown>(runner, program, onDevice, batch, toTree(v));
            let next = 0;
            for (const leaf of flatten<HostArray>(tree).leaves) {
              for (const x of flatData(leaf)) {
                out[next] = (out[next] as number) + x;
                next += 1;
              }
            }
          }
          return out.map((x) => x / batches.length);
        },
        start,
        options,
      ),
    ),
  );
}
