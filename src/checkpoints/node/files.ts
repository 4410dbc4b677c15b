/** Files (Node): whole reads, and writes that either happen or do not. */
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type Problem, problem } from '../../autodiff/index.js';
import { decodeSafetensors, encodeSafetensors, type Safetensors } from '../safetensors/codec.js';
import type { ReadOptions, StoredTensor, WritableType } from '../safetensors/storage.js';

/** The system's code of an error, such as ENOENT; else its message, on one line. */
export function errorCode(thrown: unknown): string {
  const error = thrown as { readonly code?: unknown; readonly message?: unknown } | undefined;
  return typeof error?.code === 'string'
    ? error.code
    : String(error?.message ?? thrown).replace(/\s+/g, ' ');
}

const fileProblem =
  (doing: string, file: string) =>
  (thrown: unknown): Problem =>
    problem('checkpoint', `${doing} ${file}: ${errorCode(thrown)}`);

/** The bytes of a file. */
export const readBytes = (file: string): TE.TaskEither<Problem, Uint8Array> =>
  TE.tryCatch(async () => new Uint8Array(await readFile(file)), fileProblem('cannot read', file));

/** The name under which a file is written before it takes its real name. */
export const temporaryName = (file: string): string => `${file}.tmp`;

/** Makes a rename in `folder` last; not every system lets a folder be opened. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

async function replaceFile(file: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryName(file);
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } catch (error) {
    await handle.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await handle.close();
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}

/**
 * Writes a file so that whoever looks, at any moment and after any crash, sees the old content or
 * the new one: into `<file>.tmp` beside it, to the disk, then renamed.
 */
export const writeBytesAtomically = (
  file: string,
  bytes: Uint8Array,
): TE.TaskEither<Problem, void> =>
  TE.tryCatch(() => replaceFile(file, bytes), fileProblem('cannot write', file));

/** The problem with the file's name before it. */
export const inFile =
  (file: string) =>
  ({ kind, message }: Problem): Problem =>
    problem(kind, `${file}: ${message}`);

/** Reads a safetensors file; problems name the file. */
export const readSafetensors = (
  file: string,
  options: ReadOptions = {},
): TE.TaskEither<Problem, Safetensors> =>
  pipe(
    readBytes(file),
    TE.flatMap((bytes) =>
      TE.fromEither(pipe(decodeSafetensors(bytes, options), E.mapLeft(inFile(file)))),
    ),
  );

/** Writes a safetensors file atomically. */
export const writeSafetensors = (
  file: string,
  contents: Safetensors<StoredTensor<WritableType>>,
): TE.TaskEither<Problem, void> =>
  pipe(
    TE.fromEither(pipe(encodeSafetensors(contents), E.mapLeft(inFile(file)))),
    TE.flatMap((bytes) => writeBytesAtomically(file, bytes)),
  );
