/** How safetensors stores elements, and the typed arrays that stand for them here. */
import * as E from 'fp-ts/lib/Either.js';
import {
  Bfloat16Bits,
  Float16Bits,
  fail,
  type HalfPrecision,
  type HostArray,
  type HostData,
  hostArray,
  type Result,
  toFloat,
} from '../../autodiff/index.js';

/** Bytes per element of every storage type that is read. */
export const BYTES_PER_ELEMENT = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type StorageType = keyof typeof BYTES_PER_ELEMENT;

/** The storage types that are written, each exactly what it is in memory. */
export type WritableType = Exclude<StorageType, 'I64'>;

export const isStorageType = (x: unknown): x is StorageType =>
  typeof x === 'string' && Object.hasOwn(BYTES_PER_ELEMENT, x);

/** An array and how a file stores it. */
export interface StoredTensor<S extends StorageType = StorageType> {
  readonly storage: S;
  readonly array: HostArray;
}

const STORAGE_OF_CLASS: Readonly<Record<string, WritableType>> = {
  Float64Array: 'F64',
  Float32Array: 'F32',
  Int32Array: 'I32',
  Uint32Array: 'U32',
  Uint8Array: 'BOOL',
};

/** The storage type of a host array: that of its own elements; bytes are this library's booleans. */
export const storageOf = (data: HostData): WritableType =>
  'format' in data
    ? HALF_STORAGE[data.format]
    : // Names, not `instanceof`: arrays may come from another realm.
      (STORAGE_OF_CLASS[Object.prototype.toString.call(data).slice(8, -1)] as WritableType);

const HALF_STORAGE: Readonly<Record<HalfPrecision, WritableType>> = {
  bfloat16: 'BF16',
  float16: 'F16',
};

/** A tensor stored as its elements are in memory. */
export const stored = (array: HostArray): StoredTensor<WritableType> => ({
  storage: storageOf(array.data),
  array,
});

function narrow64(words: BigInt64Array): Result<Int32Array> {
  const out = new Int32Array(words.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(words[i]);
    if (BigInt(out[i] as number) !== words[i]) {
      return fail('checkpoint', `I64 element ${i} is ${words[i]}, beyond 32-bit integers`);
    }
  }
  return E.right(out);
}

export interface ReadOptions {
  /** Keep F16 and BF16 tensors in half precision, bit for bit, instead of widening them to float32. */
  readonly keepHalf?: boolean;
}

/**
 * The elements that `bytes` (little-endian, copied) stand for: F16 and BF16 kept or widened to
 * float32, I64 narrowed to 32 bits where every element fits.
 */
function elements(
  storage: StorageType,
  bytes: Uint8Array,
  { keepHalf = false }: ReadOptions,
): Result<HostData> {
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  const { buffer } = copy;
  switch (storage) {
    case 'F64':
      return E.right(new Float64Array(buffer));
    case 'F32':
      return E.right(new Float32Array(buffer));
    case 'I32':
      return E.right(new Int32Array(buffer));
    case 'U32':
      return E.right(new Uint32Array(buffer));
    case 'U8':
      return E.right(copy);
    case 'BOOL': {
      const odd = copy.find((x) => x > 1);
      return odd === undefined
        ? E.right(copy)
        : fail('checkpoint', `BOOL element is ${odd}, expected 0 or 1`);
    }
    case 'F16':
    case 'BF16': {
      const bits = storage === 'F16' ? new Float16Bits(buffer) : new Bfloat16Bits(buffer);
      return E.right(keepHalf ? bits : toFloat(hostArray(bits, [bits.length])).data);
    }
    case 'I64':
      return narrow64(new BigInt64Array(buffer));
  }
}

/** A tensor from its bytes in a file. */
export const readElements = (
  storage: StorageType,
  shape: readonly number[],
  bytes: Uint8Array,
  options: ReadOptions = {},
): Result<StoredTensor> =>
  E.map((data: HostData) => ({ storage, array: hostArray(data, shape) }))(
    elements(storage, bytes, options),
  );
