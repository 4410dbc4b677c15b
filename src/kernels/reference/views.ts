/** Loops over ndarray views, on which the reference backend rests. */
import ndarray from 'ndarray';
import { type Aval, type HostArray, sizeOf, storage } from '../../autodiff/index.js';

/** A fresh array in double precision, filled with zeros. */
export const empty = ({ shape, dtype }: Aval): HostArray =>
  ndarray(storage(dtype, sizeOf(shape)), [...shape]);

/**
 * Where each element of a view lies in its memory, in row-major order of the view. Everything else
 * is a loop over these positions.
 */
export function positions({ shape, stride, offset }: HostArray): Int32Array {
  const out = new Int32Array(sizeOf(shape));
  if (out.length === 0) return out;
  const rank = shape.length;
  const index = new Int32Array(rank);
  let at = offset;
  for (let i = 0; i < out.length; i++) {
    out[i] = at;
    for (let axis = rank - 1; axis >= 0; axis--) {
      const step = stride[axis] as number;
      at += step;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      at -= step * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  return out;
}

/** A view of the same memory with other axes. */
export const view = (
  x: HostArray,
  shape: readonly number[],
  stride: readonly number[],
  offset = x.offset,
): HostArray => ndarray(x.data, [...shape], [...stride], offset);

/** The axes of a view in another order, some perhaps left out. */
export const pickAxes = (x: HostArray, axes: readonly number[], offset = x.offset): HostArray =>
  view(
    x,
    axes.map((a) => x.shape[a] as number),
    axes.map((a) => x.stride[a] as number),
    offset,
  );
