/** The mean loss of several batches by a compiled program, and the grids on which it is asked for. */
import { check, type HostArray, orThrow } from '../../autodiff/index.js';
import { onHost, type ProgramRunner, type RunnableProgram } from './runner.js';

/** The mean of a program (weights, batch, …rest) ↦ loss over batches of equal size. */
export const meanLoss =
  (runner: ProgramRunner, program: RunnableProgram, batches: readonly unknown[]) =>
  async (weights: unknown, ...rest: readonly unknown[]): Promise<number> => {
    let sum = 0;
    for (const batch of batches) {
      sum += (await onHost<HostArray>(runner, program, weights, batch, ...rest)).get();
    }
    return sum / batches.length;
  };

/** Equally spaced numbers from `from` to `to`, both ends exact. */
export const spaced = (from: number, to: number, points: number): readonly number[] =>
  Array.from({ length: points }, (_, i) =>
    i === points - 1 ? to : from + ((to - from) * i) / (points - 1),
  );

/** @throws FlatloraError for fewer than two points, a range that is not positive, or no batch. */
export const checkGrid = (
  name: string,
  points: number,
  range: number,
  batches: readonly unknown[],
): void =>
  orThrow(
    check(
      Number.isInteger(points) && points >= 2 && range > 0 && batches.length > 0,
      'argument',
      () =>
        `${name}: ${points} points, range ${range}, ${batches.length} batches; expected at least 2 points, a range > 0 and a batch`,
    ),
  );
