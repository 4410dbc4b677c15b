/**
 * Makes the committed weights of Figure 3 from MNIST: the diffusion transformer, and the classifier
 * that judges its images. One thread each, so both may run side by side; interrupted runs go on.
 *
 *     npm run build && node dist/paper/diffusion/pretrain.js denoiser --data DIR
 *     npm run build && node dist/paper/diffusion/pretrain.js judge --data DIR
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  concat,
  foldIn,
  type HostArray,
  key,
  type Loss,
  type Value,
} from '../../autodiff/index.js';
import { nodeCheckpoints } from '../../checkpoints/node/index.js';
import { type Backend, wasmBackend } from '../../kernels/index.js';
import {
  denoisingLoss,
  initDiffusionTransformer,
  initVisionTransformer,
  softmaxCrossEntropy,
} from '../../models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../optimisers/index.js';
import { evaluator, shuffledBatches, takeRows, train } from '../../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../../training/node/index.js';
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
import { DENOISER_FILE, JUDGE_FILE, save } from './weights.js';

const SEED = 1;
const grounds = foldIn(key(SEED), 4);

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

interface Options {
  readonly data: Batch<HostArray>;
  readonly steps: number;
  readonly batchSize: number;
  readonly rate: number;
  readonly name: string;
  readonly weightDecay: number;
}

/** Trains to the end, or says `undefined` when interrupted. */
async function trained<W>(
  loss: Loss<never, never>,
  params: W,
  batch: (rows: Batch<HostArray>, step: number) => unknown,
  { data, steps, batchSize, rate, name, weightDecay }: Options,
  backend: Backend,
): Promise<W | undefined> {
  const order = shuffledBatches(foldIn(key(SEED), 1), data.labels.shape[0] as number, batchSize);
  const { signal } = abortOnInterrupt();
  const { reason, state } = await train<never, never, W>(
    {
      loss,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({
          learningRate: cosineSchedule(rate, { totalSteps: steps, warmUpSteps: 100 }),
          weightDecay,
        }),
      ),
      params,
      totalSteps: steps,
      batch: (step) => batch(takeRows(data, order(step)), step),
      runKey: foldIn(key(SEED), 2),
    },
    backend,
    {
      signal,
      observe: terminalProgress({ label: name }),
      checkpoints: {
        store: nodeCheckpoints(path.join('out', 'pretraining', name)),
        every: 250,
        configuration: { name, steps, batchSize, rate },
      },
    },
  );
  return reason === 'interrupted' ? undefined : state.params;
}

async function makeDenoiser(dataDir: string | undefined, steps: number): Promise<void> {
  const backend = await wasmBackend({ threads: 1 });
  const data = await digits('train', dataDir);
  const weights = await trained(
    pretrainingLoss as never,
    initDiffusionTransformer(DENOISER, foldIn(key(SEED), 0)),
    ({ images, labels }, step) => ({
      images: onGrounds(images, foldIn(grounds, step)),
      labels,
    }),
    { data, steps, batchSize: 64, rate: 2e-3, name: 'denoiser', weightDecay: 0 },
    backend,
  );
  await backend.dispose();
  if (weights === undefined) return;
  await save(DENOISER_FILE, weights, { source: 'MNIST at 14×14', steps: String(steps) });
  process.stderr.write(`wrote ${DENOISER_FILE}\n`);
}

async function makeJudge(dataDir: string | undefined, steps: number): Promise<void> {
  const backend = await wasmBackend({ threads: 1 });
  const pairs = (rows: Batch<HostArray>): Pair<HostArray> => ({
    ...rows,
    styled: inStyle(rows.images),
  });
  const data = await digits('train', dataDir);
  const weights = await trained(
    judgeLoss as never,
    initVisionTransformer(CLASSIFIER, foldIn(key(SEED), 3)),
    pairs,
    { data, steps, batchSize: 64, rate: 2e-3, name: 'judge', weightDecay: 0.05 },
    backend,
  );
  if (weights === undefined) return backend.dispose();
  const { evaluate, dispose } = evaluator(judgeScores, backend, { batchSize: 200 });
  const { plain, styled } = await evaluate(weights, pairs(await digits('test', dataDir)));
  await dispose();
  await backend.dispose();
  const accuracies = { plain: plain?.toFixed(4) ?? '', styled: styled?.toFixed(4) ?? '' };
  await save(JUDGE_FILE, weights, {
    source: 'MNIST at 14×14',
    steps: String(steps),
    ...accuracies,
  });
  process.stderr.write(`accuracy ${JSON.stringify(accuracies)}; wrote ${JUDGE_FILE}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { data: { type: 'string' }, steps: { type: 'string' } },
});
const dataDir = values.data ?? process.env.FLATLORA_DATA;
if (positionals[0] === 'judge') await makeJudge(dataDir, Number(values.steps ?? 4000));
else await makeDenoiser(dataDir, Number(values.steps ?? 6000));
