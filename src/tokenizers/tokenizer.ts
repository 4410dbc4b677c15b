/**
 * From text to token ids and back, by a `tokenizer.json`: the format in which Hugging Face's models
 * come, and which `bpeFile` writes. The reading is done by `@huggingface/tokenizers`, pure JavaScript
 * that runs in browsers too; this file gives it the library's errors and leaves out what nobody uses.
 */
import { Tokenizer as Reader } from '@huggingface/tokenizers';
import * as E from 'fp-ts/lib/Either.js';
import { FlatloraError, fail, type Result } from '../autodiff/index.js';

export interface EncodeOptions {
  /** Whether the file's own additions, such as `</s>` at the end, are made; they are by default. */
  readonly specials?: boolean;
}

/** A text, or two, for models that tell segments apart. */
export interface EncodedPair {
  readonly ids: readonly number[];
  /** The segment of each token: 0, or 1 in the second text. */
  readonly types: readonly number[];
}

export interface DecodeOptions {
  /** Whether special tokens are left out of the text; they are by default. */
  readonly skipSpecials?: boolean;
}

export interface Tokenizer {
  readonly encode: (text: string, options?: EncodeOptions) => readonly number[];
  /** One text or two with the file's own additions, such as `[CLS] … [SEP] … [SEP]`. */
  readonly encodePair: (first: string, second?: string) => EncodedPair;
  readonly decode: (ids: ArrayLike<number>, options?: DecodeOptions) => string;
  /** The smallest number that is above every id: rows of an embedding. */
  readonly vocabularySize: number;
  /**
   * The id of a token by its text, such as `</s>`.
   * @throws FlatloraError when the vocabulary has no such token.
   */
  readonly id: (token: string) => number;
}

/**
 * The tokenizer that a parsed `tokenizer.json` describes.
 * @returns a problem of kind `checkpoint` when it describes none.
 */
export function tokenizerFromJson(json: unknown): Result<Tokenizer> {
  if (typeof json !== 'object' || json === null) {
    return fail('checkpoint', `tokenizer: the file holds ${typeof json}, expected an object`);
  }
  return E.map(wrapped)(
    E.tryCatch(
      () => new Reader(json, {}),
      (thrown) =>
        new FlatloraError('checkpoint', `tokenizer: not a tokenizer.json (${firstLine(thrown)})`),
    ),
  );
}

function wrapped(reader: Reader): Tokenizer {
  const vocabulary = reader.get_vocab(true);
  return {
    encode: (text, { specials = true } = {}) =>
      reader.encode(text, { add_special_tokens: specials }).ids,
    encodePair: (first, second) => {
      const { ids, token_type_ids: types } = reader.encode(first, {
        ...(second !== undefined && { text_pair: second }),
        return_token_type_ids: true,
      });
      return { ids, types: types ?? ids.map(() => 0) };
    },
    decode: (ids, { skipSpecials = true } = {}) =>
      // The reader refuses to decode nothing.
      ids.length === 0 ? '' : reader.decode(Array.from(ids), { skip_special_tokens: skipSpecials }),
    vocabularySize: 1 + [...vocabulary.values()].reduce((most, id) => Math.max(most, id), -1),
    id: (token) => {
      const id = vocabulary.get(token);
      if (id === undefined) {
        throw new FlatloraError('argument', `tokenizer: there is no token "${token}"`);
      }
      return id;
    },
  };
}

// Errors of another realm are no instances of this one's Error.
const firstLine = (thrown: unknown): string =>
  (typeof thrown === 'object' && thrown !== null && 'message' in thrown
    ? String(thrown.message)
    : String(thrown)
  ).split('\n')[0] as string;
