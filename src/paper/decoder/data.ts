/** The tasks of the decoder experiments, as token ids: plain text, questions with answers. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as E from 'fp-ts/lib/Either.js';
import {
  FlatloraError,
  foldIn,
  type HostArray,
  hostArray,
  hostPermutation,
  key,
  range,
} from '../../autodiff/index.js';
import {
  type DataError,
  finalAnswer,
  type Instruction,
  parseAlpaca,
  parseGsm8k,
  parseSeedTasks,
} from '../../data/index.js';
import { takeRows } from '../../training/index.js';
import { alpacaPrompt, simpleInstruction } from './instructions.js';
import { type Codec, type HostBatch, IGNORED } from './model.js';
import { answerInWords, wordProblem } from './problems.js';

export type TaskName =
  | 'names'
  | 'shakespeare'
  | 'speeches'
  | 'one-step'
  | 'two-step'
  | 'gsm8k'
  | 'simple'
  | 'alpaca';

/** A prompt and what is to be written after it. */
export interface Example {
  readonly prompt: string;
  readonly response: string;
}

/** A prompt whose answer is scored. */
export interface Question {
  readonly prompt: readonly number[];
  readonly response: string;
}

export interface TaskData {
  /** What a seed's training examples are drawn from. */
  readonly pool: HostBatch;
  /** What settings are chosen on. */
  readonly validation: HostBatch;
  readonly test: HostBatch;
  /** The test's prompts, where answers can be scored. */
  readonly questions: readonly Question[];
  /** What counts of an answer. */
  readonly answerOf: (text: string) => string;
}

const SPLIT_KEY = key(41);
/** Tokens of the windows that plain text is cut into. */
const WINDOW = 128;

/** Token ids, those before `from` not asked for, as rows of one length. */
function batchOf(
  sequences: readonly { readonly ids: readonly number[]; readonly from: number }[],
): HostBatch {
  const length = Math.max(...sequences.map(({ ids }) => ids.length)) - 1;
  const tokens = new Int32Array(sequences.length * length);
  const targets = new Int32Array(sequences.length * length).fill(IGNORED);
  for (const [row, { ids, from }] of sequences.entries()) {
    tokens.set(ids.slice(0, -1), row * length);
    targets.set(ids.slice(from), row * length + from - 1);
  }
  const shape = [sequences.length, length];
  return { tokens: hostArray(tokens, shape), targets: hostArray(targets, shape) };
}

/** A prompt and its response as ids; only the response, with the boundary behind it, is asked for. */
export function encodeExample(tokenizer: Codec, { prompt, response }: Example) {
  const before = [tokenizer.boundary, ...tokenizer.encode(prompt)];
  return {
    ids: [...before, ...tokenizer.encode(response), tokenizer.boundary],
    from: before.length,
  };
}

const rowsOf = (batch: HostBatch, start: number, end: number): HostBatch =>
  takeRows(
    batch,
    range(end - start).map((i) => start + i),
  );

/**
 * Text in windows: the first part is for training, the next for validation, the last for the test, so
 * that no window of one is beside many of another.
 */
function textTask(tokenizer: Codec, text: string): TaskData {
  const ids = tokenizer.encode(text);
  const count = Math.floor(ids.length / WINDOW);
  const windows = batchOf(
    range(count).map((i) => ({
      ids: [tokenizer.boundary, ...ids.slice(i * WINDOW, (i + 1) * WINDOW)],
      from: 1,
    })),
  );
  const held = Math.min(100, Math.floor(count / 5));
  return {
    pool: rowsOf(windows, 0, count - 2 * held),
    validation: rowsOf(windows, count - 2 * held, count - held),
    test: rowsOf(windows, count - held, count),
    questions: [],
    answerOf: (answer) => answer,
  };
}

/** Examples, of which the first are held out; those longer than `longest` tokens are left out. */
function exampleTask(
  tokenizer: Codec,
  examples: readonly Example[],
  {
    held,
    longest,
    answerOf,
  }: {
    readonly held: number;
    readonly longest: number;
    /** None where answers cannot be scored. */
    readonly answerOf?: (text: string) => string;
  },
): TaskData {
  const distinct = [...new Map(examples.map((example) => [example.prompt, example])).values()];
  const fitting = distinct
    .map((example) => ({ ...example, ...encodeExample(tokenizer, example) }))
    .filter(({ ids }) => ids.length <= longest);
  const all = batchOf(fitting);
  const asked = answerOf === undefined ? [] : fitting.slice(held, 2 * held);
  return {
    validation: rowsOf(all, 0, held),
    test: rowsOf(all, held, 2 * held),
    pool: rowsOf(all, 2 * held, fitting.length),
    questions: asked.map(({ ids, from, response }) => ({ prompt: ids.slice(0, from), response })),
    answerOf: answerOf ?? ((text) => text),
  };
}

/** Files of the data directory, by task. */
const FILES = {
  names: 'corpora/names.txt',
  shakespeare: 'shakespeare/input.txt',
  speeches: 'corpora/inaugural.txt',
} as const;

/** Folders of the data directory that a task needs. */
export const FOLDERS: Readonly<Record<TaskName, readonly string[]>> = {
  names: ['corpora'],
  shakespeare: ['shakespeare'],
  speeches: ['corpora'],
  'one-step': [],
  'two-step': [],
  gsm8k: ['gsm8k'],
  simple: [],
  alpaca: ['instructions'],
};

const shuffled = <A>(list: readonly A[], number: number): readonly A[] =>
  Array.from(hostPermutation(foldIn(SPLIT_KEY, number), list.length), (i) => list[i] as A);

const problems = (count: number, steps: 1 | 2): readonly Example[] =>
  range(count).map((n) => {
    const { question, answer } = wordProblem(foldIn(SPLIT_KEY, steps), n, steps);
    return { prompt: `Question: ${question}\nAnswer:`, response: answer };
  });

const instructionExample = (given: Instruction): Example => ({
  prompt: alpacaPrompt(given),
  response: given.output,
});

const instructions = (count: number): readonly Example[] =>
  range(count).map((n) => instructionExample(simpleInstruction(foldIn(SPLIT_KEY, 3), n)));

type Parse<A> = (bytes: Uint8Array, file: string) => E.Either<DataError, readonly A[]>;

async function parsedFile<A>(dataDir: string, name: string, parse: Parse<A>) {
  const parsed = parse(new Uint8Array(await readFile(path.join(dataDir, name))), name);
  if (E.isLeft(parsed)) throw new FlatloraError('data', parsed.left.message);
  return parsed.right;
}

/** A task; without a directory, generated text in the place of files. */
export async function loadTask(
  name: TaskName,
  tokenizer: Codec,
  dataDir: string | undefined,
): Promise<TaskData> {
  const size = dataDir === undefined ? { held: 6, count: 60 } : { held: 200, count: 4000 };
  const generated = () => problems(size.count, 2);
  switch (name) {
    case 'names':
    case 'shakespeare':
    case 'speeches': {
      const text =
        dataDir === undefined
          ? generated()
              .map(({ prompt, response }) => `${prompt} ${response}`)
              .join('\n')
          : await readFile(path.join(dataDir, FILES[name]), 'utf8');
      // Names stand in the order of their frequency.
      const mixed = name === 'names' ? shuffled(text.split('\n'), 7).join('\n') : text;
      return textTask(tokenizer, mixed);
    }
    case 'one-step':
    case 'two-step':
      return exampleTask(tokenizer, problems(size.count, name === 'one-step' ? 1 : 2), {
        held: size.held,
        longest: 256,
        answerOf: answerInWords,
      });
    case 'gsm8k': {
      const rows =
        dataDir === undefined ? [] : await parsedFile(dataDir, 'gsm8k/train.jsonl', parseGsm8k);
      const real = rows.map(({ question, answer }) => ({
        prompt: `Question: ${question}\nAnswer:`,
        response: answer,
      }));
      return exampleTask(tokenizer, dataDir === undefined ? generated() : shuffled(real, 5), {
        held: size.held,
        longest: 256,
        answerOf: finalAnswer,
      });
    }
    case 'simple':
      return exampleTask(tokenizer, instructions(size.count), {
        held: size.held,
        longest: 384,
        answerOf: (text) => text.trim(),
      });
    case 'alpaca': {
      const rows =
        dataDir === undefined
          ? []
          : [
              ...(await parsedFile(dataDir, 'instructions/alpaca_en_demo.json', parseAlpaca)),
              ...(await parsedFile(dataDir, 'instructions/seed_tasks.jsonl', parseSeedTasks)),
            ];
      const real = shuffled(rows, 6).map(instructionExample);
      return exampleTask(tokenizer, dataDir === undefined ? instructions(60) : real, {
        held: dataDir === undefined ? size.held : 50,
        longest: 384,
      });
    }
  }
}

/** A seed's training examples. */
export function trainingExamples({ pool }: TaskData, count: number, seed: number): HostBatch {
  const all = (pool.tokens as HostArray).shape[0] as number;
  const order = hostPermutation(foldIn(SPLIT_KEY, 100 + seed), all);
  return takeRows(pool, order.slice(0, Math.min(count, all)));
}
