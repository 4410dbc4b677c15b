/**
 * The header of a safetensors file, taken apart without trust.
 *
 *     8 bytes          length of the header, unsigned, little-endian
 *     the header       JSON: {"name": {"dtype", "shape", "data_offsets": [from, to]}, "__metadata__"?}
 *     the rest         the tensors' bytes, without gaps or overlaps
 *
 * Format: https://github.com/huggingface/safetensors#format
 */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result, type Shape } from '../../autodiff/index.js';
import { duplicateKey } from './duplicateKey.js';
import { BYTES_PER_ELEMENT, isStorageType, type StorageType } from './storage.js';

/** The format's own limit on the length of a header. */
export const MAX_HEADER_BYTES = 100_000_000;

/** More axes than any model has; ndarray compiles code per number of axes. */
const MAX_RANK = 16;

export const METADATA = '__metadata__';

export interface TensorEntry {
  readonly name: string;
  readonly storage: StorageType;
  readonly shape: Shape;
  /** First byte and the one after the last, counted from the end of the header. */
  readonly from: number;
  readonly to: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their bytes. */
  readonly entries: readonly TensorEntry[];
  /** Where the tensors' bytes start in the file. */
  readonly dataStart: number;
}

const bad = (message: string) => fail('checkpoint', `safetensors: ${message}`);

/** Anything of a header for a message: on one line, short, and never looked into deeply. */
function show(x: unknown): string {
  if (Array.isArray(x)) {
    const items = x.slice(0, 8).map((item) => (isScalar(item) ? showScalar(item) : '…'));
    return `[${items.join()}${x.length > 8 ? ',…' : ''}]`;
  }
  return isScalar(x) ? showScalar(x) : 'an object';
}

const isScalar = (x: unknown): boolean => typeof x !== 'object' || x === null;

const showScalar = (x: unknown): string => {
  const text = JSON.stringify(x) ?? String(x);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
};

const isRecord = (x: unknown): x is Readonly<Record<string, unknown>> =>
  typeof x === 'object' && x !== null && !Array.isArray(x);

const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

/** The length that a file's first 8 bytes give its header; a problem when it cannot be that. */
export function headerLength(file: Uint8Array, fileLength = file.length): Result<number> {
  if (file.length < 8) return bad(`${file.length} bytes, too short for a header`);
  const length = Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
  if (length > MAX_HEADER_BYTES) {
    return bad(`header length is ${length}, expected at most ${MAX_HEADER_BYTES}`);
  }
  return length > fileLength - 8
    ? bad(`header length is ${length}, but only ${fileLength - 8} bytes follow`)
    : E.right(length);
}

function headerText(file: Uint8Array, fileLength: number): Result<string> {
  const length = headerLength(file, fileLength);
  if (E.isLeft(length)) return length;
  return E.tryCatch(
    () =>
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        file.subarray(8, 8 + length.right),
      ),
    () => ({ kind: 'checkpoint', message: 'safetensors: header is not UTF-8' }),
  );
}

function headerObject(text: string): Result<Readonly<Record<string, unknown>>> {
  if (!text.startsWith('{')) return bad('header does not start with "{"');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return bad('header is not valid JSON');
  }
  const twice = duplicateKey(text);
  if (twice !== undefined) return bad(`header names ${show(twice)} twice`);
  return isRecord(json) ? E.right(json) : bad('header is no JSON object');
}

function metadataOf(json: unknown): Result<ReadonlyMap<string, string>> {
  if (json === undefined) return E.right(new Map());
  if (!isRecord(json)) return bad(`${METADATA} is ${show(json)}, expected an object of strings`);
  const entries = Object.entries(json);
  const odd = entries.find(([, value]) => typeof value !== 'string');
  return odd === undefined
    ? E.right(new Map(entries as [string, string][]))
    : bad(`${METADATA} ${show(odd[0])} is ${show(odd[1])}, expected a string`);
}

function entryOf(name: string, json: unknown): Result<TensorEntry> {
  const tensor = `tensor ${show(name)}`;
  if (!isRecord(json)) return bad(`${tensor} is ${show(json)}, expected an object`);
  const { dtype, shape, data_offsets: offsets } = json;
  if (Object.keys(json).length !== 3) {
    return bad(
      `${tensor} has fields ${show(Object.keys(json))}, expected dtype, shape, data_offsets`,
    );
  }
  if (!isStorageType(dtype)) {
    const known = Object.keys(BYTES_PER_ELEMENT).join(', ');
    return bad(`${tensor} has dtype ${show(dtype)}, expected one of ${known}`);
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isCount)) {
    return bad(`${tensor} has shape ${show(shape)}, expected up to ${MAX_RANK} sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return bad(`${tensor} has data_offsets ${show(offsets)}, expected [from, to]`);
  }
  const [from, to] = offsets as [number, number];
  const size = shape.reduce((n: number, d: number) => n * d, BYTES_PER_ELEMENT[dtype]);
  if (size !== to - from) {
    return bad(
      `${tensor}: ${dtype}${show(shape)} takes ${size} bytes, data_offsets span ${to - from}`,
    );
  }
  return E.right({ name, storage: dtype, shape: shape as number[], from, to });
}

/** The entries in the order of their bytes, which must fill the data section exactly. */
function covering(entries: readonly TensorEntry[], length: number): Result<readonly TensorEntry[]> {
  const ordered = [...entries].sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of ordered) {
    if (from !== end) {
      const how =
        from < end ? 'overlaps the tensor before it' : `leaves a gap of ${from - end} bytes`;
      return bad(`tensor ${show(name)} ${how}`);
    }
    end = to;
  }
  return end === length
    ? E.right(ordered)
    : bad(
        end > length
          ? `truncated: ${length} bytes of tensors, the header promises ${end}`
          : `${length - end} bytes after the last tensor`,
      );
}

/**
 * Reads and checks the header of a file; nothing is allocated for tensors.
 * @param file the file, or as much of it as holds the header
 * @param fileLength of the whole file
 */
export function readHeader(file: Uint8Array, fileLength = file.length): Result<Header> {
  return E.flatMap(headerText(file, fileLength), (text) => {
    // The text may have fewer characters than bytes; the length field counts bytes.
    const dataStart =
      8 + Number(new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true));
    return E.flatMap(headerObject(text), (json) =>
      E.flatMap(
        metadataOf(Object.hasOwn(json, METADATA) ? json[METADATA] : undefined),
        (metadata) => {
          const entries: TensorEntry[] = [];
          for (const [name, value] of Object.entries(json)) {
            if (name === METADATA) continue;
            const entry = entryOf(name, value);
            if (E.isLeft(entry)) return entry;
            entries.push(entry.right);
          }
          return E.map((ordered: readonly TensorEntry[]) => ({
            metadata,
            entries: ordered,
            dataStart,
          }))(covering(entries, fileLength - dataStart));
        },
      ),
    );
  });
}
