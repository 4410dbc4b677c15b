/** Where each folder of the data directory comes from, to be told when it is missing. */
import { existsSync } from 'node:fs';
import path from 'node:path';

const GLUE = 'https://gluebenchmark.com/tasks';
const NLTK = 'https://www.nltk.org/nltk_data';

const PLACES: Readonly<Record<string, string>> = {
  optdigits: 'https://archive.ics.uci.edu/dataset/80',
  semeion: 'https://archive.ics.uci.edu/dataset/178',
  mnist: 'https://yann.lecun.com/exdb/mnist',
  'fashion-mnist': 'https://github.com/zalandoresearch/fashion-mnist',
  cifar100: 'https://www.cs.toronto.edu/~kriz/cifar.html (the binary version)',
  glue: GLUE,
  'glue/CoLA': `https://nyu-mll.github.io/CoLA (with the out-of-domain set) or ${GLUE}`,
  polarity: `${NLTK} (sentence_polarity)`,
  subjectivity: `${NLTK} (subjectivity)`,
  gsm8k: 'https://github.com/openai/grade-school-math',
  humaneval: 'https://github.com/openai/human-eval',
  instructions: 'https://github.com/tatsu-lab/stanford_alpaca',
  shakespeare: 'https://github.com/karpathy/char-rnn (tinyshakespeare)',
  corpora: `${NLTK} (inaugural, state_union, names)`,
  stories260k: 'https://huggingface.co/karpathy/tinyllamas (stories260K)',
  tokenizers: 'https://huggingface.co/google-t5/t5-base (tokenizer.json)',
};

const placeOf = (folder: string): string | undefined =>
  PLACES[folder] ?? PLACES[folder.split('/')[0] as string];

/**
 * Why an experiment with these folders cannot run: the first one that is missing, where to get it
 * and where to put it; `undefined` when all are there.
 */
export function missingData(
  folders: readonly string[],
  dataDir: string | undefined,
): string | undefined {
  const missing = folders.find(
    (folder) => dataDir === undefined || !existsSync(path.join(dataDir, folder)),
  );
  if (missing === undefined) return undefined;
  const place = placeOf(missing);
  const from = place === undefined ? '' : `; it is at ${place}`;
  return dataDir === undefined
    ? `needs the data folder ${missing}${from}; put it into a directory and name that with --data`
    : `needs the folder ${missing} in the directory of --data${from}`;
}
