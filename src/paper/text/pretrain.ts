/**
 * Makes the committed vocabulary and weights of the text experiments, in three commands. An interrupted
 * training goes on.
 *
 *     npm run build
 *     node dist/paper/text/pretrain.js vocabulary --data DIR
 *     node dist/paper/text/pretrain.js text --data DIR
 *     node dist/paper/text/pretrain.js tasks --data DIR     # from the weights of `text`
 */
import { parseArgs } from 'node:util';
import { flatData, floats, foldIn, type HostArray } from '../../autodiff/index.js';
import { initEncoderDecoder } from '../../models/index.js';
import { PRETRAINING_KEY, pretrain } from '../pretraining.js';
import { loadCorpus, type Shares, TASK_SHARES, TEXT_SHARES } from './corpus.js';
import { MODEL, textLoss, type Weights } from './model.js';
import { pretrainingBatches, ROWS, type RowCounts, TASK_ROWS } from './pretraining.js';
import { loadTokenizer, makeVocabulary } from './vocabulary.js';
import { loadWeights, saveWeights, WEIGHTS_FILE } from './weights.js';

/** Of the embeddings that `initEncoderDecoder` makes. */
const INITIAL_DEVIATION = 0.02;

/**
 * Fresh weights with T5's scales: embeddings of variance 1, so that a token stands out against what the
 * first blocks add to it, and a last norm of d^(−½), so that logits begin small although the head is
 * the embedding. With embeddings of 0.02 the model learned to ignore its source for a long time.
 */
function initialWeights(): Weights<HostArray> {
  const weights = initEncoderDecoder(MODEL, foldIn(PRETRAINING_KEY, 0));
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
    steps: 6000,
    rate: 3e-3,
    rows: ROWS,
    shares: TEXT_SHARES,
    start: initialWeights,
  },
  tasks: {
    name: 'tasks',
    steps: 6000,
    rate: 3e-3,
    rows: TASK_ROWS,
    shares: TASK_SHARES,
    start: loadWeights,
  },
};

async function make(
  dataDir: string,
  { name, steps, rate, rows, shares, start }: Phase,
): Promise<void> {
  await pretrain(
    {
      name: `text-${name}`,
      loss: textLoss,
      params: await start(),
      steps,
      batch: pretrainingBatches(await loadTokenizer(), await loadCorpus(dataDir, shares), rows),
      rate,
      warmUpSteps: 50,
      weightDecay: 0.01,
      identity: { ...rows },
    },
    async (weights, loss) => {
      await saveWeights(weights, { phase: name, steps: String(steps), loss: loss.toFixed(3) });
      process.stderr.write(`loss ${loss.toFixed(3)}; wrote ${WEIGHTS_FILE}\n`);
    },
  );
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
else await make(dataDir, { ...phase, steps: Number(values.steps ?? phase.steps) });
