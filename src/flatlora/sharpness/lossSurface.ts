/**
 * The loss over a plane through the weights, L(W + x·d₁ + y·d₂): the surfaces of Figure 6 of the
 * Flat-LoRA paper, after Li et al. 2018. The paper gives neither range nor grid; ours are options.
 */
import {
  add,
  check,
  evaluationContext,
  flatten,
  type HostArray,
  type Loss,
  mul,
  orThrow,
  treeLeaves,
  unflatten,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from './runner.js';

export interface SurfaceGrid {
  /** Both coordinates run from −range to range; 1 by default, where a step is as long as the weights. */
  readonly range?: number;
  /** Points along each axis; an odd number has the weights themselves in the middle. 21 by default. */
  readonly points?: number;
}

export interface LossSurface {
  /** The coordinates along both directions. */
  readonly coordinates: readonly number[];
  /** `losses[i][j]` is the loss at `coordinates[i]`·d₁ + `coordinates[j]`·d₂. */
  readonly losses: readonly (readonly number[])[];
}

/** L(W + x·d₁ + y·d₂); traceable. Half precision is widened; leaves that are no floats stay. */
export const lossOnPlane =
  <W, X>(loss: Loss<W, X>) =>
  (weights: W, batch: X, first: W, second: W, x: Value, y: Value): Value => {
    const { leaves: stored, shape } = flatten<Value>(weights);
    const leaves = stored.map(widened);
    const [d1, d2] = [treeLeaves<Value>(first), treeLeaves<Value>(second)];
    const moved = leaves.map((w, i) =>
      w.dtype === 'float' ? add(w, add(mul(x, d1[i] as Value), mul(y, d2[i] as Value))) : w,
    );
    return loss(unflatten<W>(shape, moved), batch, evaluationContext());
  };

/** The mean loss of equally large batches on a grid, by one compiled program. */
export async function lossSurface<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  directions: readonly [unknown, unknown],
  { range = 1, points = 21 }: SurfaceGrid = {},
): Promise<LossSurface> {
  orThrow(
    check(
      Number.isInteger(points) && points >= 2 && range > 0 && batches.length > 0,
      'argument',
      () =>
        `lossSurface: ${points} points, range ${range}, ${batches.length} batches; expected at least 2 points, a range > 0 and a batch`,
    ),
  );
  const coordinates = Array.from(
    { length: points },
    (_, i) => range * ((2 * i) / (points - 1) - 1),
  );
  return withProgram(runner, lossOnPlane(loss), (program) =>
    withUploaded(runner, [weights, ...directions], async (onDevice) => {
      const [w, d1, d2] = onDevice as readonly unknown[];
      const losses: number[][] = [];
      for (const x of coordinates) {
        const row: number[] = [];
        for (const y of coordinates) {
          let sum = 0;
          for (const batch of batches) {
            sum += (await onHost<HostArray>(runner, program, w, batch, d1, d2, x, y)).get();
          }
          row.push(sum / batches.length);
        }
        losses.push(row);
      }
      return { coordinates, losses };
    }),
  );
}
