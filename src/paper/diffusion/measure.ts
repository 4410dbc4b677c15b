/** What is measured of an adapted denoiser and of the images that it draws, on a backend. */
import {
  evaluationContext,
  foldIn,
  type HostArray,
  hostArray,
  key,
  type Loss,
  range,
  type Value,
} from '../../autodiff/index.js';
import { type Backend, compile, release } from '../../kernels/index.js';
import { denoisingLoss } from '../../models/index.js';
import { mean } from '../../report/index.js';
import { takeRows } from '../../training/index.js';
import {
  agreement,
  type Batch,
  CLASSES,
  type ClassifierWeights,
  denoiser,
  type HostClassifier,
  judged,
  SCHEDULE,
  type Weights,
} from './model.js';

/** The loss of Ho et al. 2020; of every ten labels one is left out in training. */
export const styleLoss: Loss<Weights, Batch> = (
  weights,
  { images, labels },
  { sampleKey, training },
) =>
  denoisingLoss(
    denoiser(weights),
    { schedule: SCHEDULE, anyLabel: CLASSES, labelDropout: training ? 0.1 : 0 },
    images,
    labels,
    sampleKey,
  );

/** Times and noise of held-out losses: the same for all runs. */
const HELD_OUT_KEY = key(29);
const DRAWS = 4;

/** The denoising loss of images, the mean over a few fixed draws of times and noise. */
export async function lossOn(
  weights: unknown,
  images: Batch<HostArray>,
  backend: Backend,
): Promise<number> {
  const program = compile(
    (w: Weights, batch: Batch, sampleKey: Value) =>
      styleLoss(w, batch, { ...evaluationContext(), sampleKey }),
    backend,
  );
  const losses: number[] = [];
  for (const draw of range(DRAWS)) {
    const loss = await program(weights, images, foldIn(HELD_OUT_KEY, draw));
    losses.push((await backend.download(loss)).get() as number);
    release(backend, loss);
  }
  await program.dispose();
  return mean(losses);
}

/** What the judge makes of images. */
export interface Judgement {
  /** [n, 48] */
  readonly features: HostArray;
  /** For each image 1 where the judge reads its label, else 0. */
  readonly right: readonly number[];
}

const JUDGED_AT_ONCE = 100;

/** Shows images to the judge. */
export async function examine(
  judge: HostClassifier,
  images: Batch<HostArray>,
  backend: Backend,
): Promise<Judgement> {
  const program = compile((weights: ClassifierWeights, batch: Batch) => {
    const { features, logits } = judged(weights, batch.images);
    return { features, right: agreement(logits, batch.labels) };
  }, backend);
  const count = images.labels.shape[0] as number;
  const features: number[] = [];
  const right: number[] = [];
  for (let start = 0; start < count; start += JUDGED_AT_ONCE) {
    // One program for all: the last batch is filled up, and what is too much left out.
    const rows = range(JUDGED_AT_ONCE).map((i) => Math.min(start + i, count - 1));
    const found = await program(judge, takeRows(images, rows));
    const [some, whether] = [
      await backend.download(found.features),
      await backend.download(found.right),
    ];
    release(backend, found);
    const kept = Math.min(JUDGED_AT_ONCE, count - start);
    const width = some.shape[1] as number;
    features.push(...Array.from(some.data).slice(0, kept * width));
    right.push(...Array.from(whether.data).slice(0, kept));
  }
  await program.dispose();
  return {
    features: hostArray(Float64Array.from(features), [count, features.length / count]),
    right,
  };
}
