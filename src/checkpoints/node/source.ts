/**
 * Tensors of files, read when they are asked for (Node): one safetensors file, or a checkpoint in shards
 * with its index. Only headers are read beforehand.
 */
import { open, realpath } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { fail, type Problem, problem, type Result } from '../../autodiff/index.js';
import { headerLength, readHeader, type TensorEntry } from '../safetensors/header.js';
import { type ReadOptions, readElements } from '../safetensors/storage.js';
import { shardsOf } from '../shards.js';
import type { TensorInfo, TensorSource } from '../source.js';
import { errorCode, inFile, readBytes } from './files.js';

/** `count` bytes of a file from `start` on; fewer where it ends. */
async function readRange(file: string, start: number, count: number): Promise<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    const bytes = new Uint8Array(count);
    let done = 0;
    while (done < count) {
      const { bytesRead } = await handle.read(bytes, done, count - done, start + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done === count ? bytes : bytes.subarray(0, done);
  } finally {
    await handle.close();
  }
}

const sizeOfFile = async (file: string): Promise<number> => {
  const handle = await open(file, 'r');
  try {
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
};

const attempt = <A>(file: string, f: () => Promise<A>): TE.TaskEither<Problem, A> =>
  TE.tryCatch(f, (thrown) => problem('checkpoint', `cannot read ${file}: ${errorCode(thrown)}`));

/** A file that was cut after its header was read ends in the middle of a tensor. */
const whole = (bytes: Uint8Array, { name, from, to }: TensorEntry): Result<Uint8Array> =>
  bytes.length === to - from
    ? E.right(bytes)
    : fail('checkpoint', `tensor "${name}" ends after ${bytes.length} of ${to - from} bytes`);

/** The tensors of one safetensors file. */
export const openSafetensors = (
  file: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, TensorSource> =>
  pipe(
    attempt(file, () => sizeOfFile(file)),
    TE.bindTo('size'),
    TE.bind('start', () => attempt(file, () => readRange(file, 0, 8))),
    TE.bind('length', ({ start, size }) => TE.fromEither(headerLength(start, size))),
    TE.bind('bytes', ({ length }) => attempt(file, () => readRange(file, 0, 8 + length))),
    TE.flatMap(({ bytes, size }) => TE.fromEither(readHeader(bytes, size))),
    TE.mapLeft(inFile(file)),
    TE.map(({ entries, dataStart }): TensorSource => {
      const byName = new Map(entries.map((entry) => [entry.name, entry]));
      return {
        entries: byName,
        read: (name) => {
          const entry = byName.get(name);
          if (entry === undefined) {
            return TE.left(problem('checkpoint', `${file}: tensor "${name}" is missing`));
          }
          const { storage, shape, from, to } = entry;
          return pipe(
            attempt(file, () => readRange(file, dataStart + from, to - from)),
            TE.flatMap((bytes) =>
              TE.fromEither(
                pipe(
                  whole(bytes, entry),
                  E.flatMap((all) => readElements(storage, shape, all, options)),
                  E.mapLeft(inFile(file)),
                ),
              ),
            ),
            TE.map(({ array }) => array),
          );
        },
      };
    }),
  );

/** A shard's file, which must lie in the folder itself even when links are followed. */
const insideFolder = (folder: string, shard: string): TE.TaskEither<Problem, string> =>
  pipe(
    attempt(path.join(folder, shard), async () => {
      const [own, real] = [await realpath(folder), await realpath(path.join(folder, shard))];
      return { own, real };
    }),
    TE.flatMap(({ own, real }) =>
      path.dirname(real) === own || !path.relative(own, real).startsWith('..')
        ? TE.right(real)
        : TE.left(problem('checkpoint', `${folder}: shard "${shard}" leads out of the folder`)),
    ),
  );

/**
 * The tensors of a checkpoint in shards, by its index file (`model.safetensors.index.json`). Shards must
 * be plain names of files in the folder, and hold what the index says.
 */
export const openSharded = (
  indexFile: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, TensorSource> =>
  pipe(
    readBytes(indexFile),
    TE.flatMap((bytes) => TE.fromEither(pipe(shardsOf(bytes), E.mapLeft(inFile(indexFile))))),
    TE.bindTo('shardOf'),
    TE.bind('sources', ({ shardOf }) =>
      pipe(
        [...new Set(shardOf.values())],
        TE.traverseSeqArray((shard) =>
          pipe(
            insideFolder(path.dirname(indexFile), shard),
            TE.flatMap((file) => openSafetensors(file, options)),
            TE.map((source) => [shard, source] as const),
          ),
        ),
      ),
    ),
    TE.flatMap(({ shardOf, sources }) => {
      const bySource = new Map(sources);
      const sourceOf = (name: string) => bySource.get(shardOf.get(name) ?? '');
      const lacking = [...shardOf].find(([name]) => !sourceOf(name)?.entries.has(name));
      if (lacking !== undefined) {
        return TE.left(
          problem('checkpoint', `${indexFile}: tensor "${lacking[0]}" is not in "${lacking[1]}"`),
        );
      }
      const names = [...shardOf.keys()];
      return TE.right<Problem, TensorSource>({
        entries: new Map(
          names.map((name) => [name, sourceOf(name)?.entries.get(name) as TensorInfo]),
        ),
        read: (name) =>
          sourceOf(name)?.read(name) ??
          TE.left(problem('checkpoint', `${indexFile}: tensor "${name}" is missing`)),
      });
    }),
  );
