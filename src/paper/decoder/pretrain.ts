/**
 * Makes the committed vocabulary and weights of our own decoder, in two commands. An interrupted
 * training goes on.
 *
 *     npm run build
 *     node dist/paper/decoder/pretrain.js vocabulary --data DIR
 *     node dist/paper/decoder/pretrain.js weights --data DIR
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { foldIn } from '../../autodiff/index.js';
import { initCausalDecoder } from '../../models/index.js';
import { learnTokenizer } from '../../tokenizers/index.js';
import { PRETRAINING_KEY, pretrain } from '../pretraining.js';
import { saveHalf } from '../weights.js';
import { decoderBatches, ROWS, vocabularyTexts } from './corpus.js';
import { decoderLoss } from './model.js';
import { loadCodec, TOKENIZER_FILE, WEIGHTS_FILE } from './own.js';
import { OWN } from './ownConfig.js';

const STEPS = 5000;
/** Characters that are rarer than this are unknown. */
const LEAST_CHARACTER_COUNT = 50;

async function makeVocabulary(dataDir: string): Promise<void> {
  const file = learnTokenizer(await vocabularyTexts(dataDir), {
    size: OWN.vocabulary,
    leastCharacterCount: LEAST_CHARACTER_COUNT,
    sentinels: 0,
  });
  await writeFile(TOKENIZER_FILE, `${JSON.stringify(file)}\n`);
}

async function makeWeights(dataDir: string, steps: number): Promise<void> {
  await pretrain(
    {
      name: 'decoder',
      loss: decoderLoss(OWN) as never,
      params: initCausalDecoder(OWN, foldIn(PRETRAINING_KEY, 0)),
      steps,
      batch: await decoderBatches(await loadCodec(), dataDir),
      rate: 3e-3,
      warmUpSteps: 100,
      weightDecay: 0.01,
      identity: { ...ROWS },
    },
    async (weights, loss) => {
      await saveHalf(WEIGHTS_FILE, weights, { steps: String(steps), loss: loss.toFixed(3) });
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
if (what === 'vocabulary') await makeVocabulary(dataDir);
else if (what === 'weights') await makeWeights(dataDir, Number(values.steps ?? STEPS));
else process.stderr.write('pretrain: vocabulary or weights\n');
