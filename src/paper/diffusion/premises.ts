/** What all runs of Figure 3 share: pre-trained weights, and images in the new style. */
import {
  flatData,
  type HostArray,
  hostPermutation,
  type Key,
  range,
} from '../../autodiff/index.js';
import { takeRows } from '../../training/index.js';
import type { Surroundings } from '../experiment.js';
import { SHOWN } from './cells.js';
import { digits } from './data.js';
import { type Batch, CLASSES, type HostClassifier, type HostWeights } from './model.js';
import { inStyle } from './style.js';
import { loadDenoiser, loadJudge } from './weights.js';

/** All images are in the new style. */
export interface StylePremises {
  readonly base: HostWeights;
  readonly judge: HostClassifier;
  /** Training images are chosen from these: half of MNIST's training set. */
  readonly pool: Batch<HostArray>;
  /** As many of each class, from the other half. */
  readonly validation: Batch<HostArray>;
  /** As many of each class, from the test set. */
  readonly test: Batch<HostArray>;
}

/** The first `perClass` images of every class, class by class. */
function someOfEach(all: Batch<HostArray>, perClass: number): Batch<HostArray> {
  const classOf = Array.from(flatData(all.labels));
  const rows = range(CLASSES).flatMap((wanted) =>
    classOf.flatMap((label, row) => (label === wanted ? [row] : [])).slice(0, perClass),
  );
  return takeRows(all, rows);
}

/** Reads weights and digits; the quick form draws its own digits. */
export async function prepareStyle({ quick, dataDir }: Surroundings): Promise<StylePremises> {
  const place = quick ? undefined : dataDir;
  const [train, test] = [await digits('train', place), await digits('test', place)];
  const count = train.labels.shape[0] as number;
  const half = Math.floor(count / 2);
  const perClass = quick ? 4 : 100;
  const styled = ({ images, labels }: Batch<HostArray>) => ({ images: inStyle(images), labels });
  return {
    base: await loadDenoiser(),
    judge: await loadJudge(),
    pool: styled(takeRows(train, range(half))),
    validation: styled(
      someOfEach(
        takeRows(
          train,
          range(count - half).map((i) => half + i),
        ),
        perClass,
      ),
    ),
    test: styled(someOfEach(test, perClass)),
  };
}

/** The training images of a seed: the shown classes in turn. */
export function styleImages(pool: Batch<HostArray>, count: number, seedKey: Key): Batch<HostArray> {
  const classOf = flatData(pool.labels);
  const order = Array.from(hostPermutation(seedKey, classOf.length));
  const queues = SHOWN.map((wanted) => order.filter((row) => classOf[row] === wanted));
  return takeRows(
    pool,
    range(count).map((i) => {
      const queue = queues[i % SHOWN.length] as number[];
      return queue[Math.floor(i / SHOWN.length)] as number;
    }),
  );
}
