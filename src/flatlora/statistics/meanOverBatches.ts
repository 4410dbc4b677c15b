/** Means over calibration batches of what a program gives for each, in float64 on the host. */
import {
  check,
  flatData,
  flatten,
  type HostArray,
  hostArray,
  orThrow,
  treeMap,
  type Value,
  type Weight,
  widened,
} from '../../autodiff/index.js';
import { onHost, type ProgramRunner, withProgram, withUploaded } from '../sharpness/runner.js';
import type { LayerStatistics } from './layerStatistics.js';

/** A tree of weights, half precision widened, with other weights at some places. */
export const withWeights = <W>(weights: W, at: Readonly<Record<string, Weight>>): W =>
  treeMap((stored: Value, path: string) => at[path] ?? widened(stored), weights) as W;

/** The values at some paths of a tree; half precision is widened. */
export function valuesAt(
  weights: unknown,
  paths: readonly string[],
): Readonly<Record<string, Value>> {
  const { leaves, paths: all } = flatten<Value>(weights);
  return Object.fromEntries(
    paths.map((path) => [path, widened(leaves[all.indexOf(path)] as Value)]),
  );
}

/** The mean over batches of `measure(weights, batch)`, a traceable function to arrays by layer. */
export async function meanOverBatches<W, X>(
  name: string,
  runner: ProgramRunner,
  measure: (weights: W, batch: X) => Readonly<Record<string, Value>>,
  weights: unknown,
  batches: readonly unknown[],
): Promise<LayerStatistics> {
  orThrow(
    check(batches.length > 0, 'argument', () => `${name}: no batches given, expected at least one`),
  );
  return withProgram(runner, measure, (program) =>
    withUploaded(runner, weights, async (onDevice) => {
      const sums = new Map<string, HostArray>();
      for (const batch of batches) {
        const found = await onHost<Record<string, HostArray>>(runner, program, onDevice, batch);
        for (const [path, array] of Object.entries(found)) {
          const sum = sums.get(path)?.data ?? new Float64Array(array.size);
          const data = flatData(array);
          sums.set(
            path,
            hostArray(
              Float64Array.from(data, (x, i) => (sum[i] as number) + x / batches.length),
              array.shape,
            ),
          );
        }
      }
      return Object.fromEntries(sums);
    }),
  );
}
