/**
 * The tokenizer of llama2.c's models (`tokenizer.bin`, `tok512.bin`): byte-pair encoding as SentencePiece
 * trains it for Llama, with a score for each piece and single bytes for what no piece covers.
 *
 *     int32    length of the longest piece
 *     pieces   float32 score, int32 length, that many bytes; in the order of their ids
 *
 * Ids 0, 1, 2 are unknown, beginning and end of a text; 3 … 258 are the bytes 0 … 255.
 */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result } from '../../autodiff/index.js';

/** What stands at the beginning of every text. */
export const LLAMA2C_BEGIN = 1;
/** What stands behind a text. */
export const LLAMA2C_END = 2;
const FIRST_BYTE = 3;
const FIRST_PIECE = FIRST_BYTE + 256;

export interface Llama2cTokenizer {
  /** Number of ids. */
  readonly vocabulary: number;
  /** The ids of a text, with neither beginning nor end. */
  readonly encode: (text: string) => readonly number[];
  /** The text of ids; beginning and end give nothing. */
  readonly decode: (ids: Iterable<number>) => string;
  /** The bytes that an id stands for: pieces of a character where it is a single byte. */
  readonly bytesOf: (id: number) => Uint8Array;
}

interface Piece {
  readonly score: number;
  readonly text: string;
}

function readPieces(bytes: Uint8Array, name: string): Result<readonly Piece[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  const pieces: Piece[] = [];
  for (let at = 4; at < bytes.length; ) {
    const length = at + 8 <= bytes.length ? view.getInt32(at + 4, true) : -1;
    const end = at + 8 + length;
    if (length < 0 || end > bytes.length) {
      return fail('checkpoint', `${name}: piece ${pieces.length} at byte ${at} is cut off`);
    }
    try {
      const text = utf8.decode(bytes.subarray(at + 8, end));
      pieces.push({ score: view.getFloat32(at, true), text });
    } catch {
      return fail('checkpoint', `${name}: piece ${pieces.length} at byte ${at} is not UTF-8`);
    }
    at = end;
  }
  return pieces.length >= FIRST_PIECE
    ? E.right(pieces)
    : fail('checkpoint', `${name}: ${pieces.length} pieces, expected more than 258`);
}

/**
 * Joins neighbours, the pair whose piece has the greatest score first, as long as any pair makes a
 * piece. Of equal scores the first pair wins.
 */
function merge(
  ids: readonly number[],
  pieces: readonly Piece[],
  idOf: ReadonlyMap<string, number>,
): readonly number[] {
  const merged = [...ids];
  for (;;) {
    let best = { at: -1, id: -1, score: Number.NEGATIVE_INFINITY };
    for (let at = 0; at + 1 < merged.length; at++) {
      const [left, right] = [pieces[merged[at] as number], pieces[merged[at + 1] as number]];
      const id = idOf.get(`${left?.text}${right?.text}`);
      const score = id === undefined ? Number.NEGATIVE_INFINITY : (pieces[id] as Piece).score;
      if (id !== undefined && score > best.score) best = { at, id, score };
    }
    if (best.at < 0) return merged;
    merged.splice(best.at, 2, best.id);
  }
}

/** A text in words with the blanks before each, so that merging takes time linear in the text. */
const words = (text: string): readonly string[] => text.match(/ *[^ \n]+| +|\n/g) ?? [];

/** Whether a piece would have to be merged across words. */
const crossesWords = (piece: string): boolean =>
  /[^ ] /.test(piece) || (piece.length > 1 && piece.includes('\n'));

/**
 * Reads a tokenizer from the bytes of a file.
 * @param name stands for the file in messages.
 * @returns a problem of kind `checkpoint` for bytes that are no such file.
 */
export function readLlama2cTokenizer(
  bytes: Uint8Array,
  name = 'llama2c tokenizer',
): Result<Llama2cTokenizer> {
  return E.map(tokenizerOf)(readPieces(bytes, name));
}

function tokenizerOf(pieces: readonly Piece[]): Llama2cTokenizer {
  const idOf = new Map<string, number>();
  for (const [id, { text }] of pieces.entries()) {
    // A text may have "<s>" in it, which must not become the token of that name.
    if (id >= FIRST_PIECE && !idOf.has(text)) idOf.set(text, id);
  }
  const utf8 = new TextEncoder();
  const bytes = pieces.map(({ text }, id) =>
    id >= FIRST_BYTE && id < FIRST_PIECE
      ? Uint8Array.of(id - FIRST_BYTE)
      : utf8.encode(id < FIRST_BYTE ? '' : text),
  );
  const single = (character: string): readonly number[] => {
    const id = idOf.get(character);
    return id === undefined ? [...utf8.encode(character)].map((b) => b + FIRST_BYTE) : [id];
  };
  const byWord = !pieces.some(({ text }, id) => id >= FIRST_PIECE && crossesWords(text));
  const known = new Map<string, readonly number[]>();
  const encodeWord = (word: string): readonly number[] => {
    const before = known.get(word);
    if (before !== undefined) return before;
    const ids = merge([...word].flatMap(single), pieces, idOf);
    known.set(word, ids);
    return ids;
  };
  return {
    vocabulary: pieces.length,
    bytesOf: (id) => bytes[id] ?? new Uint8Array(0),
    encode: (text) => {
      // SentencePiece puts a blank before every text.
      const whole = text === '' ? '' : ` ${text}`;
      return byWord
        ? words(whole).flatMap(encodeWord)
        : merge([...whole].flatMap(single), pieces, idOf);
    },
    decode: (ids) => {
      const all = [...ids].flatMap((id) => [...(bytes[id] ?? [])]);
      return new TextDecoder().decode(Uint8Array.from(all)).replace(/^ /, '');
    },
  };
}
