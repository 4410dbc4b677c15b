/**
 * Makes the committed vocabulary and weights of the text experiments, in three commands. An interrupted
 * training goes on.
 *
 *     npm run build
 *     node dist/paper/text/pretrain.js vocabulary --data DIR
 *     node dist/paper/text/pretrain.js text --data DIR
 *     node dist/paper/text/pretrain.js tasks --data DIR     # from the weights of `text`
 */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { flatData, floats, foldIn, type HostArray, key } from '../../autodiff/index.js';
import { nodeCheckpoints } from '../../checkpoints/node/index.js';
import { wasmBackend } from '../../kernels/index.js';
import { initEncoderDecoder } from '../../models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../optimisers/index.js';
import { train } from '../../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../../training/node/index.js';
import { loadCorpus, type Shares, TASK_SHARES, TEXT_SHARES } from './corpus.js';
import { type Batch, MODEL, textLoss, type Weights } from './model.js';
import { pretrainingBatches, ROWS, type RowCounts, TASK_ROWS } from './pretraining.js';
import { loadTokenizer, makeVocabulary } from './vocabulary.js';
import { loadWeights, saveWeights, WEIGHTS_FILE } from './weights.js';

const SEED = 1;
/** Of the embeddings that `initEncoderDecoder` makes. */
const INITIAL_DEVIATION = 0.02;

/**
 * Fresh weights with T5's scales: embeddings of variance 1, so that a token stands out against what the
 * first blocks add to it, and a last norm of d^(−½), so that logits begin small although the head is
 * the embedding. With embeddings of 0.02 the model learned to ignore its source for a long time.
 */
function initialWeights(): Weights<HostArray> {
  const weights = initEncoderDecoder(MODEL, foldIn(key(SEED), 0));
  const times = (factor: number) => (array: HostArray) =>
    floats(
      Array.from(flatData(array), (x) => factor * x),
      array.shape,
    );
  const { tokenEmbedding, decoder } = weights;
  return {
    ...weights,
    tokenEmbedding: { weight: times(1 / INITIAL_DEVIATION)(tokenEmbedding.weight) },
    decoder: {
      ...decoder,
      ...(decoder.norm && { norm: { scale: times(MODEL.width ** -0.5)(decoder.norm.scale) } }),
    },
  };
}

interface Phase {
  readonly name: string;
  readonly steps: number;
  readonly rate: number;
  readonly rows: RowCounts;
  readonly shares: Shares;
  readonly start: () => Weights<HostArray> | Promise<Weights<HostArray>>;
}

const PHASES: Readonly<Record<string, Phase>> = {
  text: {
    name: 'text',
    steps: 900,
    rate: 3e-3,
    rows: ROWS,
    shares: TEXT_SHARES,
    start: initialWeights,
  },
  tasks: {
    name: 'tasks',
    steps: 900,
    rate: 1e-3,
    rows: TASK_ROWS,
    shares: TASK_SHARES,
    start: loadWeights,
  },
};

async function pretrain(
  dataDir: string,
  { name, steps, rate, rows, shares, start }: Phase,
): Promise<void> {
  const backend = await wasmBackend({ threads: 1 });
  const batch = pretrainingBatches(await loadTokenizer(), await loadCorpus(dataDir, shares), rows);
  const { signal } = abortOnInterrupt();
  const progress = terminalProgress({ label: 'pre-training' });
  let mean = 0;
  const { reason, state } = await train<Weights, Batch, Weights<HostArray>>(
    {
      loss: textLoss,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({
          learningRate: cosineSchedule(rate, { totalSteps: steps, warmUpSteps: 50 }),
          weightDecay: 0.01,
        }),
      ),
      params: await start(),
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
        store: nodeCheckpoints(path.join('out', 'pretraining', `text-${name}`)),
        every: 100,
        configuration: { name, steps, rate, rows: { ...rows } },
      },
    },
  );
  await backend.dispose();
  if (reason === 'interrupted') return;
  await saveWeights(state.params, { phase: name, steps: String(steps), loss: mean.toFixed(3) });
  process.stderr.write(`loss ${mean.toFixed(3)}; wrote ${WEIGHTS_FILE}\n`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { data: { type: 'string' }, steps: { type: 'string' } },
});
const dataDir = values.data ?? process.env.FLATLORA_DATA ?? 'data';
const [what = ''] = positionals;
const phase = PHASES[what];
if (what === 'vocabulary') await makeVocabulary(dataDir);
else if (phase === undefined) process.stderr.write('pretrain: vocabulary, text or tasks\n');
else await pretrain(dataDir, { ...phase, steps: Number(values.steps ?? phase.steps) });
