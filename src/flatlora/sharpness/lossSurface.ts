/**
 * The loss on lines and planes through the weights, L(W + x·d₁ + y·d₂): the surfaces of Figure 6 of
 * the Flat-LoRA paper, after Li et al. 2018. The paper gives neither range nor grid; ours are options.
 *
 * Weights are any tree: merged weights with the task's loss show the full parameter space, LoRA's
 * factors with the adapted loss show the space that LoRA trains in (the two curves of Figure 1).
 */
import {
  add,
  evaluationContext,
  flatten,
  type Key,
  type Loss,
  mul,
  split,
  treeLeaves,
  unflatten,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { filterNormalisedDirection } from './directions.js';
import { checkGrid, meanLoss, spaced } from './losses.js';
import { type ProgramRunner, withProgram, withUploaded } from './runner.js';

export interface SurfaceGrid {
  /** Coordinates run from −range to range; 1 by default, where a step is as long as the weights. */
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

/** W + Σ x_k·d_k; traceable. Half precision is widened; leaves that are no floats stay. */
export function movedWeights<W>(
  weights: W,
  directions: readonly unknown[],
  coordinates: readonly Value[],
): W {
  const { leaves: stored, shape } = flatten<Value>(weights);
  const leaves = stored.map(widened);
  const along = directions.map((direction) => treeLeaves<Value>(direction));
  const moved = leaves.map((w, i) =>
    w.dtype === 'float'
      ? add(
          w,
          along
            .map((d, k) => mul(coordinates[k] as Value, d[i] as Value))
            .reduce((sum, step) => add(sum, step)),
        )
      : w,
  );
  return unflatten<W>(shape, moved);
}

/** L(W + x·d₁ + y·d₂); traceable. */
export const lossOnPlane =
  <W, X>(loss: Loss<W, X>) =>
  (weights: W, batch: X, first: W, second: W, x: Value, y: Value): Value =>
    loss(movedWeights(weights, [first, second], [x, y]), batch, evaluationContext());

/** L(W + x·d); traceable. */
export const lossOnLine =
  <W, X>(loss: Loss<W, X>) =>
  (weights: W, batch: X, direction: W, x: Value): Value =>
    loss(movedWeights(weights, [direction], [x]), batch, evaluationContext());

/** The mean loss of equally large batches on a grid, by one compiled program. */
export async function lossSurface<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  directions: readonly [unknown, unknown],
  { range = 1, points = 21 }: SurfaceGrid = {},
): Promise<LossSurface> {
  checkGrid('lossSurface', points, range, batches);
  const coordinates = spaced(-range, range, points);
  return withProgram(runner, lossOnPlane(loss), (program) =>
    withUploaded(runner, [weights, ...directions], async (onDevice) => {
      const [w, d1, d2] = onDevice as readonly unknown[];
      const at = meanLoss(runner, program, batches);
      const losses: number[][] = [];
      for (const x of coordinates) {
        const row: number[] = [];
        for (const y of coordinates) row.push(await at(w, d1, d2, x, y));
        losses.push(row);
      }
      return { coordinates, losses };
    }),
  );
}

export interface LineOptions extends SurfaceGrid {
  /** Picks the directions: the same ones for the same key, whatever the weights. */
  readonly key: Key;
  /** How many random directions, to tell what is common from chance; 8 by default. */
  readonly directions?: number;
}

export interface LossLines {
  readonly coordinates: readonly number[];
  /** `losses[k][i]` is the loss at `coordinates[i]` along the k-th direction. */
  readonly losses: readonly (readonly number[])[];
}

/** The mean loss along random filter-normalised directions, one line for each. */
export async function lossLines<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  batches: readonly unknown[],
  { key, directions = 8, range = 1, points = 21 }: LineOptions,
): Promise<LossLines> {
  checkGrid('lossLines', points, range, batches);
  const coordinates = spaced(-range, range, points);
  return withProgram(runner, lossOnLine(loss), (program) =>
    withUploaded(runner, weights, async (w) => {
      const at = meanLoss(runner, program, batches);
      const losses: number[][] = [];
      for (const own of split(key, directions)) {
        const direction = filterNormalisedDirection(weights, own);
        losses.push(
          await withUploaded(runner, direction, async (d) => {
            const line: number[] = [];
            for (const x of coordinates) line.push(await at(w, d, x));
            return line;
          }),
        );
      }
      return { coordinates, losses };
    }),
  );
}
