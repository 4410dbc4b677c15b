/** Arrays of zeros, of which only shapes matter. */
import { type HostArray, hostArray, type Shape, sizeOf } from '../../autodiff/index.js';

export const blankInts = (...shape: Shape): HostArray =>
  hostArray(new Int32Array(sizeOf(shape)), shape);
export const blankBooleans = (...shape: Shape): HostArray =>
  hostArray(new Uint8Array(sizeOf(shape)), shape);
export const blankFloats = (...shape: Shape): HostArray =>
  hostArray(new Float32Array(sizeOf(shape)), shape);
