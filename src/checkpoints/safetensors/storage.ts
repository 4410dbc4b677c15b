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
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  BOOL: 1,
} as const;

export type StorageType = keyof typeof BYTES_PER_ELEMENT;

/** The storage types that are written, each exactly what it is in memory. */
export type WritableType = Exclude<
  StorageType,
  'I64' | 'U64' | 'I16' | 'U16' | 'I8' | 'F8_E4M3' | 'F8_E5M2'
>;

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

/**
 * What each byte of an 8-bit float stands for. Micikevicius et al., "FP8 formats for deep learning",
 * 2022: E5M2 is shaped like IEEE's formats; E4M3 has no infinity and one NaN of each sign.
 */
function floatsOf8Bits(exponentBits: 4 | 5): Float32Array {
  const mantissaBits = 7 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const last = 2 ** exponentBits - 1;
  return Float32Array.from({ length: 256 }, (_, byte) => {
    const sign = byte > 127 ? -1 : 1;
    const exponent = (byte >> mantissaBits) & last;
    const mantissa = byte & (2 ** mantissaBits - 1);
    if (exponent === last && exponentBits === 5) {
      return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    }
    if (exponent === last && mantissa === 7) return Number.NaN;
    const fraction = mantissa / 2 ** mantissaBits;
    return exponent === 0
      ? sign * fraction * 2 ** (1 - bias)
      : sign * (1 + fraction) * 2 ** (exponent - bias);
  });
}

function narrow64(storage: string, words: BigInt64Array | BigUint64Array): Result<Int32Array> {
  const out = new Int32Array(words.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = Number(words[i]);
    if (BigInt(out[i] as number) !== words[i]) {
      return fail('checkpoint', `${storage} element ${i} is ${words[i]}, beyond 32-bit integers`);
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
 * float32, eight-bit floats widened, I64 and U64 narrowed to 32 bits where every element fits, shorter
 * integers widened.
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
      return narrow64(storage, new BigInt64Array(buffer));
    case 'U64':
      return narrow64(storage, new BigUint64Array(buffer));
    case 'I16':
      return E.right(Int32Array.from(new Int16Array(buffer)));
    case 'U16':
      return E.right(Int32Array.from(new Uint16Array(buffer)));
    case 'I8':
      return E.right(Int32Array.from(new Int8Array(buffer)));
    case 'F8_E4M3':
    case 'F8_E5M2': {
      const table = floatsOf8Bits(storage === 'F8_E4M3' ? 4 : 5);
      return E.right(Float32Array.from(copy, (byte) => table[byte] as number));
    }
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
