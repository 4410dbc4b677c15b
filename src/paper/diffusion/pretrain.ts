/**
 * Makes the committed weights of Figure 3 from MNIST: the diffusion transformer, and the classifier
 * that judges its images. One thread each, so both may run side by side; interrupted runs go on.
 *
 *     npm run build && node dist/paper/diffusion/pretrain.js denoiser --data DIR
 *     npm run build && node dist/paper/diffusion/pretrain.js judge --data DIR
 */
import { parseArgs } from 'node:util';
import { concat, foldIn, type HostArray, type Loss, type Value } from '../../autodiff/index.js';
import { saveTree } from '../../main/weights.js';
import {
  denoisingLoss,
  initDiffusionTransformer,
  initVisionTransformer,
  softmaxCrossEntropy,
} from '../../models/index.js';
import { evaluator, shuffledBatches, takeRows } from '../../training/index.js';
import { PRETRAINING_KEY, pretrain } from '../pretraining.js';
import { digits } from './data.js';
import { onGrounds } from './grounds.js';
import {
  agreement,
  type Batch,
  CLASSES,
  CLASSIFIER,
  type ClassifierWeights,
  DENOISER,
  denoiser,
  judged,
  SCHEDULE,
  type Weights,
} from './model.js';
import { inStyle } from './style.js';
import { DENOISER_FILE, JUDGE_FILE } from './weights.js';

const grounds = foldIn(PRETRAINING_KEY, 4);

export const pretrainingLoss: Loss<Weights, Batch> = (weights, { images, labels }, { sampleKey }) =>
  denoisingLoss(
    denoiser(weights),
    { schedule: SCHEDULE, anyLabel: CLASSES },
    images,
    labels,
    sampleKey,
  );

/** Plain and styled images with their labels, as one batch. */
interface Pair<A = Value> extends Batch<A> {
  readonly styled: A;
}

const judgeLoss: Loss<ClassifierWeights, Pair> = (weights, { images, styled, labels }) =>
  softmaxCrossEntropy(judged(weights, concat([images, styled])).logits, concat([labels, labels]));

const judgeScores = (weights: ClassifierWeights, { images, styled, labels }: Pair) => ({
  plain: agreement(judged(weights, images).logits, labels),
  styled: agreement(judged(weights, styled).logits, labels),
});

/** The batches of 64 images of each step, in an order of their own. */
function batches(data: Batch<HostArray>): (step: number) => Batch<HostArray> {
  const count = data.labels.shape[0] as number;
  const order = shuffledBatches(foldIn(PRETRAINING_KEY, 1), count, 64);
  return (step) => takeRows(data, order(step));
}

const SHARED = { rate: 2e-3, warmUpSteps: 100 };
const SOURCE = 'MNIST at 14×14';

async function makeDenoiser(dataDir: string | undefined, steps: number): Promise<void> {
  const rows = batches(await digits('train', dataDir));
  await pretrain(
    {
      name: 'denoiser',
      loss: pretrainingLoss as never,
      params: initDiffusionTransformer(DENOISER, foldIn(PRETRAINING_KEY, 0)),
      steps,
      batch: (step) => {
        const { images, labels } = rows(step);
        return { images: onGrounds(images, foldIn(grounds, step)), labels };
      },
      ...SHARED,
      weightDecay: 0,
    },
    async (weights) => {
      await saveTree(DENOISER_FILE, weights, { source: SOURCE, steps: String(steps) });
      process.stderr.write(`wrote ${DENOISER_FILE}\n`);
    },
  );
}

async function makeJudge(dataDir: string | undefined, steps: number): Promise<void> {
  const pairs = (rows: Batch<HostArray>): Pair<HostArray> => ({
    ...rows,
    styled: inStyle(rows.images),
  });
  const rows = batches(await digits('train', dataDir));
  await pretrain(
    {
      name: 'judge',
      loss: judgeLoss as never,
      params: initVisionTransformer(CLASSIFIER, foldIn(PRETRAINING_KEY, 3)),
      steps,
      batch: (step) => pairs(rows(step)),
      ...SHARED,
      weightDecay: 0.05,
    },
    async (weights, _, backend) => {
      const { evaluate, dispose } = evaluator(judgeScores, backend, { batchSize: 200 });
      const { plain, styled } = await evaluate(weights, pairs(await digits('test', dataDir)));
      await dispose();
      const accuracies = { plain: plain?.toFixed(4) ?? '', styled: styled?.toFixed(4) ?? '' };
      await saveTree(JUDGE_FILE, weights, { source: SOURCE, steps: String(steps), ...accuracies });
      process.stderr.write(`accuracy ${JSON.stringify(accuracies)}; wrote ${JUDGE_FILE}\n`);
    },
  );
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { data: { type: 'string' }, steps: { type: 'string' } },
});
const dataDir = values.data ?? process.env.FLATLORA_DATA;
if (positionals[0] === 'judge') await makeJudge(dataDir, Number(values.steps ?? 4000));
else await makeDenoiser(dataDir, Number(values.steps ?? 6000));
