/** Small matrices as nested lists, and the weight that a model sees. */
import {
  asOperator,
  type HostArray,
  type LossContext,
  type Value,
} from '../../src/autodiff/index.js';
import { run } from '../support/numeric.js';
import type { AnyLoss } from './seenWeights.js';
import { type Batch, trainingContext } from './support.js';

export type Matrix = readonly (readonly number[])[];
export const matrixOf = (x: HostArray): Matrix =>
  Array.from({ length: x.shape[0] as number }, (_, i) =>
    Array.from({ length: x.shape[1] as number }, (_unused, j) => x.get(i, j)),
  );
export const transposed = (x: Matrix): Matrix =>
  (x[0] as readonly number[]).map((_, j) => x.map((row) => row[j] as number));
export const times = (x: Matrix, y: Matrix): Matrix =>
  x.map((row) =>
    transposed(y).map((column) => row.reduce((s, v, k) => s + v * (column[k] as number), 0)),
  );
export const plus = (x: Matrix, y: Matrix): Matrix =>
  x.map((row, i) => row.map((v, j) => v + (y[i]?.[j] as number)));
export const scaledBy = (c: number, x: Matrix): Matrix => x.map((row) => row.map((v) => c * v));
export const frobenius = (x: Matrix) => Math.sqrt(x.flat().reduce((s, v) => s + v * v, 0));

/** W + s·B·A of the first layer as the model sees it in the last pass of a transformed loss. */
export function lastWeight(
  loss: AnyLoss,
  transformer: (loss: AnyLoss) => AnyLoss,
  params: unknown,
  name: string,
  data: unknown,
): Matrix {
  const [seen] = run(
    (p: never, b: Batch) => {
      let last: Value | undefined;
      const context: LossContext = trainingContext();
      transformer(loss)(p, b, {
        ...context,
        weight: (w, layer) => {
          if (layer === name) last = asOperator(w).dense();
          return w;
        },
      });
      return last;
    },
    params,
    data,
  );
  return matrixOf(seen as HostArray);
}
