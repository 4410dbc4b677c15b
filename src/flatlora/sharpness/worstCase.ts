/**
 * Worst-case sharpness: how much the loss rises at the worst point of a ball around the weights,
 *
 *     max_{‖ε‖ ≤ ρ} L(w + ε) − L(w),
 *
 * the quantity that SAM's objective (Eq. 2 over LoRA's factors, Eq. 5 over the merged weights) adds to
 * the loss. One step gives SAM's own estimate, ε = ρ·g/‖g‖; further steps climb on from there.
 *
 * References: Foret et al., "Sharpness-aware minimization for efficiently improving generalization",
 * ICLR 2021; several steps of projected ascent as in Madry et al., ICLR 2018.
 */
import {
  add,
  check,
  evaluationContext,
  flatData,
  type HostArray,
  type Key,
  type Loss,
  orThrow,
  type Value,
  valueAndGrad,
} from '../../autodiff/index.js';
import { hostNormalMatrix } from '../hostMatrix.js';
import type { Target } from '../targets.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from './runner.js';
import { leavesAt, norm, parameterSpace, plusScaled, scaled, withLeaves } from './space.js';

export interface WorstCaseOptions {
  /** Radius ρ > 0 of the ball, in the Euclidean norm of all that moves together. */
  readonly rho: number;
  /** Gradients along the way; 1 by default, which is SAM's estimate. */
  readonly steps?: number;
  /**
   * Where to start: by default at the weights, along their gradient; with a key at a random point on
   * the ball's surface. At a minimum the gradient is zero and only the latter finds anything.
   */
  readonly start?: Key;
  /** Which matrices move; every array of floats by default. */
  readonly targetModules?: readonly Target[];
}

export interface WorstCase {
  /** L(w + ε) − L(w) for the highest point found: a lower bound of the maximum, at least 0. */
  readonly rise: number;
  /** L(w), the mean over the batches. */
  readonly loss: number;
  /** That ε, the chosen arrays one after the other. */
  readonly epsilon: Float64Array;
}

/** L and its gradient at w + ε, ε a list of arrays for the leaves at `places`; traceable. */
export const lossAndGradientAt =
  <W, X>(loss: Loss<W, X>, places: readonly number[]) =>
  (weights: W, batch: X, epsilon: readonly Value[]) => {
    const at = leavesAt(weights, places);
    const { value, gradient } = valueAndGrad((moved: readonly Value[]) =>
      loss(withLeaves(weights, places, moved), batch, evaluationContext()),
    )(at.map((w, i) => add(w, epsilon[i] as Value)));
    return { loss: value, gradient };
  };

interface Point {
  readonly epsilon: Float64Array;
  readonly loss: number;
  readonly gradient: Float64Array;
}

/** The nearest point of the ball. */
const inBall = (epsilon: Float64Array, rho: number): Float64Array => {
  const length = norm(epsilon);
  return length > rho ? scaled(epsilon, rho / length) : epsilon;
};

/**
 * The rise of the mean loss of equally large batches at the worst point found within ρ.
 *
 * Each step goes from the best point so far along its normalised gradient, by ρ at first, and back
 * into the ball; a step that does not climb is taken back and the next one is half as long.
 *
 * @param params host arrays: merged weights with the task's loss (the full space), or adapters with
 *   the adapted loss (the factors).
 * @throws FlatloraError when an option is out of range, there is no batch, or nothing to move.
 */
export async function worstCaseRise<P, X>(
  runner: ProgramRunner,
  loss: Loss<P, X>,
  params: unknown,
  batches: readonly unknown[],
  { rho, steps = 1, start, targetModules }: WorstCaseOptions,
): Promise<WorstCase> {
  orThrow(
    check(
      Number.isFinite(rho) && rho > 0,
      'argument',
      () => `worstCaseRise: rho is ${rho}, expected a number > 0`,
    ),
  );
  orThrow(
    check(
      Number.isInteger(steps) && steps >= 1 && batches.length > 0,
      'argument',
      () =>
        `worstCaseRise: ${steps} steps on ${batches.length} batches, expected at least 1 on at least 1`,
    ),
  );
  const space = parameterSpace(params, targetModules);
  return withProgram(runner, lossAndGradientAt(loss, space.places), (program) =>
    withUploaded(runner, params, async (onDevice) => {
      const evaluated = async (epsilon: Float64Array): Promise<Point> => {
        let total = 0;
        let sum: Float64Array = new Float64Array(space.size);
        for (const batch of batches) {
          const found = await onHost<{ loss: HostArray; gradient: readonly HostArray[] }>(
            runner,
            program,
            onDevice,
            batch,
            space.arrays(epsilon),
          );
          total += found.loss.get();
          sum = plusScaled(sum, 1, space.vector(found.gradient));
        }
        const share = 1 / batches.length;
        return { epsilon, loss: share * total, gradient: scaled(sum, share) };
      };
      const calm = await evaluated(new Float64Array(space.size));
      let from = calm;
      if (start !== undefined) {
        const away = Float64Array.from(flatData(hostNormalMatrix(start, [space.size], 1)));
        from = await evaluated(scaled(away, rho / norm(away)));
      }
      let best = from.loss > calm.loss ? from : calm;
      let stride = rho;
      for (let step = 0; step < steps; step++) {
        const slope = norm(from.gradient);
        if (slope === 0) break;
        const next = await evaluated(
          inBall(plusScaled(from.epsilon, stride / slope, from.gradient), rho),
        );
        if (next.loss > from.loss) from = next;
        else stride /= 2;
        if (next.loss > best.loss) best = next;
      }
      return { rise: best.loss - calm.loss, loss: calm.loss, epsilon: best.epsilon };
    }),
  );
}
