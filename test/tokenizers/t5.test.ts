/** T5's own tokenizer on its published vectors, where the data folder is there. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { orThrow } from '../../src/autodiff/index.js';
import { type Tokenizer, tokenizerFromJson } from '../../src/tokenizers/index.js';

const folder = path.join(process.env.FLATLORA_DATA ?? '', 'tokenizers');
const there = existsSync(path.join(folder, 't5-base-tokenizer.json'));
const read = (name: string): unknown => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));

(there ? describe : describe.skip)('t5-base', () => {
  type Vector = readonly [string, readonly number[], string];
  let tokenizer: Tokenizer;
  let vectors: readonly Vector[];
  beforeAll(() => {
    tokenizer = orThrow(tokenizerFromJson(read('t5-base-tokenizer.json')));
    vectors = read('t5-base-tests.json') as readonly Vector[];
  });

  test('ids of all texts', () => {
    expect(vectors.length).toBeGreaterThan(1900);
    const wrong = vectors.filter(
      ([text, ids]) => JSON.stringify(tokenizer.encode(text)) !== JSON.stringify(ids),
    );
    expect(wrong).toEqual([]);
    expect(tokenizer.vocabularySize).toBe(32_100);
  });

  test('texts of all ids; after <unk> the vectors have a space that no text had', () => {
    const wrong = vectors.filter(
      ([, ids, text]) =>
        tokenizer.decode(ids, { skipSpecials: false }) !== text.replaceAll('<unk> ', '<unk>') &&
        tokenizer.decode(ids, { skipSpecials: false }) !== text,
    );
    expect(wrong).toEqual([]);
  });
});
