/**
 * Makes the committed weights: trains the ViT on the source domain.
 *
 *     npm run build && node dist/main/pretrain.js --data DIR    # weights/vit-optdigits.safetensors
 *     npm run build && node dist/main/pretrain.js --steps 700   # weights/vit-drawn.safetensors
 */
import { parseArgs } from 'node:util';
import { foldIn, type HostArray, key } from '../autodiff/index.js';
import { gpujsBackend } from '../kernels/index.js';
import { initVisionTransformer } from '../models/index.js';
import { adamW, cosineSchedule } from '../optimisers/index.js';
import { evaluator, shuffledBatches, takeRows, train } from '../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../training/node/index.js';
import { loadSource } from './data.js';
import { type Batch, type HostWeights, MODEL, scores, taskLoss } from './model.js';
import { shiftByOnePixel } from './shift.js';
import { saveTree, weightsFile } from './weights.js';

const STEPS = 1400;
const BATCH = 64;
const SEED = 1;

const say = (line: string) => process.stderr.write(`${line}\n`);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { data: { type: 'string' }, steps: { type: 'string', default: String(STEPS) } },
  });
  const data = await loadSource({
    dataDir: values.data ?? process.env.FLATLORA_DATA,
    allowDownload: false,
    say,
  });
  const steps = Number(values.steps);
  const backend = await gpujsBackend('webasm');
  const count = data.train.labels.shape[0] as number;
  const order = shuffledBatches(foldIn(key(SEED), 1), count, BATCH);
  const shifts = foldIn(key(SEED), 2);
  const { signal } = abortOnInterrupt();
  const { reason, state } = await train<HostWeights, Batch, HostWeights>(
    {
      loss: (weights, batch, context) => taskLoss(weights as never, batch, context),
      optimiser: adamW({
        learningRate: cosineSchedule(1e-3, { totalSteps: steps, warmUpSteps: 60 }),
        weightDecay: 0.05,
      }),
      params: initVisionTransformer(MODEL, foldIn(key(SEED), 0)),
      totalSteps: steps,
      batch: (step) => {
        const rows = takeRows(data.train, order(step)) as Batch<HostArray>;
        return { ...rows, images: shiftByOnePixel(rows.images, foldIn(shifts, step)) };
      },
      runKey: foldIn(key(SEED), 3),
    },
    backend,
    { signal, observe: terminalProgress({ label: 'pre-training' }) },
  );
  if (reason === 'interrupted') return;
  const { evaluate, dispose } = evaluator(scores, backend, { batchSize: 128 });
  const { accuracy, loss } = await evaluate(state.params, data.test as never);
  await dispose();
  await backend.dispose();
  const file = weightsFile(data.origin);
  await saveTree(file, state.params, {
    source: data.source,
    steps: String(steps),
    testAccuracy: (accuracy as number).toFixed(4),
  });
  say(`test accuracy ${accuracy?.toFixed(4)}, loss ${loss?.toFixed(4)}; wrote ${file}`);
}

await main();
