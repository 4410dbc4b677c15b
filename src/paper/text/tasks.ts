/**
 * The tasks in the paper's text-to-text form: a prompt names the task and ends with `result:`, and the
 * answer is a word, as in the authors' code.
 */
import type { TextExample, TextTask } from '../../data/index.js';

export interface Task {
  readonly label: string;
  /** What is read. */
  readonly prompt: (example: TextExample) => string;
  /** What is written for each class, in the order of the data set's classes. */
  readonly words: readonly string[];
  /** Tokens that are read at most; longer texts lose their end. */
  readonly length: number;
}

const one = (what: string) => (example: TextExample) =>
  `classify the ${what} of the text: ${example.text} result:`;

const two =
  (what: string, first: string, second: string) =>
  (example: TextExample): string =>
    `classify the ${what} of ${first}: ${example.text} ${second}: ${example.second} result:`;

const ENTAILMENT = ['entailment', 'not entailment'];

export const TASKS: Readonly<Record<TextTask, Task>> = {
  sst2: {
    label: 'SST-2',
    prompt: one('sentiment'),
    words: ['negative', 'positive'],
    length: 64,
  },
  polarity: {
    label: 'Polarity',
    prompt: one('sentiment'),
    words: ['negative', 'positive'],
    length: 64,
  },
  cola: {
    label: 'CoLA',
    prompt: one('grammaticality'),
    words: ['unacceptable', 'acceptable'],
    length: 40,
  },
  mrpc: {
    label: 'MRPC',
    prompt: two('semantic similarity', 'text 1', 'text 2'),
    words: ['different', 'equivalent'],
    length: 112,
  },
  rte: {
    label: 'RTE',
    prompt: two('entailment', 'text 1', 'text 2'),
    words: ENTAILMENT,
    length: 112,
  },
  qnli: {
    label: 'QNLI',
    prompt: two('answer', 'question', 'text'),
    words: ENTAILMENT,
    length: 112,
  },
  mnli: {
    label: 'MNLI',
    prompt: two('inference', 'text 1', 'text 2'),
    words: ['entailment', 'neutral', 'contradiction'],
    length: 112,
  },
  subjectivity: {
    label: 'Subjectivity',
    prompt: one('subjectivity'),
    words: ['objective', 'subjective'],
    length: 64,
  },
};
