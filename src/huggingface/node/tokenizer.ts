/** The tokenizer of a model folder (Node). */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type Problem, problem } from '../../autodiff/index.js';
import { type Tokenizer, tokenizerFromJson } from '../../tokenizers/index.js';
import { readJson } from './folder.js';

/** Reads `tokenizer.json`; where there are only older files, the message says how to get one. */
export const loadTokenizer = (folder: string): TE.TaskEither<Problem, Tokenizer> => {
  const file = path.join(folder, 'tokenizer.json');
  return pipe(
    TE.tryCatch(
      () => access(file),
      () =>
        problem(
          'checkpoint',
          `${folder}: there is no tokenizer.json; in Python, AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one`,
        ),
    ),
    TE.flatMap(() => readJson(file)),
    TE.flatMap((json) => TE.fromEither(tokenizerFromJson(json))),
  );
};
