/** The tokenizer of a model folder (Node). */
import { access } from 'node:fs/promises';
import path from 'node:path';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import { type Problem, problem } from '../../autodiff/index.js';
import { readBytes } from '../../checkpoints/node/index.js';
import {
  bertTokenizer,
  clipTokenizer,
  gpt2Tokenizer,
  type Tokenizer,
  tokenizerFromJson,
} from '../../tokenizers/index.js';
import { readJson } from './folder.js';

const exists = (file: string): TE.TaskEither<never, boolean> =>
  TE.fromTask(() =>
    access(file).then(
      () => true,
      () => false,
    ),
  );

const readText = (file: string): TE.TaskEither<Problem, string> =>
  pipe(
    readBytes(file),
    TE.map((bytes) => new TextDecoder().decode(bytes)),
  );

/** Byte-pair encoding by `vocab.json` and `merges.txt`: CLIP's where it has CLIP's first token. */
const fromMerges = (folder: string): TE.TaskEither<Problem, Tokenizer> =>
  pipe(
    TE.Do,
    TE.bind('json', () => readJson(path.join(folder, 'vocab.json'))),
    TE.bind('merges', () => readText(path.join(folder, 'merges.txt'))),
    TE.flatMap(({ json, merges }) => {
      const vocabulary = json as Readonly<Record<string, number>>;
      const make = Object.hasOwn(vocabulary, '<|startoftext|>') ? clipTokenizer : gpt2Tokenizer;
      return TE.fromEither(make(vocabulary, merges));
    }),
  );

/**
 * Reads `tokenizer.json`, else `vocab.json` with `merges.txt` (GPT-2, CLIP), else `vocab.txt` (BERT). Where
 * there is none of them, such as beside a SentencePiece model alone, the message says how to get one.
 */
export const loadTokenizer = (folder: string): TE.TaskEither<Problem, Tokenizer> => {
  const at = (name: string) => path.join(folder, name);
  return pipe(
    TE.Do,
    TE.bind('whole', () => exists(at('tokenizer.json'))),
    TE.bind('merges', () => exists(at('merges.txt'))),
    TE.bind('words', () => exists(at('vocab.txt'))),
    TE.flatMap(({ whole, merges, words }) => {
      if (whole) {
        return pipe(
          readJson(at('tokenizer.json')),
          TE.flatMap((json) => TE.fromEither(tokenizerFromJson(json))),
        );
      }
      if (merges) return fromMerges(folder);
      return words
        ? pipe(
            readText(at('vocab.txt')),
            TE.flatMap((lines) => TE.fromEither(bertTokenizer(lines))),
          )
        : TE.left(
            problem(
              'checkpoint',
              `${folder}: there is no tokenizer.json; in Python, AutoTokenizer.from_pretrained(…).save_pretrained(…) writes one`,
            ),
          );
    }),
  );
};
