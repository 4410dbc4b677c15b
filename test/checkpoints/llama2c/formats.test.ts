/** llama2.c's files, written here: what is read is what was written, and broken ones are told. */
import { left } from 'fp-ts/lib/Either.js';
import { ints, orThrow, type Value } from '../../../src/autodiff/index.js';
import {
  type Llama2cTokenizer,
  readLlama2c,
  readLlama2cTokenizer,
} from '../../../src/checkpoints/index.js';
import { evaluate, referenceBackend } from '../../../src/kernels/index.js';
import { type CausalDecoderWeights, causalDecoder } from '../../../src/models/index.js';

/** width 4, MLP 6, 1 layer, 2 heads of 2, 1 key–value head, 5 tokens, length 3. */
const HEADER = [4, 6, 1, 2, 1, 5, 3];
const FLOATS = 20 + 4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24 + 4 + 3 + 3;

function model(header: readonly number[], count: number): Uint8Array {
  const bytes = new Uint8Array(28 + 4 * count);
  const view = new DataView(bytes.buffer);
  for (const [i, n] of header.entries()) view.setInt32(4 * i, n, true);
  for (let i = 0; i < count; i++) view.setFloat32(28 + 4 * i, i, true);
  return bytes;
}

const numbers = ({ data }: { readonly data: ArrayLike<number> }) => Array.from(data);

describe('models', () => {
  const { config, weights } = orThrow(readLlama2c(model(HEADER, FLOATS)));
  const [block] = weights.blocks;

  test('sizes and shapes', () => {
    expect(config).toMatchObject({
      width: 4,
      mlpWidth: 6,
      depth: 1,
      heads: 2,
      keyValueHeads: 1,
      vocabulary: 5,
      maxLength: 3,
      tiedHead: true,
    });
    expect(block?.attention.key.weight.shape).toEqual([2, 4]);
    expect(block?.mlp.gate?.weight.shape).toEqual([6, 4]);
    expect(block?.mlp.fc2.weight.shape).toEqual([4, 6]);
  });

  test('tensors stand where the format says', () => {
    expect(numbers(weights.tokenEmbedding.weight)[0]).toBe(0);
    expect(numbers(block?.attentionNorm.scale as never)).toEqual([20, 21, 22, 23]);
    expect(numbers(block?.attention.value.weight as never)[0]).toBe(48);
    // w1, w2, w3 of llama2.c are gate, fc2 and fc1.
    expect(numbers(block?.mlp.gate?.weight as never)[0]).toBe(76);
    expect(numbers(block?.mlp.fc2.weight as never)[0]).toBe(100);
    expect(numbers(block?.mlp.fc1.weight as never)[0]).toBe(124);
    expect(numbers(weights.norm?.scale as never)).toEqual([148, 149, 150, 151]);
  });

  test('rows of queries and keys go from pairs to halves, head by head', () => {
    const wide = [8, 2, 1, 2, 2, 2, 1];
    const { weights: other } = orThrow(
      readLlama2c(model(wide, 16 + 8 + 4 * 64 + 8 + 48 + 8 + 2 + 2)),
    );
    const rows = numbers(other.blocks[0]?.attention.query.weight as never)
      .filter((_, i) => i % 8 === 0)
      .map((x) => (x - 24) / 8);
    expect(rows).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  test('a negative vocabulary brings a head of its own', () => {
    const own = model([4, 6, 1, 2, 1, -5, 3], FLOATS + 20);
    const read = orThrow(readLlama2c(own));
    expect(read.config.tiedHead).toBe(false);
    expect(read.config.vocabulary).toBe(5);
    expect(numbers(read.weights.head?.weight as never)[0]).toBe(FLOATS);
  });

  test('the model runs', async () => {
    const run = (w: CausalDecoderWeights, tokens: Value) => causalDecoder(config)(w, tokens);
    const logits = await evaluate(run, referenceBackend(), weights, ints([0, 1, 2], [1, 3]));
    expect((logits as never as { shape: number[] }).shape).toEqual([1, 3, 5]);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['a cut header', model(HEADER, FLOATS).subarray(0, 20), /20 bytes, expected a header of 28/],
    ['a cut file', model(HEADER, FLOATS - 1), /bytes, expected/],
    ['a file too long', model(HEADER, FLOATS + 1), /bytes, expected/],
    [
      'heads that do not divide the width',
      model([4, 6, 1, 3, 1, 5, 3], FLOATS),
      /sizes of a Llama/,
    ],
    ['heads of odd width', model([2, 6, 1, 2, 1, 5, 3], FLOATS), /sizes of a Llama/],
    ['key heads that do not divide heads', model([8, 6, 1, 2, 4, 5, 3], 1), /sizes of a Llama/],
    ['no vocabulary', model([4, 6, 1, 2, 1, 0, 3], FLOATS), /sizes of a Llama/],
    ['sizes beyond any file', model(Array(7).fill(2 ** 30), 1), /sizes of a Llama|bytes, expected/],
    ['no bytes', new Uint8Array(0), /expected a header/],
  ])('%s is told', (_, bytes, message) => {
    expect(readLlama2c(bytes, 'f.bin')).toEqual(
      left({ kind: 'checkpoint', message: expect.stringMatching(message) }),
    );
  });
});

const utf8 = new TextEncoder();

function vocabulary(pieces: readonly (readonly [string, number])[]): Uint8Array {
  const parts: number[] = [9, 0, 0, 0];
  for (const [text, score] of pieces) {
    const bytes = utf8.encode(text);
    const head = new DataView(new ArrayBuffer(8));
    head.setFloat32(0, score, true);
    head.setInt32(4, bytes.length, true);
    parts.push(...new Uint8Array(head.buffer), ...bytes);
  }
  return Uint8Array.from(parts);
}

const BYTES = Array.from({ length: 256 }, (_, b) => [`<0x${b.toString(16)}>`, 0] as const);
const SPECIAL = [['<unk>', 0] as const, ['<s>', 0] as const, ['</s>', 0] as const, ...BYTES];
const tokenizerOf = (...pieces: readonly (readonly [string, number])[]): Llama2cTokenizer =>
  orThrow(readLlama2cTokenizer(vocabulary([...SPECIAL, ...pieces])));

describe('tokenizers', () => {
  const letters = [' ', 'a', 'b', 'c', 's', '<', '>'].map((c) => [c, -9] as const);

  test('the piece with the greatest score is joined first', () => {
    const t = tokenizerOf(...letters, ['ab', -2], ['bc', -1], [' a', -3], ['abc', -4]);
    const [ab, bc, spaceA] = [266, 267, 268];
    // In "abc" bc comes first, and then " a"; "abc" is never reached.
    expect(t.encode('abc')).toEqual([spaceA, bc]);
    expect(t.encode('ab')).toEqual([259, ab]);
  });

  test.each([true, false])('words apart or not (%s), the same ids', (apart) => {
    // A piece with a blank inside forbids cutting at words.
    const extra = apart ? [] : ([['c c', -99]] as const);
    const t = tokenizerOf(...letters, ['ab', -2], [' ab', -1], ['  ', -3], ...extra);
    const plain = tokenizerOf(...letters, ['ab', -2], [' ab', -1], ['  ', -3]);
    for (const text of ['ab ab', '  ab   a b', 'a ', ' ', 'abab  cab', '', '\n\nab \n a\nb']) {
      expect(t.encode(text)).toEqual(plain.encode(text));
      expect(t.decode(t.encode(text))).toBe(text);
    }
  });

  test('what no piece covers becomes bytes, and text comes back whole', () => {
    const t = tokenizerOf(...letters);
    expect(t.encode('é')).toEqual([259, 3 + 0xc3, 3 + 0xa9]);
    for (const text of ['naïve Ω 🙂', 'tab\tand\nline'])
      expect(t.decode(t.encode(text))).toBe(text);
  });

  test('names of special tokens are plain text', () => {
    const t = tokenizerOf(...letters, ['<s', -1], ['<s>', -1]);
    const ids = t.encode('<s>');
    expect(ids).not.toContain(1);
    expect(t.decode([1, ...ids, 2])).toBe('<s>');
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['a cut file', vocabulary([...SPECIAL, ['abc', 0]]).slice(0, -1), /piece 259 .* is cut off/],
    ['too few pieces', vocabulary(SPECIAL.slice(0, 258)), /258 pieces, expected more than 258/],
    ['no bytes', new Uint8Array(0), /0 pieces/],
    [
      'a piece that is no UTF-8',
      Uint8Array.from([9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff]),
      /piece 0 .* is not UTF-8/,
    ],
    [
      'a negative length',
      Uint8Array.from([9, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
      /piece 0 .* is cut off/,
    ],
  ])('%s is told', (_, bytes, message) => {
    expect(readLlama2cTokenizer(bytes)).toEqual(
      left({ kind: 'checkpoint', message: expect.stringMatching(message) }),
    );
  });
});
