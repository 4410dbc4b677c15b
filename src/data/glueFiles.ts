/**
 * Labelled texts by name, from a directory with the official files (Node only). They are not fetched:
 * MRPC and the reviews come under terms that whoever uses them has to accept.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { errorCode } from './errorCode.js';
import {
  joinDatasets,
  parseCola,
  parseMnli,
  parseMrpc,
  parseQnli,
  parseRte,
  parseSentences,
  parseSst2,
  type TextDataset,
} from './glue.js';
import { type DataError, dataError } from './types.js';

export type TextTask =
  | 'sst2'
  | 'cola'
  | 'mrpc'
  | 'rte'
  | 'qnli'
  | 'mnli'
  | 'polarity'
  | 'subjectivity';

/** `outOfDomain` is CoLA's second development set, of sources that the training set has not. */
export type TextSplit = 'train' | 'dev' | 'outOfDomain';

interface TextFile {
  readonly file: string;
  readonly parse: (bytes: Uint8Array, file: string) => E.Either<DataError, TextDataset>;
}

interface TextRecipe {
  /** Where the files are to be had. */
  readonly source: string;
  /** The folder inside the data directory. */
  readonly folder: string;
  readonly splits: Readonly<Partial<Record<TextSplit, readonly TextFile[]>>>;
}

const GLUE = 'https://gluebenchmark.com/tasks';
const REVIEWS = 'https://www.cs.cornell.edu/people/pabo/movie-review-data/';
const POLARITY = ['negative', 'positive'];
const SUBJECTIVITY = ['objective', 'subjective'];

/** Sets without an official split have all their rows in `train`. */
const RECIPES: Readonly<Record<TextTask, TextRecipe>> = {
  sst2: {
    source: GLUE,
    folder: 'glue/SST-2',
    splits: {
      train: [{ file: 'train.tsv', parse: parseSst2 }],
      dev: [{ file: 'dev.tsv', parse: parseSst2 }],
    },
  },
  cola: {
    source: 'https://nyu-mll.github.io/CoLA/ (public release, folder raw)',
    folder: 'glue/CoLA',
    splits: {
      train: [{ file: 'in_domain_train.tsv', parse: parseCola }],
      dev: [{ file: 'in_domain_dev.tsv', parse: parseCola }],
      outOfDomain: [{ file: 'out_of_domain_dev.tsv', parse: parseCola }],
    },
  },
  mrpc: {
    source: GLUE,
    folder: 'glue/MRPC',
    splits: {
      train: [{ file: 'train.tsv', parse: parseMrpc }],
      dev: [{ file: 'dev.tsv', parse: parseMrpc }],
    },
  },
  rte: {
    source: GLUE,
    folder: 'glue/RTE',
    splits: {
      train: [{ file: 'train.tsv', parse: parseRte }],
      dev: [{ file: 'dev.tsv', parse: parseRte }],
    },
  },
  qnli: {
    source: GLUE,
    folder: 'glue/QNLI',
    splits: { dev: [{ file: 'dev.tsv', parse: parseQnli }] },
  },
  mnli: {
    source: GLUE,
    folder: 'glue/MNLI',
    splits: { dev: [{ file: 'dev_matched.jsonl', parse: parseMnli }] },
  },
  polarity: {
    source: `${REVIEWS} (sentence polarity dataset v1.0)`,
    folder: 'polarity',
    splits: {
      train: [
        { file: 'rt-polarity.neg', parse: parseSentences(POLARITY, 0) },
        { file: 'rt-polarity.pos', parse: parseSentences(POLARITY, 1) },
      ],
    },
  },
  subjectivity: {
    source: `${REVIEWS} (subjectivity dataset v1.0)`,
    folder: 'subjectivity',
    splits: {
      train: [
        { file: 'plot.tok.gt9.5000', parse: parseSentences(SUBJECTIVITY, 0) },
        { file: 'quote.tok.gt9.5000', parse: parseSentences(SUBJECTIVITY, 1) },
      ],
    },
  },
};

/** The folder of a task inside the data directory, such as `glue/SST-2`. */
export const textFolder = (task: TextTask): string => RECIPES[task].folder;

/** One split of a task. Left where a file is missing (says where to get it) or not as it should be. */
export function loadTexts(
  task: TextTask,
  split: TextSplit,
  dataDir: string,
): TE.TaskEither<DataError, TextDataset> {
  const { source, folder, splits } = RECIPES[task];
  const files = splits[split];
  if (files === undefined) {
    return TE.left(
      dataError(`${task}: has no split ${split}, expected ${Object.keys(splits).join(' or ')}`),
    );
  }
  const read = ({ file, parse }: TextFile): TE.TaskEither<DataError, TextDataset> => {
    const name = path.join(dataDir, folder, file);
    return pipe(
      TE.tryCatch(
        () => readFile(name),
        (thrown) => dataError(`${name}: cannot be read (${errorCode(thrown)}); from ${source}`),
      ),
      TE.flatMapEither((bytes) => parse(new Uint8Array(bytes), name)),
    );
  };
  return pipe(
    files,
    TE.traverseSeqArray(read),
    TE.map((parts) => joinDatasets(`${task}/${split}`, parts)),
  );
}
