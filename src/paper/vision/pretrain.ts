/**
 * Makes the committed weights of the vision experiments: trains the ViT on MNIST.
 *
 *     npm run build && node dist/paper/vision/pretrain.js --data DIR
 */
import { parseArgs } from 'node:util';
import * as E from 'fp-ts/lib/Either.js';
import { FlatloraError, foldIn, key } from '../../autodiff/index.js';
import { loadDataset, resizeBilinear } from '../../data/index.js';
import { wasmBackend } from '../../kernels/index.js';
import { shiftByOnePixel } from '../../main/shift.js';
import { saveTree } from '../../main/weights.js';
import { initVisionTransformer } from '../../models/index.js';
import { adamW, cosineSchedule } from '../../optimisers/index.js';
import { evaluator, shuffledBatches, takeRows, train } from '../../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../../training/node/index.js';
import {
  type Batch,
  type HostWeights,
  type Images,
  MODEL,
  scores,
  taskLoss,
  WEIGHTS_FILE,
} from './model.js';

const STEPS = 3000;
const BATCH = 64;
const SEED = 1;

async function mnist(split: 'train' | 'test', dataDir: string): Promise<Images> {
  const loaded = await loadDataset('mnist', split, { dataDir })();
  if (E.isLeft(loaded)) throw new FlatloraError('data', loaded.left.message);
  const { images, labels } = loaded.right.dataset;
  return { images: resizeBilinear(images, 16, 16), labels };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { data: { type: 'string' }, steps: { type: 'string', default: String(STEPS) } },
  });
  const dataDir = values.data ?? process.env.FLATLORA_DATA ?? '.';
  const steps = Number(values.steps);
  const [images, test] = [await mnist('train', dataDir), await mnist('test', dataDir)];
  const backend = await wasmBackend({ threads: 1 });
  const order = shuffledBatches(foldIn(key(SEED), 1), images.labels.shape[0] as number, BATCH);
  const shifts = foldIn(key(SEED), 2);
  const { signal } = abortOnInterrupt();
  const { reason, state } = await train<HostWeights, Batch, HostWeights>(
    {
      loss: (weights, batch, context) => taskLoss(weights as never, batch, context),
      optimiser: adamW({
        learningRate: cosineSchedule(1e-3, { totalSteps: steps, warmUpSteps: 100 }),
        weightDecay: 0.05,
      }),
      params: initVisionTransformer(MODEL, foldIn(key(SEED), 0)),
      totalSteps: steps,
      batch: (step) => {
        const rows = takeRows(images, order(step));
        return { ...rows, images: shiftByOnePixel(rows.images, foldIn(shifts, step)) };
      },
      runKey: foldIn(key(SEED), 3),
    },
    backend,
    { signal, observe: terminalProgress({ label: 'pre-training' }) },
  );
  if (reason === 'interrupted') return;
  const { evaluate, dispose } = evaluator(scores, backend, { batchSize: 128 });
  const { accuracy } = await evaluate(state.params, test as never);
  await dispose();
  await backend.dispose();
  const testAccuracy = (accuracy as number).toFixed(4);
  await saveTree(WEIGHTS_FILE, state.params, {
    source: 'MNIST, 60,000 training images resized to 16×16',
    steps: String(steps),
    testAccuracy,
  });
  process.stderr.write(`test accuracy ${testAccuracy}; wrote ${WEIGHTS_FILE}\n`);
}

await main();
