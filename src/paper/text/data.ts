/** The tasks of the text experiments, split once and for all and turned into token ids. */
import { foldIn, type HostArray, hostPermutation, key } from '../../autodiff/index.js';
import type { TextDataset, TextExample } from '../../data/index.js';
import type { Tokenizer } from '../../tokenizers/index.js';
import { takeRows } from '../../training/index.js';
import { DIVIDED, half, texts } from './corpus.js';
import { encodeExamples, firstTokens } from './encode.js';
import { type ToyTask, toyTexts } from './grammar.js';
import type { Labelled } from './model.js';
import { TASKS } from './tasks.js';

export type TaskName = 'sst2' | 'cola' | 'mrpc' | 'rte' | 'polarity';

/** Table 1's tasks in the order of the paper, as far as they are there; then polarity. */
export const TASK_NAMES: readonly TaskName[] = ['sst2', 'cola', 'mrpc', 'rte', 'polarity'];

type Examples = Labelled<HostArray>;

export interface TaskData {
  /** What training examples are drawn from. */
  readonly pool: Examples;
  /** What settings are chosen on; taken from the training file. */
  readonly validation: Examples;
  /** GLUE's development set, as in the paper, or for polarity a part that is drawn once. */
  readonly test: Examples;
  /** CoLA's other development set, from sources of its own. */
  readonly outOfDomain?: Examples;
  readonly firstTokens: readonly number[];
}

const SPLIT_KEY = key(31);

/** Rows of a data set at places of a shuffled order. */
const rows = (
  { examples }: TextDataset,
  order: ArrayLike<number>,
  start: number,
  end: number,
): readonly TextExample[] =>
  Array.from(order)
    .slice(start, end)
    .map((i) => examples[i] as TextExample);

const VALIDATION = 300;
const TEST = 1000;

interface Parts {
  readonly train: TextDataset;
  readonly test?: TextDataset;
  readonly outOfDomain?: TextDataset;
}

const TOYS: Readonly<Record<TaskName, ToyTask>> = {
  sst2: 'sentiment',
  polarity: 'sentiment',
  cola: 'grammar',
  mrpc: 'pair',
  rte: 'pair',
};

const letters = (text: string): string => text.toLowerCase().replace(/[^a-z]/g, '');

/**
 * The sentences that are no phrase of another set. Both sets of film reviews were made of the same
 * sentences, and the model was pre-trained with labels of the other one.
 */
export function unseen(dataset: TextDataset, other: TextDataset): TextDataset {
  const known = new Set(other.examples.map(({ text }) => letters(text)));
  return { ...dataset, examples: dataset.examples.filter(({ text }) => !known.has(letters(text))) };
}

async function partsOf(name: TaskName, dataDir: string | undefined): Promise<Parts> {
  if (dataDir === undefined) {
    const toy = (count: number, seed: number) => toyTexts(TOYS[name], count, seed);
    return {
      train: toy(VALIDATION + 80, 1),
      test: toy(40, 2),
      ...(name === 'cola' && { outOfDomain: toy(40, 3) }),
    };
  }
  const all = await texts(name, 'train', dataDir);
  if (name === 'polarity') return { train: unseen(all, await texts('sst2', 'train', dataDir)) };
  const train = DIVIDED.includes(name) ? half(all, 1) : all;
  const test = await texts(name, 'dev', dataDir);
  return name === 'cola'
    ? { train, test, outOfDomain: await texts(name, 'outOfDomain', dataDir) }
    : { train, test };
}

/** A task; without a directory, sentences of the toy grammar under its prompt and words. */
export async function loadTask(
  name: TaskName,
  tokenizer: Tokenizer,
  dataDir: string | undefined,
): Promise<TaskData> {
  const task = TASKS[name];
  const { train, test, outOfDomain } = await partsOf(name, dataDir);
  const encoded = (examples: readonly TextExample[]) => encodeExamples(tokenizer, task, examples);
  const order = hostPermutation(foldIn(SPLIT_KEY, 0), train.examples.length);
  const held = test === undefined ? TEST : 0;
  return {
    validation: encoded(rows(train, order, 0, VALIDATION)),
    test: encoded(test?.examples ?? rows(train, order, VALIDATION, VALIDATION + held)),
    pool: encoded(rows(train, order, VALIDATION + held, order.length)),
    ...(outOfDomain && { outOfDomain: encoded(outOfDomain.examples) }),
    firstTokens: firstTokens(tokenizer, task),
  };
}

/** A seed's training examples. */
export function trainingExamples({ pool }: TaskData, count: number, seed: number): Examples {
  const all = pool.label.shape[0] as number;
  const order = hostPermutation(foldIn(SPLIT_KEY, 1 + seed), all);
  return takeRows(pool, order.slice(0, Math.min(count, all)));
}
