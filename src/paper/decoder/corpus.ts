/**
 * What our own decoder is pre-trained on, as rows of tokens: plain texts one after another (those of the
 * text model), and exercises in arithmetic in the notation of GSM8K's answers. Neither GSM8K itself nor
 * any of the generated word problems is in it, so both are new to the model.
 */
import { foldIn, hostArray, hostBits, type Key, key, range } from '../../autodiff/index.js';
import { loadCorpus } from '../text/corpus.js';
import type { Codec, HostBatch } from './model.js';

export const WINDOW = 128;
/** Rows of a step's batch. */
export const ROWS = { texts: 10, exercises: 6 } as const;

const SEED = key(6);

/** Numbers up to 99, small ones more often. */
const operand = (word: number): number => 1 + ((word >>> 8) % ([10, 20, 100][word % 3] as number));

/** One calculation, as GSM8K notes it: `7 + 5 = <<7+5=12>>12`. Divisions come out even. */
export function exercise(random: Key, n: number): string {
  const [kind = 0, first = 0, second = 0] = hostBits(foldIn(random, n), 3);
  const [a, b] = [operand(first), operand(second)];
  const [small, large] = [Math.min(a, b), Math.max(a, b)];
  const note = (x: number, sign: string, y: number, result: number) =>
    `${x} ${sign} ${y} = <<${x}${sign}${y}=${result}>>${result}`;
  switch (kind % 4) {
    case 0:
      return note(a, '+', b, a + b);
    case 1:
      return note(large, '-', small, large - small);
    case 2:
      return note(a, '*', 1 + (b % 12), a * (1 + (b % 12)));
    default:
      return note(a * (1 + (b % 12)), '/', 1 + (b % 12), a);
  }
}

/** Texts for learning a vocabulary: the corpus, with as many exercises as make the signs known. */
export async function vocabularyTexts(dataDir: string): Promise<readonly string[]> {
  const { plain } = await loadCorpus(dataDir);
  return [...plain, ...range(2000).map((n) => `${exercise(SEED, n)} #### ${n % 100}`)];
}

/** Texts joined by the boundary, as one long row of ids. */
const joined = (codec: Codec, texts: readonly string[]): Int32Array =>
  Int32Array.from(texts.flatMap((text) => [codec.boundary, ...codec.encode(text)]));

/** The batch of each step: random windows of the texts, and rows of fresh exercises. */
export async function decoderBatches(
  codec: Codec,
  dataDir: string,
): Promise<(step: number) => HostBatch> {
  const { plain } = await loadCorpus(dataDir);
  const text = joined(codec, plain);
  const window = (random: Key): Int32Array => {
    const [draw = 0] = hostBits(random, 1);
    const start = draw % (text.length - WINDOW - 1);
    return text.subarray(start, start + WINDOW + 1);
  };
  const exercises = (random: Key): Int32Array => {
    const ids: number[] = [];
    for (let n = 0; ids.length <= WINDOW; n++) {
      const [length = 0] = hostBits(foldIn(random, n), 1);
      const several = range(1 + (length % 3)).map((i) => exercise(foldIn(random, n), 1 + i));
      const result = several.at(-1)?.split('>>')[1] ?? '';
      ids.push(codec.boundary, ...codec.encode(`${several.join(' ')} #### ${result}`));
    }
    return Int32Array.from(ids.slice(0, WINDOW + 1));
  };
  return (step) => {
    const own = foldIn(SEED, step);
    const rows = [
      ...range(ROWS.texts).map((i) => window(foldIn(own, i))),
      ...range(ROWS.exercises).map((i) => exercises(foldIn(own, ROWS.texts + i))),
    ];
    const part = (from: number) => {
      const data = new Int32Array(rows.length * WINDOW);
      for (const [i, row] of rows.entries()) {
        data.set(row.subarray(from, from + WINDOW), i * WINDOW);
      }
      return hostArray(data, [rows.length, WINDOW]);
    };
    return { tokens: part(0), targets: part(1) };
  };
}
