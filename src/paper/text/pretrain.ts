/**
 * Makes the committed vocabulary and weights of the text experiments. An interrupted training goes on.
 *
 *     npm run build && node dist/paper/text/pretrain.js vocabulary --data DIR
 *     npm run build && node dist/paper/text/pretrain.js --data DIR
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { foldIn, type HostArray, key } from '../../autodiff/index.js';
import { nodeCheckpoints } from '../../checkpoints/node/index.js';
import { wasmBackend } from '../../kernels/index.js';
import { initEncoderDecoder } from '../../models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../optimisers/index.js';
import { train } from '../../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../../training/node/index.js';
import { loadCorpus } from './corpus.js';
import { type Batch, MODEL, textLoss, type Weights } from './model.js';
import { pretrainingBatches, ROWS } from './pretraining.js';
import { loadTokenizer, makeVocabulary } from './vocabulary.js';
import { saveWeights, WEIGHTS_FILE } from './weights.js';

const SEED = 1;
const RATE = 3e-3;

async function pretrain(dataDir: string, steps: number): Promise<void> {
  const backend = await wasmBackend({ threads: 1 });
  const batch = pretrainingBatches(await loadTokenizer(), await loadCorpus(dataDir));
  const { signal } = abortOnInterrupt();
  const progress = terminalProgress({ label: 'pre-training' });
  let mean = 0;
  const { reason, state } = await train<Weights, Batch, Weights<HostArray>>(
    {
      loss: textLoss,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({
          learningRate: cosineSchedule(RATE, { totalSteps: steps, warmUpSteps: 50 }),
          weightDecay: 0.01,
        }),
      ),
      params: initEncoderDecoder(MODEL, foldIn(key(SEED), 0)),
      totalSteps: steps,
      batch,
      runKey: foldIn(key(SEED), 1),
    },
    backend,
    {
      signal,
      observe: (event) => {
        progress(event);
        if (event.kind !== 'step') return;
        mean += (event.loss - mean) / Math.min(event.step + 1, 50);
        if (event.step % 50 === 49) {
          process.stderr.write(`step ${event.step + 1}: loss ${mean.toFixed(3)}\n`);
        }
      },
      checkpoints: {
        store: nodeCheckpoints(path.join('out', 'pretraining', 'text')),
        every: 100,
        configuration: { steps, rate: RATE, rows: { ...ROWS } },
      },
    },
  );
  await backend.dispose();
  if (reason === 'interrupted') return;
  await saveWeights(state.params, { steps: String(steps), loss: mean.toFixed(3) });
  process.stderr.write(`loss ${mean.toFixed(3)}; wrote ${WEIGHTS_FILE}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { data: { type: 'string' }, steps: { type: 'string', default: '1500' } },
});
const dataDir = values.data ?? process.env.FLATLORA_DATA ?? 'data';
if (positionals[0] === 'vocabulary') await makeVocabulary(dataDir);
else await pretrain(dataDir, Number(values.steps));
