/**
 * What the text model is pre-trained on: plain texts (speeches, Wikipedia, and sentences of data sets
 * without their labels), and three labelled sets that no experiment uses, as T5 was trained on
 * labelled tasks besides plain text.
 *
 * SST-2's sentences come from the reviews of the polarity set, so neither is here with labels; of
 * SST-2 the training phrases are read as plain text.
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

/** The labelled sets of the pre-training: their tasks and splits. */
export const LABELLED: readonly (readonly [TextTask, TextSplit])[] = [
  ['mnli', 'dev'],
  ['qnli', 'dev'],
  ['subjectivity', 'train'],
];

export interface Corpus {
  readonly plain: readonly string[];
  readonly labelled: readonly (readonly [TextTask, TextDataset])[];
}

/** Everything, in a fixed order. */
export async function loadCorpus(dataDir: string): Promise<Corpus> {
  const labelled = await Promise.all(
    LABELLED.map(
      async ([task, split]) => [task, await texts(task, split, dataDir)] as [TextTask, TextDataset],
    ),
  );
  const phrases = (await texts('sst2', 'train', dataDir)).examples.map(({ text }) => text);
  const sentences = labelled.flatMap(([, { examples }]) =>
    examples.flatMap(({ text, second = '' }) => [text, second]),
  );
  const all = [...(await corpora(dataDir)), ...sentences, ...phrases];
  return { plain: all.filter((text) => text.length >= LEAST), labelled };
}
