/**
 * The covariance of what goes into each target, for CorDA.
 *
 * No model has to be changed for this: layers ask their weight only what it does to x, so a
 * `LinearOperator` in the place of the weight sees every x that the layer gets.
 */
import {
  abs,
  add,
  denseOperator,
  div,
  evaluationContext,
  FlatloraError,
  gt,
  type LinearOperator,
  type Loss,
  matmulTransposed,
  orThrow,
  reduceMax,
  reshape,
  select,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import type { ProgramRunner } from '../sharpness/runner.js';
import { selectTargets, type Target } from '../targets.js';
import type { LayerStatistics } from './layerStatistics.js';
import { meanOverBatches, valuesAt, withWeights } from './meanOverBatches.js';

/** An operator that shows what it is applied to. */
const watched = (matrix: Value, see: (x: Value) => void): LinearOperator => ({
  ...denseOperator(matrix),
  apply: (x) => {
    see(x);
    return denseOperator(matrix).apply(x);
  },
});

/** XᵀX of rows x [b…, n] divided by the greatest |x| among them; zero stays zero. */
function covariance(x: Value): Value {
  const n = x.shape[x.shape.length - 1] as number;
  const rows = reshape(x, [x.shape.slice(0, -1).reduce((count, d) => count * d, 1), n]);
  const greatest = reduceMax(abs(rows));
  const columns = transpose(div(rows, select(gt(greatest, 0), greatest, 1)));
  return matmulTransposed(columns, columns);
}

/**
 * C = XᵀX [n, n] of each target, the mean over batches, as float64. As in CorDA's code, X is divided by
 * the greatest |x| of the batch, and what is summed is every position of it, so a batch should hold
 * what the authors call a sample (there: one sequence of 2,048 tokens, 256 of them). A layer that a
 * batch passes through twice counts both times.
 *
 * @param loss of weights and batch, before `adapt`; what it returns plays no part.
 * @param weights the pre-trained weights, host arrays; half precision is widened.
 * @throws FlatloraError when there is no batch, a target names no matrix, or a target's weight is not
 *   applied to anything, such as an embedding. What a layer gets inside `checkpoint` is a value of
 *   another traced function, and refused as such: turn the model's `checkpoint` off for this.
 */
export async function layerCovariances<W, X>(
  runner: ProgramRunner,
  loss: Loss<W, X>,
  weights: unknown,
  targetModules: readonly Target[],
  batches: readonly unknown[],
): Promise<LayerStatistics> {
  const paths = orThrow(selectTargets(weights, targetModules));
  const covariances = (all: W, batch: X): Readonly<Record<string, Value>> => {
    const sums = new Map<string, Value>();
    const watch = (path: string) => (x: Value) => {
      const sum = sums.get(path);
      sums.set(path, sum === undefined ? covariance(x) : add(sum, covariance(x)));
    };
    const operators = Object.entries(valuesAt(all, paths)).map(
      ([path, matrix]) => [path, watched(matrix, watch(path))] as const,
    );
    loss(withWeights(all, Object.fromEntries(operators)), batch, evaluationContext());
    const unused = paths.find((path) => !sums.has(path));
    if (unused !== undefined) {
      throw new FlatloraError(
        'argument',
        `layerCovariances: "${unused}" is applied to nothing in this loss, expected a linear layer's weight`,
      );
    }
    return Object.fromEntries(sums);
  };
  return meanOverBatches('layerCovariances', runner, covariances, weights, batches);
}
