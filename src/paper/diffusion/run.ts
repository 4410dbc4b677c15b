/** One run of Figure 3: learn the style from a few images, draw new ones, score them. */
import { flatData, foldIn, type HostArray, ints, key, range } from '../../autodiff/index.js';
import { mean } from '../../report/index.js';
import { shuffledBatches, takeRows } from '../../training/index.js';
import type { Cell, Measures, RunContext } from '../experiment.js';
import { fineTune } from '../fineTune.js';
import { methodSettings, UNTRAINED, WITHHELD } from './cells.js';
import { examine, lossOn, styleLoss } from './measure.js';
import { type Batch, CLASSES, type Weights } from './model.js';
import { toText } from './png.js';
import { type StylePremises, styleImages } from './premises.js';
import { sampler } from './sampler.js';
import { kernelDistance, nearestDistance } from './scores.js';
import { squareErrors } from './style.js';

/** All runs draw their images from the same noise. */
const SAMPLING_KEY = key(23);
/** Images of each class that are kept to be looked at. */
export const KEPT_PER_CLASS = 3;

/** The numbers of a cell by name. */
type Numbers = Readonly<
  Record<'seed' | 'steps' | 'images' | 'perClass' | 'samplingSteps' | 'guidance', number>
>;

/** Trains as the cell says; the weights as they were for `before`, `undefined` when interrupted. */
async function adapted(
  cell: Cell,
  { base }: StylePremises,
  images: Batch<HostArray>,
  context: RunContext,
): Promise<unknown> {
  if (UNTRAINED.includes(cell.method as string)) return base;
  const { seed, steps } = cell as Numbers;
  const own = key(seed);
  const order = shuffledBatches(foldIn(own, 1), images.labels.shape[0] as number, 1);
  const tuned = await fineTune<Weights, Batch>(
    {
      loss: styleLoss,
      base,
      method: cell.method as string,
      settings: methodSettings(cell),
      batch: (step) => takeRows(images, order(step)),
      totalSteps: steps,
      key: own,
      schedule: 'constant',
      share: 0.3,
      identity: cell,
    },
    context,
  );
  return tuned?.merged;
}

/** Draws `perClass` images of every class, class by class. */
async function drawn(weights: unknown, cell: Cell, { backend, progress }: RunContext) {
  const { perClass, samplingSteps, guidance } = cell as Numbers;
  const labels = range(CLASSES * perClass).map((i) => Math.floor(i / perClass));
  const { sample, dispose } = sampler(backend, {
    steps: samplingSteps,
    guidance,
    batchSize: Math.min(50, labels.length),
  });
  const images = await sample(weights, labels, SAMPLING_KEY, (share) =>
    progress(0.3 + 0.6 * share),
  );
  await dispose();
  return { images, labels: ints(labels) };
}

/** A few images of each class, as text. */
function kept({ images, labels }: Batch<HostArray>): string {
  const classOf = Array.from(flatData(labels));
  const rows = range(CLASSES).flatMap((wanted) =>
    classOf.flatMap((label, i) => (label === wanted ? [i] : [])).slice(0, KEPT_PER_CLASS),
  );
  return toText(takeRows(images, rows));
}

/** Trains and measures. For `real`, images of the validation set stand in for drawn ones. */
export async function runStyle(
  cell: Cell,
  premises: StylePremises,
  context: RunContext,
): Promise<Measures | undefined> {
  const { backend } = context;
  const { judge, pool, validation, test } = premises;
  const { seed, images: count } = cell as Numbers;
  const training = styleImages(pool, count, foldIn(key(seed), 4));
  const weights = await adapted(cell, premises, training, context);
  if (weights === undefined) return undefined;
  const result = cell.method === 'real' ? validation : await drawn(weights, cell, context);
  const own = await examine(judge, result, backend);
  const distanceTo = async (reference: Batch<HostArray>) =>
    kernelDistance(own.features, (await examine(judge, reference, backend)).features);
  const labels = Array.from(flatData(result.labels));
  const over = (values: readonly number[], withheld: boolean) =>
    mean(values.filter((_, i) => WITHHELD.includes(labels[i] as number) === withheld));
  const errors = squareErrors(result.images);
  const [distance, toValidation] = [await distanceTo(test), await distanceTo(validation)];
  return {
    content: mean(own.right),
    contentShown: over(own.right, false),
    contentWithheld: over(own.right, true),
    styleShown: over(errors, false),
    styleWithheld: over(errors, true),
    distance,
    validation: -toValidation,
    nearest: nearestDistance(result.images, training.images),
    ...(cell.method !== 'real' && {
      testLoss: await lossOn(weights, test, backend),
      trainLoss: await lossOn(weights, training, backend),
    }),
    // The picture shows the first seed alone.
    ...(seed === 0 && { samples: kept(result), training: toText(training.images) }),
  };
}
