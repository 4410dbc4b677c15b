/** From examples to arrays of token ids. */
import { FlatloraError, type HostArray, hostArray } from '../../autodiff/index.js';
import type { TextExample } from '../../data/index.js';
import type { Tokenizer } from '../../tokenizers/index.js';
import { type Labelled, PAD_ID } from './model.js';
import type { Task } from './tasks.js';

/** Sequences as int [count, length], padded; longer ones lose their end. */
export function padded(sequences: readonly (readonly number[])[], length: number): HostArray {
  const out = new Int32Array(sequences.length * length).fill(PAD_ID);
  sequences.forEach((ids, i) => {
    out.set(ids.slice(0, length), i * length);
  });
  return hostArray(out, [sequences.length, length]);
}

/** Tokens of an answer with its end; the longest word of a class has fewer. */
const ANSWER_LENGTH = 6;

/** The end of every prompt, which is kept where a text is cut. */
const TAIL = ' result:';

/** Token ids of a prompt, with its end, no more than `length`. */
export function promptIds(tokenizer: Tokenizer, prompt: string, length: number): readonly number[] {
  const ids = tokenizer.encode(prompt);
  if (ids.length <= length) return ids;
  const tail = tokenizer.encode(TAIL);
  return [...ids.slice(0, length - tail.length), ...tail];
}

/** Examples of a task, ready to be read and scored. */
export const encodeExamples = (
  tokenizer: Tokenizer,
  { prompt, words, length }: Task,
  examples: readonly TextExample[],
): Labelled<HostArray> => {
  const answers = words.map((word) => tokenizer.encode(word));
  return {
    source: padded(
      examples.map((example) => promptIds(tokenizer, prompt(example), length)),
      length,
    ),
    target: padded(
      examples.map(({ label }) => answers[label] as readonly number[]),
      ANSWER_LENGTH,
    ),
    label: hostArray(
      Int32Array.from(examples, ({ label }) => label),
      [examples.length],
    ),
  };
};

/**
 * The tokens that tell the classes apart.
 * @throws FlatloraError when two words begin with the same token.
 */
export function firstTokens(tokenizer: Tokenizer, { words }: Task): readonly number[] {
  const first = words.map((word) => tokenizer.encode(word)[0] as number);
  if (new Set(first).size < first.length) {
    throw new FlatloraError(
      'argument',
      `firstTokens: the words ${words.join(', ')} begin with the same token, expected different ones`,
    );
  }
  return first;
}
