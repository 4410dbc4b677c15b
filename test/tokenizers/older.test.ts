/** Tokenizers from the files of GPT-2, CLIP and BERT: ids that are known from the models' own examples. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { orThrow } from '../../src/autodiff/index.js';
import {
  bertTokenizer,
  clipTokenizer,
  gpt2Tokenizer,
  parseMerges,
} from '../../src/tokenizers/index.js';

const folder = path.join(process.env.FLATLORA_DATA ?? '', 'tokenizers');
const there = process.env.FLATLORA_DATA !== undefined && existsSync(folder);
const read = (name: string) => readFileSync(path.join(folder, name));

(there ? describe : describe.skip)('real files', () => {
  test('GPT-2', () => {
    const tokenizer = orThrow(
      gpt2Tokenizer(
        JSON.parse(read('gpt2-encoder.json').toString()),
        read('gpt2-vocab.bpe').toString(),
      ),
    );
    expect(tokenizer.encode('Hello world')).toEqual([15496, 995]);
    expect(tokenizer.encode("I don't know, 42!")).toEqual([40, 836, 470, 760, 11, 5433, 0]);
    for (const text of [
      'Hello world',
      'naïve café – 日本',
      ' two  spaces\n\tand tabs',
      'emoji 🎉',
    ]) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
    expect(tokenizer.id('<|endoftext|>')).toBe(50256);
  });

  test('BERT', () => {
    const tokenizer = orThrow(bertTokenizer(read('bert-base-uncased-vocab.txt').toString()));
    expect(tokenizer.encode('Hello world')).toEqual([101, 7592, 2088, 102]);
    expect(tokenizer.encode('Héllo, unaffable!', { specials: false })).toEqual([
      7592, 1010, 14477, 20961, 3468, 999,
    ]);
    expect(tokenizer.encodePair('hello', 'world')).toEqual({
      ids: [101, 7592, 102, 2088, 102],
      types: [0, 0, 0, 1, 1],
    });
  });

  test('CLIP, its vocabulary made of its merges as its own code makes it', () => {
    const lines = gunzipSync(read('clip-bpe_simple_vocab_16e6.txt.gz')).toString().split('\n');
    const merges = lines.slice(1, 49152 - 256 - 2 + 1).join('\n');
    // 256 bytes as characters, the same with the mark of a word's end, the merges, two special tokens.
    const printable = [
      ...Array.from({ length: 94 }, (_, i) => 33 + i),
      ...Array.from({ length: 12 }, (_, i) => 161 + i),
      ...Array.from({ length: 82 }, (_, i) => 174 + i),
    ];
    const rest = Array.from({ length: 256 }, (_, b) => b).filter((b) => !printable.includes(b));
    const bytes = [
      ...printable.map((b) => String.fromCodePoint(b)),
      ...rest.map((_, i) => String.fromCodePoint(256 + i)),
    ];
    const tokens = [
      ...bytes,
      ...bytes.map((c) => `${c}</w>`),
      ...parseMerges(merges).map((pair) => pair.join('')),
      '<|startoftext|>',
      '<|endoftext|>',
    ];
    const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
    const tokenizer = orThrow(clipTokenizer(vocab, merges));
    expect(tokenizer.vocabularySize).toBe(49408);
    expect(tokenizer.encode('a photo of a cat')).toEqual([49406, 320, 1125, 539, 320, 2368, 49407]);
    expect(tokenizer.encode('A  Photo of a CAT')).toEqual(tokenizer.encode('a photo of a cat'));
  });
});

test('merges without their first line', () => {
  expect(parseMerges('#version: 0.2\na b\nab c\n')).toEqual([
    ['a', 'b'],
    ['ab', 'c'],
  ]);
});
