/** How each data set is put together from its files, local or official (Node only). */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { type CifarRows, parseCifar, parseClassNames } from './cifar.js';
import { gunzip } from './gunzip.js';
import { FASHION_CLASSES, parseIdxPair } from './idx.js';
import { parseOptdigits } from './optdigits.js';
import {
  CIFAR_ARCHIVES,
  FASHION_FILES,
  IDX_NAMES,
  MNIST_FILES,
  OPTDIGITS_FILES,
  type RemoteFile,
  SEMEION_FILE,
} from './remoteFiles.js';
import { parseSemeion } from './semeion.js';
import { tarMember } from './tar.js';
import { type DataError, DIGIT_CLASSES, dataError, type ImageDataset } from './types.js';

export type DatasetName =
  | 'optdigits'
  | 'semeion'
  | 'mnist'
  | 'fashion-mnist'
  | 'cifar10'
  | 'cifar100';

export type Split = 'train' | 'test';

type Parse = (name: string, contents: readonly Uint8Array[]) => E.Either<DataError, ImageDataset>;

export interface Recipe {
  /** For each file that is needed, the names under which a directory may hold it. */
  readonly local: readonly (readonly string[])[];
  readonly parseLocal: Parse;
  /** The official files; none where the set has no such split. */
  readonly remote: readonly RemoteFile[];
  readonly parseRemote: Parse;
}

const NOTHING = new Uint8Array(0);

/** A recipe whose one text file is read by `parse`. */
const single = (
  remote: RemoteFile,
  otherNames: readonly string[],
  parse: (bytes: Uint8Array, file: string) => E.Either<DataError, ImageDataset>,
): Recipe => {
  const read: Parse = (name, [bytes = NOTHING]) => parse(bytes, name);
  return {
    local: [[remote.path, ...otherNames]],
    parseLocal: read,
    remote: [remote],
    parseRemote: read,
  };
};

const idx = (
  folder: string,
  split: Split,
  files: { readonly images: RemoteFile; readonly labels: RemoteFile },
  classes: readonly string[],
): Recipe => {
  const read: Parse = (name, [images = NOTHING, labels = NOTHING]) =>
    parseIdxPair(images, labels, { name, classes });
  const names = (file: string): readonly string[] => [
    `${folder}/${file}`,
    `${folder}/${file.replace(/\.gz$/, '')}`,
  ];
  return {
    local: [names(IDX_NAMES[split].images), names(IDX_NAMES[split].labels)],
    parseLocal: read,
    remote: [files.images, files.labels],
    parseRemote: read,
  };
};

/** Reads rows, then names. Whether a local file keeps CIFAR-100's superclass shows in its size. */
const cifar = (name: string, rows: Uint8Array, names: Uint8Array, kind: CifarRows, count: number) =>
  pipe(
    parseClassNames(names, count, `${name} class names`),
    E.flatMap((classes) => parseCifar(rows, kind, classes, name)),
  );

const members = (archive: Uint8Array, paths: readonly string[], name: string) =>
  pipe(
    gunzip(archive, name),
    E.flatMap((tar) =>
      pipe(
        paths,
        E.traverseArray((path) => tarMember(tar, path, name)),
      ),
    ),
  );

const concat = (parts: readonly Uint8Array[]): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const cifar100 = (split: Split, subset: string): Recipe => ({
  local: [
    [`cifar100/${split}.bin`, `cifar-100-binary/${split}.bin`, `cifar100/${subset}`],
    [
      'cifar100/fine_label_names.txt',
      'cifar-100-binary/fine_label_names.txt',
      'cifar100/cifar100-classes.txt',
    ],
  ],
  // Only multiples of 3073 · 3074 rows would fit both row sizes, and no such file exists.
  parseLocal: (name, [rows = NOTHING, names = NOTHING]) =>
    cifar(name, rows, names, rows.length % 3074 === 0 ? 'coarse-fine' : 'one-label', 100),
  remote: [CIFAR_ARCHIVES.cifar100],
  parseRemote: (name, [archive = NOTHING]) =>
    pipe(
      members(
        archive,
        [`cifar-100-binary/${split}.bin`, 'cifar-100-binary/fine_label_names.txt'],
        name,
      ),
      E.flatMap(([rows = NOTHING, names = NOTHING]) =>
        cifar(name, rows, names, 'coarse-fine', 100),
      ),
    ),
});

const CIFAR10_BATCHES = {
  train: [1, 2, 3, 4, 5].map((batch) => `data_batch_${batch}.bin`),
  test: ['test_batch.bin'],
} as const;

const cifar10 = (split: Split): Recipe => {
  const files = ['batches.meta.txt', ...CIFAR10_BATCHES[split]];
  const read: Parse = (name, [names = NOTHING, ...batches]) =>
    cifar(name, concat(batches), names, 'one-label', 10);
  return {
    local: files.map((file) => [`cifar10/${file}`, `cifar-10-batches-bin/${file}`]),
    parseLocal: read,
    remote: [CIFAR_ARCHIVES.cifar10],
    parseRemote: (name, [archive = NOTHING]) =>
      pipe(
        members(
          archive,
          files.map((file) => `cifar-10-batches-bin/${file}`),
          name,
        ),
        E.flatMap((contents) => read(name, contents)),
      ),
  };
};

const semeionTest: Recipe = {
  local: [],
  parseLocal: () => E.left(dataError('semeion: has no official test split')),
  remote: [],
  parseRemote: () => E.left(dataError('semeion: has no official test split')),
};

export const RECIPES: Readonly<Record<DatasetName, Readonly<Record<Split, Recipe>>>> = {
  optdigits: {
    train: single(OPTDIGITS_FILES.train, ['optdigits/train.csv'], parseOptdigits),
    test: single(OPTDIGITS_FILES.test, ['optdigits/test.csv'], parseOptdigits),
  },
  semeion: { train: single(SEMEION_FILE, [], parseSemeion), test: semeionTest },
  mnist: {
    train: idx('mnist', 'train', MNIST_FILES.train, DIGIT_CLASSES),
    test: idx('mnist', 'test', MNIST_FILES.test, DIGIT_CLASSES),
  },
  'fashion-mnist': {
    train: idx('fashion-mnist', 'train', FASHION_FILES.train, FASHION_CLASSES),
    test: idx('fashion-mnist', 'test', FASHION_FILES.test, FASHION_CLASSES),
  },
  cifar10: { train: cifar10('train'), test: cifar10('test') },
  cifar100: {
    train: cifar100('train', 'cifar100-train-5000.bin.gz'),
    test: cifar100('test', 'cifar100-test-2000.bin.gz'),
  },
};
