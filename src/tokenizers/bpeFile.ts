/**
 * A `tokenizer.json` of our own in the manner of T5: padding, end of text and unknown are ids 0, 1
 * and 2, then come the sentinels of span corruption, then what byte-pair encoding learned. Text is
 * brought to compatibility form (NFKC) and lower case, and cut at spaces, punctuation and digits.
 */
import { Tokenizer as Reader } from '@huggingface/tokenizers';
import { type BpeOptions, learnBpe } from './bpe.js';

export const PAD = '<pad>';
export const END = '</s>';
export const UNKNOWN = '<unk>';

/** The token that stands for span number n: `<extra_id_0>`, as T5 calls it. */
export const sentinel = (n: number): string => `<extra_id_${n}>`;

export interface BpeFileOptions extends Omit<BpeOptions, 'size'> {
  /** All ids, special ones included. */
  readonly size: number;
  /** How many sentinels; 16 by default (T5 has 100; our texts are shorter). */
  readonly sentinels?: number;
}

/** The parts of the file that say how text is cut, without a vocabulary. */
const parts = (specials: readonly string[]) => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: specials.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: { type: 'Sequence', normalizers: [{ type: 'NFKC' }, { type: 'Lowercase' }] },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'WhitespaceSplit' },
      { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      { type: 'Punctuation', behavior: 'Contiguous' },
      { type: 'Digits', individual_digits: true },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: END, type_id: 0 } }],
    pair: [
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: END, type_id: 0 } },
      { Sequence: { id: 'B', type_id: 0 } },
      { SpecialToken: { id: END, type_id: 0 } },
    ],
    special_tokens: { [END]: { id: END, ids: [1], tokens: [END] } },
  },
  decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
});

const model = (vocabulary: readonly string[], merges: readonly (readonly [string, string])[]) => ({
  type: 'BPE',
  dropout: null,
  unk_token: UNKNOWN,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: true,
  byte_fallback: false,
  ignore_merges: false,
  vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
  merges,
});

/**
 * Learns a vocabulary from texts.
 * @returns the content of a `tokenizer.json`, to be written with `JSON.stringify`.
 * @throws FlatloraError when the characters of the texts alone are more than `size` allows.
 */
export function learnTokenizer(
  texts: Iterable<string>,
  { size, sentinels = 16, ...options }: BpeFileOptions,
): unknown {
  const specials = [PAD, END, UNKNOWN, ...Array.from({ length: sentinels }, (_, n) => sentinel(n))];
  const cutter = new Reader({ ...parts(specials), model: model(specials, []) }, {});
  const counts = new Map<string, number>();
  for (const text of texts) {
    const plain = cutter.normalizer?.normalize(text) ?? text;
    for (const word of cutter.pre_tokenizer?.pre_tokenize(plain) ?? []) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  const { symbols, merges } = learnBpe(counts, { ...options, size: size - specials.length });
  return { ...parts(specials), model: model([...specials, ...symbols], merges) };
}
