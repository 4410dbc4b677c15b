/**
 * The tasks of the vision experiments: ten classes each, 16×16 grey, few labelled images. The model
 * knows MNIST's training images; every task is something else.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  FlatloraError,
  foldIn,
  hostArray,
  hostUniform,
  type Key,
  key,
} from '../../autodiff/index.js';
import {
  corruptions,
  type DatasetName,
  type ImageDataset,
  loadDataset,
  resizeBilinear,
  SEVERITIES,
  type SourceOptions,
  type Split,
  splitByClass,
  takeRows,
} from '../../data/index.js';
import { takeRows as rowsOf } from '../../training/index.js';
import type { Images } from './model.js';

export type TaskName = 'mnist' | 'fashion-mnist' | 'semeion' | 'cifar-100' | 'optdigits';

export const TASKS: readonly TaskName[] = [
  'mnist',
  'fashion-mnist',
  'semeion',
  'cifar-100',
  'optdigits',
];

export const TASK_LABELS: Readonly<Record<TaskName, string>> = {
  mnist: 'MNIST, turned by 90°',
  'fashion-mnist': 'Fashion-MNIST',
  semeion: 'semeion',
  'cifar-100': 'CIFAR-100, ten classes',
  optdigits: 'optdigits',
};

/** Folders of the data directory. */
export const TASK_FOLDERS: Readonly<Record<TaskName, string>> = {
  mnist: 'mnist',
  'fashion-mnist': 'fashion-mnist',
  semeion: 'semeion',
  'cifar-100': 'cifar100',
  optdigits: 'optdigits',
};

/** A task, split once and for all; a seed chooses its training images from the pool. */
export interface TaskData {
  readonly pool: ImageDataset;
  /** What settings are chosen on. */
  readonly validation: Images;
  readonly test: Images;
}

const SPLIT_KEY = key(21);
const DRAWN_KEY = key(22);
const CORRUPTION_KEY = key(23);

const right = <T>(result: E.Either<{ readonly message: string }, T>): T => {
  if (E.isLeft(result)) throw new FlatloraError('data', result.left.message);
  return result.right;
};

const load = async (name: DatasetName, split: Split, options: SourceOptions) =>
  right(await loadDataset(name, split, options)()).dataset;

/** [n, h, w] or [n, h, w, 3] to [n, 16, 16]: the mean of the colours. */
function sized(dataset: ImageDataset): ImageDataset {
  const { images } = dataset;
  const small =
    images.shape[1] === 16 && images.shape[2] === 16 ? images : resizeBilinear(images, 16, 16);
  if (small.shape.length === 3) return { ...dataset, images: small };
  const count = small.shape[0] as number;
  const grey = new Float32Array(count * 256);
  for (let i = 0; i < grey.length; i++) {
    const [r, g, b] = small.data.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number];
    grey[i] = (r + g + b) / 3;
  }
  return { ...dataset, images: hostArray(grey, [count, 16, 16]) as ImageDataset['images'] };
}

/** A quarter turn to the left, so that what the model knows about digits needs to be learnt anew. */
function turned(dataset: ImageDataset): ImageDataset {
  const { data } = dataset.images;
  const out = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const [n, y, x] = [i >> 8, (i >> 4) & 15, i & 15];
    out[i] = data[(n << 8) | (x << 4) | (15 - y)] as number;
  }
  return { ...dataset, images: hostArray(out, dataset.images.shape) as ImageDataset['images'] };
}

/** The first ten classes. */
function tenClasses(dataset: ImageDataset): ImageDataset {
  const { labels, classes } = dataset;
  const rows = Array.from({ length: labels.shape[0] as number }, (_, i) => i).filter(
    (i) => labels.get(i) < 10,
  );
  return { ...takeRows(dataset, rows), classes: classes.slice(0, 10) };
}

/** How many images per class are for validation, and how many for the test, at most. */
interface Sizes {
  readonly validation: number;
  readonly test: number;
}

/** Pool, validation and test set of one set of images, or of two with a test set of its own. */
function divided(all: ImageDataset, sizes: Sizes, own?: ImageDataset): TaskData {
  const { chosen, rest } = right(splitByClass(all, sizes.validation, SPLIT_KEY));
  const validation = { images: chosen.images, labels: chosen.labels };
  if (own !== undefined) return { pool: rest, validation, test: own };
  const test = right(splitByClass(rest, sizes.test, SPLIT_KEY));
  return { pool: test.rest, validation, test: test.chosen };
}

/** A task's data; drawn digits in a hand that the model has not seen where there is no directory. */
export async function loadTask(name: TaskName, dataDir: string | undefined): Promise<TaskData> {
  const sizes = { validation: 20, test: 100 };
  if (dataDir === undefined) {
    const drawn = { key: DRAWN_KEY, train: 900, test: 10 };
    return divided(await load('semeion', 'train', { drawn }), { validation: 10, test: 20 });
  }
  const from = { dataDir };
  switch (name) {
    case 'semeion':
      return divided(await load('semeion', 'train', from), { validation: 20, test: 80 });
    case 'optdigits':
      return divided(sized(await load('optdigits', 'train', from)), sizes);
    case 'cifar-100': {
      const [train, test] = [
        await load('cifar100', 'train', from),
        await load('cifar100', 'test', from),
      ];
      return divided(sized(tenClasses(train)), sizes, sized(tenClasses(test)));
    }
    // MNIST's training images made the model; these two are divided out of the 10,000 test images.
    case 'mnist':
      return divided(turned(sized(await load('mnist', 'test', from))), sizes);
    case 'fashion-mnist':
      return divided(sized(await load('fashion-mnist', 'test', from)), sizes);
  }
}

/**
 * A seed's training images: so many of each class.
 * @param wrong share of the images whose label is replaced by another one.
 */
export function trainingImages(
  { pool }: TaskData,
  perClass: number,
  seed: number,
  wrong = 0,
): Images {
  const own = foldIn(SPLIT_KEY, 1 + seed);
  const { images, labels } = right(splitByClass(pool, perClass, own)).chosen;
  return { images, labels: wrong === 0 ? labels : withWrongLabels(labels, wrong, foldIn(own, 1)) };
}

/** Each label, with probability `share`, as one of the nine others. */
function withWrongLabels(labels: ImageDataset['labels'], share: number, random: Key) {
  const count = labels.shape[0] as number;
  const draws = hostUniform(random, 2 * count);
  return hostArray(
    Int32Array.from({ length: count }, (_, i) => {
      const label = labels.get(i);
      const other = 1 + Math.floor(9 * (draws[2 * i + 1] as number));
      return (draws[2 * i] as number) < share ? (label + other) % 10 : label;
    }),
    [count],
  );
}

/**
 * The test images at each severity, image i under corruption i mod 9, so that all corruptions take
 * part equally and the sets are the same for all methods and seeds.
 */
export function corrupted({ images, labels }: Images): readonly Images[] {
  const count = images.shape[0] as number;
  const places = corruptions.map((_, c) =>
    Array.from({ length: count }, (_, i) => i).filter((i) => i % corruptions.length === c),
  );
  return SEVERITIES.map((severity) => {
    const out = new Float32Array(count * 256);
    corruptions.forEach(({ apply }, c) => {
      const rows = places[c] as readonly number[];
      const own = rowsOf(images, rows) as ImageDataset['images'];
      const { data } = apply(own, severity, CORRUPTION_KEY, rows);
      rows.forEach((i, k) => {
        out.set(data.subarray(k * 256, (k + 1) * 256), i * 256);
      });
    });
    return { images: hostArray(out, images.shape), labels };
  });
}
