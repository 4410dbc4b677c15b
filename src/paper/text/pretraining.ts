/**
 * The batches of the pre-training, each a pure function of its step: most rows are span corruption,
 * some ask whether two neighbouring words were swapped, some are labelled tasks.
 */
import { foldIn, hostBits, type Key, key } from '../../autodiff/index.js';
import { sentinel, type Tokenizer } from '../../tokenizers/index.js';
import type { Corpus } from './corpus.js';
import { padded, promptIds } from './encode.js';
import { END_ID, type HostBatch } from './model.js';
import { corruptSpans } from './spans.js';
import { TASKS } from './tasks.js';

export interface RowCounts {
  readonly spans: number;
  readonly swaps: number;
  readonly labelled: number;
}

/** Of the first phase, in which the model learns to read and write. */
export const ROWS: RowCounts = { spans: 14, swaps: 2, labelled: 16 };

/** Of the second phase, in which it learns tasks. */
export const TASK_ROWS: RowCounts = { spans: 2, swaps: 0, labelled: 30 };

export const SOURCE_LENGTH = 48;
export const TARGET_LENGTH = 14;

/** Tokens of a piece of text: with its sentinels and end it fits the source. */
const PIECE = 44;
const LEAST_PIECE = 8;
const SENTINELS = 16;
const SEED = key(5);

type Row = { readonly source: readonly number[]; readonly target: readonly number[] };

/** A text in pieces of at most `PIECE` tokens. */
const pieces = (ids: readonly number[]): readonly (readonly number[])[] =>
  Array.from({ length: Math.ceil(ids.length / PIECE) }, (_, i) =>
    ids.slice(i * PIECE, (i + 1) * PIECE),
  ).filter(({ length }) => length >= LEAST_PIECE);

/** A sentence with two neighbouring, different words swapped; the same where there are none. */
export function swapped(sentence: string, draw: number): string {
  const words = sentence.split(' ');
  const places = words.slice(1).flatMap((word, i) => (word === words[i] ? [] : [i]));
  const at = places[draw % Math.max(1, places.length)];
  return at === undefined
    ? sentence
    : [...words.slice(0, at), words[at + 1], words[at], ...words.slice(at + 2)].join(' ');
}

const swapPrompt = (text: string) => `classify the order of the text: ${text} result:`;

/** Sentences that are whole and of middling length: those in which a swap can be noticed. */
const isSentence = (text: string): boolean => {
  const words = text.split(' ').length;
  return words >= 5 && words <= 20;
};

/** The batch of each step. */
export function pretrainingBatches(
  tokenizer: Tokenizer,
  { plain, labelled }: Corpus,
  rows: RowCounts = ROWS,
): (step: number) => HostBatch {
  const texts = plain.flatMap((text) => pieces(tokenizer.encode(text, { specials: false })));
  const sentences = plain.filter(isSentence);
  const sentinels = Array.from({ length: SENTINELS }, (_, n) => tokenizer.id(sentinel(n)));
  const answers = new Map<string, readonly number[]>();
  const answer = (word: string): readonly number[] => {
    const known = answers.get(word) ?? tokenizer.encode(word);
    answers.set(word, known);
    return known;
  };

  const spanRow = (random: Key): Row => {
    const [draw = 0] = hostBits(random, 1);
    const ids = texts[draw % texts.length] as readonly number[];
    return corruptSpans(ids, foldIn(random, 1), { sentinels, end: END_ID });
  };
  const swapRow = (random: Key): Row => {
    const [draw = 0, place = 0, coin = 0] = hostBits(random, 3);
    const sentence = sentences[draw % sentences.length] as string;
    const text = coin % 2 === 0 ? sentence : swapped(sentence, place);
    return {
      source: promptIds(tokenizer, swapPrompt(text), SOURCE_LENGTH),
      target: answer(text === sentence ? 'acceptable' : 'unacceptable'),
    };
  };
  const labelledRow = (random: Key): Row => {
    const [which = 0, draw = 0] = hostBits(random, 2);
    const [name, { examples }] = labelled[which % labelled.length] as Corpus['labelled'][number];
    const { prompt, words } = TASKS[name];
    const example = examples[draw % examples.length] as (typeof examples)[number];
    return {
      source: promptIds(tokenizer, prompt(example), SOURCE_LENGTH),
      target: answer(words[example.label] as string),
    };
  };

  const kinds = [
    ...Array.from({ length: rows.spans }, () => spanRow),
    ...Array.from({ length: rows.swaps }, () => swapRow),
    ...Array.from({ length: labelled.length === 0 ? 0 : rows.labelled }, () => labelledRow),
  ];
  return (step) => {
    const own = foldIn(SEED, step);
    const made = kinds.map((make, i) => make(foldIn(own, i)));
    return {
      source: padded(
        made.map(({ source }) => source),
        SOURCE_LENGTH,
      ),
      target: padded(
        made.map(({ target }) => target),
        TARGET_LENGTH,
      ),
    };
  };
}
