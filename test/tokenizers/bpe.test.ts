/** Byte-pair encoding: merges worked out by hand, and the file that comes of it. */
import { orThrow } from '../../src/autodiff/index.js';
import { learnBpe, learnTokenizer, tokenizerFromJson } from '../../src/tokenizers/index.js';

const counts = (words: Readonly<Record<string, number>>) => new Map(Object.entries(words));

describe('learnBpe', () => {
  test('the most frequent pair first, then with what it made', () => {
    // ab 7, bc 6; with ab joined: abc 5, bc 1, abd 2.
    const { symbols, merges } = learnBpe(counts({ abc: 5, bc: 1, abd: 2 }), { size: 6 });
    expect(merges).toEqual([
      ['a', 'b'],
      ['ab', 'c'],
    ]);
    expect(symbols).toEqual(['a', 'b', 'c', 'd', 'ab', 'abc']);
  });

  test('of equally frequent pairs the first in the order of texts', () => {
    const { merges } = learnBpe(counts({ xy: 3, ab: 3 }), { size: 5 });
    expect(merges).toEqual([['a', 'b']]);
  });

  test('a pair is counted anew after each merge: a run of one letter', () => {
    // aaaa: aa three times, then aa·aa once in each of two words.
    const { merges } = learnBpe(counts({ aaaa: 2 }), { size: 3 });
    expect(merges).toEqual([
      ['a', 'a'],
      ['aa', 'aa'],
    ]);
  });

  test('ends where no pair occurs twice, and leaves out rare characters', () => {
    const options = { size: 50, leastCharacterCount: 2 };
    const { symbols, merges } = learnBpe(counts({ abq: 1, ab: 1 }), options);
    expect(symbols).toEqual(['a', 'b', 'ab']);
    expect(merges).toHaveLength(1);
  });

  test('too small a size for the characters is an error', () => {
    expect(() => learnBpe(counts({ abc: 1 }), { size: 2 })).toThrow(/size is 2.*3 characters/);
  });
});

describe('learnTokenizer', () => {
  const texts = [
    'The film is good, and the acting is good.',
    'The film was dull in 1999.',
    'is the film good?',
  ];
  const file = learnTokenizer(texts, { size: 80, sentinels: 2 });
  const { encode, decode, id, vocabularySize } = orThrow(tokenizerFromJson(file));

  test('special tokens come first', () => {
    expect(['<pad>', '</s>', '<unk>', '<extra_id_0>', '<extra_id_1>'].map(id)).toEqual([
      0, 1, 2, 3, 4,
    ]);
    expect(vocabularySize).toBeLessThanOrEqual(80);
  });

  test('text comes back in lower case; frequent words are one token', () => {
    for (const text of texts) expect(decode(encode(text))).toBe(text.toLowerCase());
    expect(encode('film', { specials: false })).toHaveLength(1);
    expect(encode('film')).toEqual([...encode('film', { specials: false }), 1]);
  });

  test('digits stand alone, unknown characters are unknown, sentinels are read', () => {
    expect(encode('1999', { specials: false }).length).toBeGreaterThanOrEqual(4);
    expect(encode('film ☃')).toContain(2);
    expect(encode('the <extra_id_1> film', { specials: false })).toContain(4);
    expect(decode(encode('the film'), { skipSpecials: false })).toBe('the film</s>');
    expect(decode([])).toBe('');
  });

  test('the same texts give the same file', () => {
    expect(JSON.stringify(learnTokenizer(texts, { size: 80, sentinels: 2 }))).toBe(
      JSON.stringify(file),
    );
  });

  test('a token that is not there, and files that are none', () => {
    expect(() => id('zebra')).toThrow(/no token "zebra"/);
    expect(tokenizerFromJson(null)).toMatchObject({ left: { kind: 'checkpoint' } });
    expect(tokenizerFromJson({ model: 3 })).toMatchObject({ left: { kind: 'checkpoint' } });
  });
});
