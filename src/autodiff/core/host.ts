/**
 * Host arrays: `ndarray` views, the form in which data enters and leaves programs.
 * The typed array's class tells the element type.
 */
import ndarray, { type NdArray } from 'ndarray';
import { type Aval, type DType, type HalfPrecision, isHalf, type Shape, sizeOf } from './aval.js';
import { FlatloraError } from './errors.js';
import { roundedBits, widenedBits } from './halfArrays.js';
import { type HalfBits, halfStorage, numberOfHalf } from './halfBits.js';

/** Element storage of a host array. */
export type HostData =
  | Float64Array
  | Float32Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | HalfBits;

/** An array on the host. */
export type HostArray = NdArray<HostData>;

// Names, not `instanceof`: arrays may come from another realm (a worker, a test's sandbox).
const DTYPE_OF_CLASS: Readonly<Record<string, DType>> = {
  Float64Array: 'float',
  Float32Array: 'float',
  Int32Array: 'int',
  Uint32Array: 'uint',
  Uint8Array: 'bool',
};

const className = (data: unknown): string => Object.prototype.toString.call(data).slice(8, -1);

/** The dtype of element storage; `undefined` for what is none, plain 16-bit words among them. */
const dtypeOfData = (data: unknown): DType | undefined =>
  className(data) === 'Uint16Array'
    ? (data as Partial<HalfBits>).format
    : DTYPE_OF_CLASS[className(data)];

export const isHostArray = (x: unknown): x is HostArray =>
  typeof x === 'object' &&
  x !== null &&
  'data' in x &&
  'stride' in x &&
  'offset' in x &&
  dtypeOfData((x as HostArray).data) !== undefined;

export function dtypeOfHost(array: HostArray): DType {
  const dtype = dtypeOfData(array.data);
  if (dtype === undefined) {
    throw new FlatloraError(
      'dtype',
      `host array: element storage ${className(array.data)}, expected Float64Array, Float32Array, Int32Array, Uint32Array (random words), Uint8Array (booleans), Bfloat16Bits or Float16Bits`,
    );
  }
  return dtype;
}

export const avalOfHost = (array: HostArray): Aval => ({
  shape: [...array.shape],
  dtype: dtypeOfHost(array),
});

/** Fresh row-major storage for `size` elements; floats in double precision unless told. */
export function storage(dtype: DType, size: number, precision: 32 | 64 = 64): HostData {
  switch (dtype) {
    case 'float':
      return precision === 64 ? new Float64Array(size) : new Float32Array(size);
    case 'int':
      return new Int32Array(size);
    case 'uint':
      return new Uint32Array(size);
    case 'bool':
      return new Uint8Array(size);
    default:
      return halfStorage(dtype, size);
  }
}

const isRowMajor = (array: HostArray): boolean => {
  let step = 1;
  for (let axis = array.shape.length - 1; axis >= 0; axis--) {
    if (array.shape[axis] !== 1 && array.stride[axis] !== step) return false;
    step *= array.shape[axis] as number;
  }
  return true;
};

/** The elements in row-major order: the array's own memory where it is contiguous, else a copy. */
export function flatData(array: HostArray): HostData {
  const size = sizeOf(array.shape);
  if (isRowMajor(array)) return array.data.subarray(array.offset, array.offset + size);
  const out = storage(dtypeOfHost(array), size, className(array.data) === 'Float32Array' ? 32 : 64);
  const index = new Array<number>(array.shape.length).fill(0);
  for (let i = 0; i < size; i++) {
    out[i] = array.get(...index) as number;
    for (let axis = index.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (array.shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return out;
}

/** Wraps row-major data; `ndarray`'s own constructor with the size checked. */
export function hostArray<D extends HostData>(data: D, shape: Shape): NdArray<D> {
  if (data.length !== sizeOf(shape)) {
    throw new FlatloraError(
      'shape',
      `hostArray: ${data.length} elements do not fill shape [${shape.join(',')}]`,
    );
  }
  return ndarray(data, [...shape]);
}

/** A float64 array from nested or flat numbers, for examples and tests. */
export const floats = (values: ArrayLike<number>, shape: Shape = [values.length]): HostArray =>
  hostArray(Float64Array.from(values), shape);

/** An int32 array from numbers. */
export const ints = (values: ArrayLike<number>, shape: Shape = [values.length]): HostArray =>
  hostArray(Int32Array.from(values), shape);

/** The number at a place of element storage: what half-precision bits stand for, else the element. */
export function numberAt(array: HostArray, place: number): number {
  const dtype = dtypeOfHost(array);
  const element = array.data[place] as number;
  return isHalf(dtype) ? numberOfHalf(element, dtype) : element;
}

/** A copy in half precision, each number rounded to the nearest (ties to even; ±∞ beyond the range). */
export function toHalf(array: HostArray, precision: HalfPrecision): HostArray {
  return hostArray(roundedBits(toFloat(array).data, precision), array.shape);
}

/**
 * A half-precision array as float32, which is exact; a float array in its own precision.
 * @throws FlatloraError when the array holds integers, random words or booleans.
 */
export function toFloat(array: HostArray): HostArray {
  const dtype = dtypeOfHost(array);
  if (dtype !== 'float' && !isHalf(dtype)) {
    throw new FlatloraError(
      'dtype',
      `toFloat: array is ${dtype}, expected float or half precision`,
    );
  }
  const data = flatData(array);
  return hostArray(isHalf(dtype) ? widenedBits(data, dtype) : data, array.shape);
}
