/**
 * The data of the main job: a source domain to pre-train on, a target domain to adapt to. Real
 * handwritten digits where they are to be had (a directory, else a download), else digits that the
 * library draws in two hands.
 */
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { FlatloraError, type HostArray, hostArray, key } from '../autodiff/index.js';
import {
  corruptions,
  defaultCacheDir,
  describeProvenance,
  type ImageDataset,
  type Images,
  type LoadedDataset,
  loadDataset,
  type Provenance,
  resizeBilinear,
  SEVERITIES,
  type SourceOptions,
  splitByClass,
  takeRows,
} from '../data/index.js';
import type { DataFact } from '../report/index.js';
import { takeRows as rowsOf } from '../training/index.js';
import type { Batch } from './model.js';

/** Labelled target images per class for training, and for choosing settings. */
const TRAIN_PER_CLASS = 10;
const VALIDATION_PER_CLASS = 20;
/** The split is fixed: no setting and no seed changes it. */
const SPLIT_KEY = key(7);
const DRAWN_KEY = key(11);
const CORRUPTION_KEY = key(13);

export type Origin = 'real' | 'drawn';

export interface DataOptions {
  readonly dataDir: string | undefined;
  /** Whether to try a download when there is no directory. */
  readonly allowDownload: boolean;
  readonly say: (line: string) => void;
}

/** The target domain, split. */
export interface TargetData {
  readonly origin: Origin;
  readonly train: Batch<HostArray>;
  readonly validation: Batch<HostArray>;
  readonly test: Batch<HostArray>;
  readonly facts: readonly DataFact[];
}

/** Images at the size of the model. */
const sized = (images: Images): Images =>
  images.shape[1] === 16 && images.shape[2] === 16 ? images : resizeBilinear(images, 16, 16);

export const batchOf = ({ images, labels }: ImageDataset): Batch<HostArray> => ({
  images: sized(images),
  labels,
});

/** Where data came from, without the place where a user keeps it. */
const sourceOf = (provenance: Provenance, { dataDir }: DataOptions): string => {
  const text = describeProvenance(provenance);
  return dataDir === undefined ? text : text.replaceAll(path.join(dataDir, path.sep), '');
};

const get = async (
  name: 'optdigits' | 'semeion',
  split: 'train' | 'test',
  options: SourceOptions,
): Promise<LoadedDataset> => {
  const loaded = await loadDataset(name, split, options)();
  if (E.isLeft(loaded)) throw new FlatloraError('data', loaded.left.message);
  return loaded.right;
};

/** Loads by the first way that is open: directory, download, drawing. */
async function load(
  name: 'optdigits' | 'semeion',
  split: 'train' | 'test',
  { dataDir, allowDownload, say }: DataOptions,
): Promise<LoadedDataset> {
  if (dataDir !== undefined) return get(name, split, { dataDir });
  if (allowDownload) {
    const cacheDir = defaultCacheDir(process.env, process.platform, process.env.HOME ?? '.');
    try {
      return await get(name, split, { allowDownload, cacheDir, timeoutMs: 8000 });
    } catch (error) {
      say(`${name} could not be downloaded (${(error as Error).message}); drawing digits instead`);
    }
  }
  return get(name, split, { drawn: { key: DRAWN_KEY, train: 4000, test: 1800 } });
}

/** The source domain, for pre-training. */
export async function loadSource(options: DataOptions) {
  const train = await load('optdigits', 'train', options);
  const drawn = train.provenance.kind === 'drawn';
  const test = await load(
    'optdigits',
    'test',
    drawn ? { ...options, allowDownload: false } : options,
  );
  return {
    origin: drawn ? ('drawn' as const) : ('real' as const),
    train: batchOf(train.dataset),
    test: batchOf(test.dataset),
    source: sourceOf(train.provenance, options),
  };
}

/** The target domain: few labelled images, a validation split, and the rest as test set. */
export async function loadTarget(options: DataOptions): Promise<TargetData> {
  const { dataset, provenance } = await load('semeion', 'train', options);
  const origin: Origin = provenance.kind === 'drawn' ? 'drawn' : 'real';
  // Drawn digits are cheap; as many are kept as semeion has.
  const used =
    origin === 'drawn'
      ? takeRows(
          dataset,
          Array.from({ length: 1593 }, (_, i) => i),
        )
      : dataset;
  const few = splitByClass(used, TRAIN_PER_CLASS, SPLIT_KEY);
  if (E.isLeft(few)) throw new FlatloraError('data', few.left.message);
  const held = splitByClass(few.right.rest, VALIDATION_PER_CLASS, SPLIT_KEY);
  if (E.isLeft(held)) throw new FlatloraError('data', held.left.message);
  const fact = (role: string, split: string): DataFact => ({
    role,
    name: origin === 'real' ? 'semeion' : 'drawn digits, slanted hand',
    origin,
    split,
    source: sourceOf(provenance, options),
  });
  const test = held.right.rest;
  return {
    origin,
    train: batchOf(few.right.chosen),
    validation: batchOf(held.right.chosen),
    test: batchOf(test),
    facts: [
      fact('adaptation', `${TRAIN_PER_CLASS} labelled images per class, fixed split`),
      fact('validation', `${VALIDATION_PER_CLASS} images per class; settings were chosen on these`),
      fact('test', `the other ${test.labels.shape[0]} images`),
    ],
  };
}

/**
 * Every so manyeth test image (all, at stride 1) at each severity: image i of the test set under
 * corruption i mod 9, so that every corruption takes part equally and the sets are the same for all
 * methods and seeds.
 */
export function corruptedTestSets(
  { images, labels }: Batch<HostArray>,
  stride = 1,
): readonly Batch<HostArray>[] {
  const count = Math.ceil((images.shape[0] as number) / stride);
  const rows = Array.from({ length: count }, (_, i) => i * stride);
  const clean = rowsOf({ images, labels }, rows);
  const size = 256;
  // Only the images that a corruption is for are given to it: they are a ninth.
  const shares = corruptions.map(({ apply }, c) => {
    const places = rows.flatMap((row, i) => (row % corruptions.length === c ? [i] : []));
    return {
      apply,
      places,
      own: rowsOf(clean.images, places) as Images,
      numbers: places.map((i) => i * stride),
    };
  });
  return SEVERITIES.map((severity) => {
    const out = new Float32Array(count * size);
    for (const { apply, places, own, numbers } of shares) {
      const { data } = apply(own, severity, CORRUPTION_KEY, numbers);
      places.forEach((i, k) => {
        out.set(data.subarray(k * size, (k + 1) * size), i * size);
      });
    }
    return { images: hostArray(out, clean.images.shape), labels: clean.labels };
  });
}
