/**
 * Learns the committed vocabulary from the corpus.
 *
 *     npm run build && node dist/paper/text/pretrain.js vocabulary --data DIR
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { orThrow } from '../../autodiff/index.js';
import { learnTokenizer, type Tokenizer, tokenizerFromJson } from '../../tokenizers/index.js';
import { loadCorpus } from './corpus.js';
import { MODEL } from './model.js';

export const TOKENIZER_FILE = fileURLToPath(
  new URL('../../../weights/text-tokenizer.json', import.meta.url),
);

/** The committed tokenizer. */
export const loadTokenizer = async (): Promise<Tokenizer> =>
  orThrow(tokenizerFromJson(JSON.parse(await readFile(TOKENIZER_FILE, 'utf8'))));

/** Characters that are rarer than this are unknown. */
const LEAST_CHARACTER_COUNT = 50;

/** Learns it anew and writes it. */
export async function makeVocabulary(dataDir: string): Promise<void> {
  const { plain } = await loadCorpus(dataDir);
  const file = learnTokenizer(plain, {
    size: MODEL.vocabulary,
    leastCharacterCount: LEAST_CHARACTER_COUNT,
  });
  await writeFile(TOKENIZER_FILE, `${JSON.stringify(file)}\n`);
}
