/**
 * Filter-normalised random directions: Gaussian noise whose every output row has the norm of the
 * weight's row, so that plots of different networks can be compared. Biases, norm scales and other
 * vectors do not move.
 *
 *     d_i ← d_i · ‖w_i‖ / ‖d_i‖
 *
 * Reference: Li, Xu, Taylor, Studer, Goldstein, "Visualizing the loss landscape of neural nets",
 * NeurIPS 2018, Section 4.
 */
import {
  dtypeOfHost,
  flatData,
  foldIn,
  type HostArray,
  hostArray,
  isHalf,
  type Key,
  treeMap,
} from '../../autodiff/index.js';
import { hostNormalMatrix, numbersOf } from '../hostMatrix.js';
import { layerId } from '../layerNames.js';

const rowNorm = (data: ArrayLike<number>, from: number, to: number): number => {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (data[i] as number) ** 2;
  return Math.sqrt(sum);
};

/** One array's direction; a filter is what one index of the first axis selects. */
function normalisedNoise(weight: HostArray, key: Key): HostArray {
  const out = new Float64Array(weight.size);
  const dtype = dtypeOfHost(weight);
  if (weight.shape.length >= 2 && (dtype === 'float' || isHalf(dtype))) {
    const w = numbersOf(weight);
    const d = flatData(hostNormalMatrix(key, weight.shape, 1));
    const width = weight.size / (weight.shape[0] as number);
    for (let from = 0; from < out.length; from += width) {
      const to = from + width;
      const scale = rowNorm(w, from, to) / rowNorm(d, from, to);
      for (let i = from; i < to; i++) out[i] = (d[i] as number) * scale;
    }
  }
  return hostArray(out, weight.shape);
}

/** A random direction in the space of a tree of host weights. */
export const filterNormalisedDirection = <W>(weights: W, key: Key): W =>
  treeMap(
    (weight: HostArray, path) => normalisedNoise(weight, foldIn(key, layerId(path))),
    weights,
  ) as W;
