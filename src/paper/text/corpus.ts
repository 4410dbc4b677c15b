/**
 * What the text model is pre-trained on: plain texts (speeches, Wikipedia, sentences of data sets
 * without their labels) and labelled tasks. T5's own checkpoints were trained on GLUE's training sets
 * besides plain text; here SST-2 and CoLA are divided, so that fine-tuning sees other examples.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import { FlatloraError } from '../../autodiff/index.js';
import { loadTexts, type TextDataset, type TextSplit, type TextTask } from '../../data/index.js';

/** A data set, or its problem thrown. */
export async function texts(
  task: TextTask,
  split: TextSplit,
  dataDir: string,
): Promise<TextDataset> {
  const loaded = await loadTexts(task, split, dataDir)();
  if (E.isLeft(loaded)) throw new FlatloraError('data', loaded.left.message);
  return loaded.right;
}

const CORPORA = ['inaugural', 'state_union', 'wikitext-2-valid', 'wikitext-2-test'];

/** Shorter lines are headings and remnants. */
const LEAST = 25;

/** WikiText's own ways to write ordinary text: ` @-@ ` for a hyphen, spaces before punctuation. */
const plain = (line: string): string => line.replace(/ @([-.,])@ /g, '$1').trim();

async function corpora(dataDir: string): Promise<readonly string[]> {
  const files = CORPORA.map((name) => path.join(dataDir, 'corpora', `${name}.txt`));
  const contents = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return contents.flatMap((content) => content.split('\n').map(plain));
}

/** Half of a set: its even rows are for the pre-training, its odd rows for fine-tuning. */
export const half = (dataset: TextDataset, parity: 0 | 1): TextDataset => ({
  ...dataset,
  examples: dataset.examples.filter((_, i) => i % 2 === parity),
});

/** The tasks whose training sets are divided. */
export const DIVIDED: readonly TextTask[] = ['sst2', 'cola'];

/** Labelled sets of the pre-training; all are read as plain text, too. */
const SETS: readonly (readonly [TextTask, TextSplit])[] = [
  ['sst2', 'train'],
  ['cola', 'train'],
  ['mnli', 'dev'],
  ['qnli', 'dev'],
  ['subjectivity', 'train'],
];

/** How many of the labelled rows are of each task, as shares of a whole. */
export type Shares = Readonly<Partial<Record<TextTask, number>>>;

/** While the model learns to read and write. */
export const TEXT_SHARES: Shares = { sst2: 4, cola: 1, mnli: 1, qnli: 1, subjectivity: 1 };

/** While it learns tasks: those that a model of its size can learn. */
export const TASK_SHARES: Shares = { sst2: 5, cola: 1, subjectivity: 2 };

export interface Corpus {
  readonly plain: readonly string[];
  /** Data sets of which rows are drawn equally often. */
  readonly labelled: readonly (readonly [TextTask, TextDataset])[];
}

/** Everything, in a fixed order. */
export async function loadCorpus(dataDir: string, shares: Shares = TEXT_SHARES): Promise<Corpus> {
  const sets = await Promise.all(
    SETS.map(async ([task, split]) => {
      const all = await texts(task, split, dataDir);
      return { task, dataset: DIVIDED.includes(task) ? half(all, 0) : all };
    }),
  );
  const sentences = sets.flatMap(({ dataset }) =>
    dataset.examples.flatMap(({ text, second = '' }) => [text, second]),
  );
  return {
    plain: [...(await corpora(dataDir)), ...sentences].filter((text) => text.length >= LEAST),
    labelled: sets.flatMap(({ task, dataset }) =>
      Array.from({ length: shares[task] ?? 0 }, () => [task, dataset] as const),
    ),
  };
}
