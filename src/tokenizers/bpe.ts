/**
 * Learns a vocabulary by byte-pair encoding: words start as characters, and the pair of neighbours
 * that is most frequent becomes one symbol, again and again. Sennrich, Haddow, Birch, "Neural machine
 * translation of rare words with subword units", 2016.
 */
import { FlatloraError } from '../autodiff/index.js';

export interface Bpe {
  /** All symbols: characters first, in the order of their code points, then merged ones as learned. */
  readonly symbols: readonly string[];
  /** Which two symbols were joined, in order. */
  readonly merges: readonly (readonly [string, string])[];
}

export interface BpeOptions {
  /** How many symbols there are to be. There are fewer where no pair occurs twice any more. */
  readonly size: number;
  /** Characters that occur less often stay unknown; 1 by default. */
  readonly leastCharacterCount?: number;
}

/** Two symbols as one text; no symbol has a space in it, since words have none. */
const pairName = (left: string, right: string): string => `${left} ${right}`;

const neighbours = (word: readonly string[]): readonly string[] =>
  word.slice(1).map((right, i) => pairName(word[i] as string, right));

/** A word with every `left`, `right` in it joined, from the left. */
function joined(word: readonly string[], left: string, right: string): readonly string[] {
  const out: string[] = [];
  for (let i = 0; i < word.length; i++) {
    const both = word[i] === left && word[i + 1] === right;
    out.push(both ? left + right : (word[i] as string));
    if (both) i++;
  }
  return out;
}

/**
 * @param counts how often each word occurs. Words are what merges never cross: text must have been cut
 *   in the way in which it will be cut when it is encoded.
 * @returns the same for the same counts: of equally frequent pairs the first in the order of texts wins.
 */
export function learnBpe(
  counts: ReadonlyMap<string, number>,
  { size, leastCharacterCount = 1 }: BpeOptions,
): Bpe {
  const characters = new Map<string, number>();
  for (const [word, count] of counts) {
    for (const c of word) characters.set(c, (characters.get(c) ?? 0) + count);
  }
  const alphabet = [...characters.keys()]
    .filter((c) => (characters.get(c) as number) >= leastCharacterCount)
    .sort();
  if (alphabet.length > size) {
    throw new FlatloraError(
      'argument',
      `learnBpe: size is ${size}, expected at least the ${alphabet.length} characters of the text`,
    );
  }

  const words = [...counts].map(([word, count]) => ({
    symbols: [...word] as readonly string[],
    count,
  }));
  /** How often each pair occurs, and the numbers of the words that have (or once had) it. */
  const pairs = new Map<string, { count: number; words: Set<number> }>();
  const tally = (number: number, sign: 1 | -1): void => {
    const { symbols, count } = words[number] as (typeof words)[number];
    for (const name of neighbours(symbols)) {
      const pair = pairs.get(name) ?? { count: 0, words: new Set() };
      pair.count += sign * count;
      pair.words.add(number);
      pairs.set(name, pair);
    }
  };
  for (const number of words.keys()) tally(number, 1);

  const known = new Set(alphabet);
  const symbols = [...alphabet];
  const merges: (readonly [string, string])[] = [];
  const mayJoin = (name: string) => name.split(' ').every((symbol) => known.has(symbol));
  while (symbols.length < size) {
    let best: { name: string; count: number } | undefined;
    for (const [name, { count }] of pairs) {
      const better =
        best === undefined || count > best.count || (count === best.count && name < best.name);
      if (better && count > 1 && mayJoin(name)) best = { name, count };
    }
    if (best === undefined) break;
    const [left, right] = best.name.split(' ') as [string, string];
    merges.push([left, right]);
    // Two pairs may make the same symbol (a+bc and ab+c); it is listed once.
    if (!known.has(left + right)) symbols.push(left + right);
    known.add(left + right);
    for (const number of pairs.get(best.name)?.words ?? []) {
      const word = words[number] as (typeof words)[number];
      tally(number, -1);
      word.symbols = joined(word.symbols, left, right);
      tally(number, 1);
    }
    pairs.delete(best.name);
  }
  return { symbols, merges };
}
