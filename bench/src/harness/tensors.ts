/** Arrays to and from raw files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TensorFile } from './job.js';

export type TensorData = Float32Array | Int32Array;

export interface Tensor {
  readonly data: TensorData;
  readonly shape: readonly number[];
}

/** Writes every array to a file of its own in a folder. */
export function writeTensors(
  folder: string,
  tensors: Readonly<Record<string, Tensor>>,
): Readonly<Record<string, TensorFile>> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data, shape }], i): [string, TensorFile] => {
      const file = path.join(folder, `${i}.raw`);
      writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return [name, { file, shape, dtype: data instanceof Int32Array ? 'int32' : 'float32' }];
    }),
  );
}

/** Keeps arrays in files for as long as `use` takes. */
export async function inTemporaryFiles<T>(
  tensors: Readonly<Record<string, Tensor>>,
  use: (files: Readonly<Record<string, TensorFile>>) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(path.join(tmpdir(), 'flatlora-bench-'));
  try {
    return await use(writeTensors(folder, tensors));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function readTensor({ file, shape, dtype }: TensorFile): Tensor {
  const { buffer, byteOffset, byteLength } = readFileSync(file);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  return { data: dtype === 'int32' ? new Int32Array(bytes) : new Float32Array(bytes), shape };
}

export const readTensors = <K extends string>(
  files: Readonly<Record<K, TensorFile>>,
): Readonly<Record<K, Tensor>> =>
  Object.fromEntries(
    Object.entries<TensorFile>(files).map(([name, file]) => [name, readTensor(file)]),
  ) as Readonly<Record<K, Tensor>>;

/** The arrays whose names start with `prefix`, under the rest of their names. */
export const withPrefix = <T>(
  prefix: string,
  all: Readonly<Record<string, T>>,
): Readonly<Record<string, T>> =>
  Object.fromEntries(
    Object.entries(all)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );
