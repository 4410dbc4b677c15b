/**
 * Files of questions with answers: GSM8K's word problems (Cobbe et al. 2021), Alpaca's instructions
 * (Taori et al. 2023) and the seed tasks of Self-Instruct (Wang et al. 2023).
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { type DataError, dataError } from './types.js';

/** What is asked, and the answer that is wanted. */
export interface Instruction {
  readonly instruction: string;
  /** What the instruction is about; empty where it says all. */
  readonly input: string;
  readonly output: string;
}

/** A word problem. */
export interface WordProblem {
  readonly question: string;
  /** The steps, with GSM8K's notes `<<3+5=8>>`, and the number after `####`. */
  readonly answer: string;
}

type Read<A> = (bytes: Uint8Array, file: string) => E.Either<DataError, readonly A[]>;

const parsed = (text: string, where: string): E.Either<DataError, unknown> =>
  E.tryCatch(
    () => JSON.parse(text) as unknown,
    () => dataError(`${where}: not JSON`),
  );

const textOf = (bytes: Uint8Array, file: string): E.Either<DataError, string> =>
  E.tryCatch(
    () => new TextDecoder('utf-8', { fatal: true }).decode(bytes),
    () => dataError(`${file}: not a text in UTF-8`),
  );

/** The value of each line that is not blank. */
const lines: Read<unknown> = (bytes, file) =>
  pipe(
    textOf(bytes, file),
    E.chain((text) =>
      pipe(
        text.split('\n').filter((line) => line.trim() !== ''),
        E.traverseArrayWithIndex((i, line) => parsed(line, `${file}: row ${i + 1}`)),
      ),
    ),
  );

const array: Read<unknown> = (bytes, file) =>
  pipe(
    textOf(bytes, file),
    E.chain((text) => parsed(text, file)),
    E.filterOrElse(
      (value): value is unknown[] => Array.isArray(value),
      () => dataError(`${file}: holds no list`),
    ),
  );

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};

/** Rows of the wanted form; the first other one is the error. */
const rows =
  <A>(read: Read<unknown>, form: string, rowOf: (fields: Fields) => A | undefined): Read<A> =>
  (bytes, file) =>
    pipe(
      read(bytes, file),
      E.chain(
        E.traverseArrayWithIndex((i, value) => {
          const row = rowOf(fieldsOf(value));
          return row === undefined
            ? E.left(dataError(`${file}: row ${i + 1} has no ${form}`))
            : E.right(row);
        }),
      ),
      E.filterOrElse(
        (all) => all.length > 0,
        () => dataError(`${file}: the file is empty`),
      ),
    );

const isText = (x: unknown): x is string => typeof x === 'string';

/** `train.jsonl` and `test.jsonl` of GSM8K. */
export const parseGsm8k: Read<WordProblem> = rows(
  lines,
  'texts "question" and "answer"',
  ({ question, answer }) => (isText(question) && isText(answer) ? { question, answer } : undefined),
);

/** A list in Alpaca's form: instruction, input (which may be missing), output. */
export const parseAlpaca: Read<Instruction> = rows(
  array,
  'texts "instruction" and "output"',
  ({ instruction, input = '', output }) =>
    isText(instruction) && isText(input) && isText(output)
      ? { instruction, input, output }
      : undefined,
);

/** `seed_tasks.jsonl` of Self-Instruct; the first instance of each task. */
export const parseSeedTasks: Read<Instruction> = rows(
  lines,
  'instruction with an instance',
  ({ instruction, instances }) => {
    const first = fieldsOf(Array.isArray(instances) ? instances[0] : undefined);
    const { input = '', output } = first;
    return isText(instruction) && isText(input) && isText(output)
      ? { instruction, input, output }
      : undefined;
  },
);

/** The number behind `####`, without commas; the empty text where there is none. */
export const finalAnswer = (text: string): string =>
  (/####\s*(-?[\d,]*\.?\d+)/.exec(text)?.[1] ?? '').replaceAll(',', '');
