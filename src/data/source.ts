/**
 * A data set by its name, from the first place that the caller allows: a directory, the official
 * source, or the project's own drawings (Node only).
 *
 * What the caller asked for is never silently replaced: a directory without the file, or a
 * download that fails, is an error. Drawn digits come only where neither was asked for, and every
 * result says where it came from.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { foldIn, type Key } from '../autodiff/random/keys.js';
import { sha256, verify } from './cache.js';
import { type DownloadOptions, type DownloadProgress, download } from './download.js';
import { drawnDigits } from './drawnDigits.js';
import { errorCode } from './errorCode.js';
import type { Hand } from './glyphs.js';
import { gunzip } from './gunzip.js';
import { type DatasetName, RECIPES, type Split } from './recipes.js';
import { type DataError, dataError, type ImageDataset } from './types.js';

export type { DatasetName, Split } from './recipes.js';

export interface SourceOptions {
  /**
   * A directory with one folder per data set (`optdigits/`, `semeion/`, …), under the official
   * file names or those listed in `recipes.ts`. Callers pass `process.env.FLATLORA_DATA` here.
   */
  readonly dataDir?: string | undefined;
  /** Whether the network may be used; default false. Needs `cacheDir`. */
  readonly allowDownload?: boolean | undefined;
  /** Where downloads are kept: see `defaultCacheDir`. */
  readonly cacheDir?: string | undefined;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Milliseconds without data after which a download is given up; default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Permits drawn digits, and says how many of each split and from which key. */
  readonly drawn?: { readonly key: Key; readonly train: number; readonly test: number } | undefined;
}

/** Where a data set came from. */
export type Provenance =
  | {
      readonly kind: 'directory';
      readonly files: readonly string[];
      /** SHA-256 of each file as it lies there. */
      readonly sha256: readonly string[];
      /** Whether each has exactly the official content (pinned in `remoteFiles.ts`). */
      readonly official: boolean;
    }
  | { readonly kind: 'download'; readonly urls: readonly string[] }
  | { readonly kind: 'drawn'; readonly hand: Hand };

export interface LoadedDataset {
  readonly dataset: ImageDataset;
  readonly provenance: Provenance;
}

/** One line for a report, such as `drawn by this library (upright hand)`. */
export function describeProvenance(provenance: Provenance): string {
  switch (provenance.kind) {
    case 'directory': {
      const state = provenance.official ? 'official content' : 'not the official bytes';
      return `${provenance.files.join(', ')} (${state})`;
    }
    case 'download':
      return `downloaded from ${provenance.urls.join(', ')} (hash verified)`;
    case 'drawn':
      return `drawn by this library (${provenance.hand} hand)`;
  }
}

/** The first of `names` that exists below `directory`, with its bytes. */
const readFirst =
  (directory: string, names: readonly string[]): TE.TaskEither<DataError, [string, Uint8Array]> =>
  async () => {
    for (const name of names) {
      const file = path.join(directory, name);
      try {
        return E.right([file, new Uint8Array(await readFile(file))]);
      } catch (thrown) {
        const code = errorCode(thrown);
        if (code !== 'ENOENT' && code !== 'ENOTDIR') {
          return E.left(dataError(`${file}: cannot be read (${code})`));
        }
      }
    }
    return E.left(dataError(`${directory}: has no ${names.join(' and no ')}`));
  };

const fromDirectory = (
  name: DatasetName,
  split: Split,
  directory: string,
): TE.TaskEither<DataError, LoadedDataset> => {
  const recipe = RECIPES[name][split];
  return pipe(
    recipe.local,
    TE.traverseSeqArray((names) => readFirst(directory, names)),
    TE.flatMapEither((found) =>
      pipe(
        found,
        E.traverseArray(([file, bytes]) => gunzip(bytes, file)),
        E.flatMap((contents) => recipe.parseLocal(`${name}/${split}`, contents)),
        E.map((dataset): LoadedDataset => {
          const official =
            found.length === recipe.remote.length &&
            found.every(([, bytes], i) => {
              const pinned = recipe.remote[i];
              return pinned !== undefined && E.isRight(verify(pinned, bytes));
            });
          const files = found.map(([file]) => file);
          const hashes = found.map(([, bytes]) => sha256(bytes));
          return { dataset, provenance: { kind: 'directory', files, sha256: hashes, official } };
        }),
      ),
    ),
  );
};

const fromNetwork = (
  name: DatasetName,
  split: Split,
  options: DownloadOptions,
): TE.TaskEither<DataError, LoadedDataset> => {
  const recipe = RECIPES[name][split];
  return pipe(
    recipe.remote,
    TE.traverseSeqArray((file) => download(file, options)),
    TE.flatMapEither((contents) => recipe.parseRemote(`${name}/${split}`, contents)),
    TE.map((dataset) => ({
      dataset,
      provenance: { kind: 'download', urls: recipe.remote.map((file) => file.urls[0] ?? '') },
    })),
  );
};

/** Which hand stands in for a set of real digits; the other sets have no stand-in. */
const STAND_INS: Readonly<Partial<Record<DatasetName, Hand>>> = {
  optdigits: 'upright',
  mnist: 'upright',
  semeion: 'slanted',
};

/**
 * One split of a data set.
 *
 * Semeion has no official split: its `train` is all 1593 rows (divide them with `splitByClass`),
 * and its `test` is an error unless it is drawn.
 * Sizes: optdigits 8×8, semeion and drawn digits 16×16, MNIST and Fashion 28×28, CIFAR 32×32×3.
 */
export function loadDataset(
  name: DatasetName,
  split: Split,
  options: SourceOptions,
): TE.TaskEither<DataError, LoadedDataset> {
  const { dataDir, allowDownload = false, cacheDir, onProgress, timeoutMs, drawn } = options;
  const real = dataDir !== undefined || allowDownload;
  if (real && RECIPES[name][split].remote.length === 0) {
    return TE.left(dataError(`${name}: has no official ${split} split, use splitByClass`));
  }
  if (dataDir !== undefined) return fromDirectory(name, split, dataDir);
  if (allowDownload) {
    return cacheDir === undefined
      ? TE.left(dataError(`${name}: allowDownload needs a cacheDir`))
      : fromNetwork(name, split, { cacheDir, onProgress, timeoutMs });
  }
  const hand = STAND_INS[name];
  if (hand === undefined || drawn === undefined) {
    const without = hand === undefined ? 'has no drawn stand-in' : 'drawn digits not asked for';
    return TE.left(dataError(`${name}: no directory given, downloads not allowed, ${without}`));
  }
  // Four different keys: neither the splits nor the hands share a draw.
  const key = foldIn(drawn.key, (hand === 'upright' ? 0 : 2) + (split === 'train' ? 0 : 1));
  const dataset = drawnDigits({ hand, count: drawn[split], key });
  return TE.right({ dataset, provenance: { kind: 'drawn', hand } });
}
