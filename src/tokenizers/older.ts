/**
 * Tokenizers of models that came without a `tokenizer.json`, from the files that they have: GPT-2's and
 * RoBERTa's `vocab.json` with `merges.txt`, CLIP's of the same names, BERT's `vocab.txt`. Each is written as
 * the `tokenizer.json` that Hugging Face's converter makes of it.
 */
import type { Result } from '../autodiff/index.js';
import { type Tokenizer, tokenizerFromJson } from './tokenizer.js';

const special = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** The pairs of a `merges.txt`, in their order; a first line of comment is passed over. */
export const parseMerges = (text: string): readonly (readonly [string, string])[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#version'))
    .map((line) => line.trimEnd().split(' ') as [string, string]);

type Vocabulary = Readonly<Record<string, number>>;

const bpe = (
  vocab: Vocabulary,
  merges: readonly (readonly [string, string])[],
  { unknown, suffix }: { readonly unknown: string | null; readonly suffix: string },
) => ({
  type: 'BPE',
  dropout: null,
  unk_token: unknown,
  continuing_subword_prefix: '',
  end_of_word_suffix: suffix,
  fuse_unk: false,
  byte_fallback: false,
  vocab,
  merges,
});

/** GPT-2's byte-pair encoding on bytes; `<|endoftext|>` is special. */
export const gpt2Tokenizer = (vocab: Vocabulary, merges: string): Result<Tokenizer> => {
  const end = '<|endoftext|>';
  return tokenizerFromJson({
    version: '1.0',
    added_tokens: vocab[end] === undefined ? [] : [special(end, vocab[end])],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: bpe(vocab, parseMerges(merges), { unknown: null, suffix: '' }),
  });
};

/** Around one text and around two: begin A end, begin A end B end. */
const template = (vocab: Vocabulary, begin: string, end: string) => {
  const token = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const first = [token(begin, 0), { Sequence: { id: 'A', type_id: 0 } }, token(end, 0)];
  const known = (id: string) => ({ id, ids: [vocab[id]], tokens: [id] });
  return {
    type: 'TemplateProcessing',
    single: first,
    pair: [...first, { Sequence: { id: 'B', type_id: 1 } }, token(end, 1)],
    special_tokens: { [begin]: known(begin), [end]: known(end) },
  };
};

/** CLIP's byte-pair encoding: lower case, ends of words marked, texts between two special tokens. */
export const clipTokenizer = (vocab: Vocabulary, merges: string): Result<Tokenizer> => {
  const [begin, end] = ['<|startoftext|>', '<|endoftext|>'];
  return tokenizerFromJson({
    version: '1.0',
    added_tokens: [begin, end].map((token) => special(token, vocab[token] as number)),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: {
            Regex:
              "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
          },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: template(vocab, begin, end),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: bpe(vocab, parseMerges(merges), { unknown: end, suffix: '</w>' }),
  });
};

/** BERT's word pieces by its `vocab.txt`, one token a line. */
export const bertTokenizer = (
  lines: string,
  { lowercase = true }: { readonly lowercase?: boolean } = {},
): Result<Tokenizer> => {
  const tokens = lines.replace(/\r/g, '').replace(/\n$/, '').split('\n');
  const vocab: Vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
  return tokenizerFromJson({
    version: '1.0',
    added_tokens: specials
      .filter((token) => vocab[token] !== undefined)
      .map((token) => special(token, vocab[token] as number)),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: template(vocab, '[CLS]', '[SEP]'),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab,
    },
  });
};
