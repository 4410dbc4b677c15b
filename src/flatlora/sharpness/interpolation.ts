/**
 * The loss between two solutions, L((1 − t)·W₀ + t·W₁), and its barrier: how far the path rises above
 * the straight line between its ends. No barrier means that both lie in one basin.
 *
 * References: Goodfellow, Vinyals, Saxe, "Qualitatively characterizing neural network optimization
 * problems", ICLR 2015; Frankle et al., "Linear mode connectivity and the lottery ticket hypothesis",
 * ICML 2020 (the barrier as in Entezari et al., ICLR 2022, Definition 2.1).
 */
import {
  add,
  evaluationContext,
  type Loss,
  mul,
  sub,
  treeMap2,
  type Value,
  widened,
} from '../../autodiff/index.js';
import { checkGrid, meanLoss, spaced } from './losses.js';
import { type ProgramRunner, withProgram, withUploaded } from './runner.js';

export interface InterpolationOptions {
  /** Values of t, both ends among them; 21 by default. */
  readonly points?: number;
  /** How far the path goes on beyond both solutions: t from −beyond to 1 + beyond; 0 by default. */
  readonly beyond?: number;
}

export interface Interpolation {
  /** t: 0 is the first solution, 1 the second. */
  readonly coordinates: readonly number[];
  readonly losses: readonly number[];
  /** max over 0 ≤ t ≤ 1 of L(t) − ((1 − t)·L(0) + t·L(1)); at least 0. */
  readonly barrier: number;
}

/** (1 − t)·W₀ + t·W₁ at every float, exact at t = 0 and t = 1; other leaves are the first tree's. */
export const interpolated = <W>(from: W, to: W, t: Value): W =>
  treeMap2(
    (a: Value, b: Value) => {
      const [x, y] = [widened(a), widened(b)];
      return x.dtype === 'float' ? add(mul(sub(1, t), x), mul(t, y)) : x;
    },
    from,
    to,
  ) as W;

/**
 * The mean loss of equally large batches on the line through two trees of weights (merged weights,
 * or adapters with the adapted loss).
 * @throws FlatloraError when the trees differ, there is no batch, or an option is out of range.
 */
export async function interpolate<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  from: unknown,
  to: unknown,
  batches: readonly unknown[],
  { points = 21, beyond = 0 }: InterpolationOptions = {},
): Promise<Interpolation> {
  checkGrid('interpolate', points, 1 + beyond, batches);
  const inside = spaced(0, 1, points);
  const outside = inside.slice(1).map((t) => t * beyond);
  const coordinates =
    beyond > 0
      ? [...outside.map((t) => -t).reverse(), ...inside, ...outside.map((t) => 1 + t)]
      : inside;
  return withProgram(
    runner,
    ([a, b]: readonly [W, W], batch: X, t: Value) =>
      loss(interpolated(a, b, t), batch, evaluationContext()),
    (program) =>
      withUploaded(runner, [from, to], async (ends) => {
        const mean = meanLoss(runner, program, batches);
        const losses: number[] = [];
        for (const t of coordinates) losses.push(await mean(ends, t));
        const at = (t: number) => losses[coordinates.indexOf(t)] as number;
        const above = inside.map((t) => at(t) - ((1 - t) * at(0) + t * at(1)));
        return { coordinates, losses, barrier: Math.max(0, ...above) };
      }),
  );
}
