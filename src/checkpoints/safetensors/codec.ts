/** Safetensors: named tensors as bytes and back, both as pure functions. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, flatData, type Result } from '../../autodiff/index.js';
import { METADATA, readHeader } from './header.js';
import {
  BYTES_PER_ELEMENT,
  type ReadOptions,
  readElements,
  type StoredTensor,
  storageOf,
  type WritableType,
} from './storage.js';

/** What a file holds. */
export interface Safetensors<T extends StoredTensor = StoredTensor> {
  readonly tensors: ReadonlyMap<string, T>;
  readonly metadata: ReadonlyMap<string, string>;
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const endianness = (): Result<void> =>
  isLittleEndian
    ? E.right(undefined)
    : fail(
        'checkpoint',
        'safetensors: this machine stores numbers big-endian, which is not supported',
      );

/**
 * Reads a file. Every length, offset, name and element type is checked before anything is allocated;
 * memory beyond the file's own is at most twice its size (half precision is widened unless it is kept).
 *
 * @returns problem `checkpoint` with a message that names the tensor and what is wrong with it.
 */
export const decodeSafetensors = (
  file: Uint8Array,
  options: ReadOptions = {},
): Result<Safetensors> =>
  E.flatMap(endianness(), () =>
    E.flatMap(readHeader(file), ({ metadata, entries, dataStart }) => {
      const tensors = new Map<string, StoredTensor>();
      for (const { name, storage, shape, from, to } of entries) {
        const tensor = readElements(
          storage,
          shape,
          file.subarray(dataStart + from, dataStart + to),
          options,
        );
        if (E.isLeft(tensor)) {
          return fail('checkpoint', `safetensors: tensor "${name}": ${tensor.left.message}`);
        }
        tensors.set(name, tensor.right);
      }
      return E.right({ tensors, metadata });
    }),
  );

const byName = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/**
 * Writes a file. Equal contents give equal bytes: tensors are ordered by element size, widest first
 * (which aligns them all), then by name; the header is padded with spaces to 8 bytes.
 *
 * @returns problem `checkpoint` when a name or a storage type cannot be written.
 */
export const encodeSafetensors = (
  contents: Safetensors<StoredTensor<WritableType>>,
): Result<Uint8Array> => E.flatMap(endianness(), () => encodeLittleEndian(contents));

function encodeLittleEndian({
  tensors,
  metadata,
}: Safetensors<StoredTensor<WritableType>>): Result<Uint8Array> {
  const ordered = [...tensors].sort(
    ([a, x], [b, y]) => BYTES_PER_ELEMENT[y.storage] - BYTES_PER_ELEMENT[x.storage] || byName(a, b),
  );
  const fields: [string, string][] = [];
  if (metadata.size > 0) {
    const sorted = [...metadata].sort(([a], [b]) => byName(a, b));
    fields.push([METADATA, jsonObject(sorted.map(([k, v]) => [k, JSON.stringify(v)]))]);
  }
  let end = 0;
  for (const [name, { storage, array }] of ordered) {
    if (name === METADATA) return fail('checkpoint', `safetensors: a tensor is named ${METADATA}`);
    const natural = storageOf(array.data);
    if (storage !== natural && !(storage === 'U8' && natural === 'BOOL')) {
      return fail(
        'checkpoint',
        `safetensors: tensor "${name}" is given as ${natural}, cannot be written as ${storage}`,
      );
    }
    const from = end;
    end += array.size * BYTES_PER_ELEMENT[storage];
    const entry = { dtype: storage, shape: array.shape, data_offsets: [from, end] };
    fields.push([name, JSON.stringify(entry)]);
  }
  const text = new TextEncoder().encode(jsonObject(fields));
  const headerLength = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerLength + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true);
  file.fill(0x20, 8, 8 + headerLength).set(text, 8);
  let at = 8 + headerLength;
  for (const [, { array }] of ordered) {
    const { buffer, byteOffset, byteLength } = flatData(array);
    file.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return E.right(file);
}

/** An object with the fields in the given order, whatever their names (`7`, `__proto__`). */
const jsonObject = (fields: readonly (readonly [string, string])[]): string =>
  `{${fields.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
