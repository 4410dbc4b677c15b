/**
 * Keys on the host: values, never state. The same key gives the same numbers on every backend.
 *
 * A key is an ndarray of two unsigned words, so it can be handed to a compiled program like any
 * other argument; inside a program the traced twins of `split` and `foldIn` live in `random.ts`.
 */

import ndarray, { type NdArray } from 'ndarray';
import { normalStream } from './normalTable.js';
import { bitsAt, PURPOSE, threefry2x32 } from './threefry.js';

/** A random key on the host: shape [2], unsigned 32-bit words. */
export type Key = NdArray<Uint32Array>;

const words = (key: Key): readonly [number, number] => [key.get(0), key.get(1)];

const fromWords = (pair: readonly [number, number]): Key => ndarray(Uint32Array.from(pair), [2]);

/** The key of an integer seed from 0 to 2⁵³ − 1. */
export function key(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(`key: seed must be an integer from 0 to 2^53-1, given ${seed}`);
  }
  return fromWords([Math.floor(seed / 2 ** 32), seed >>> 0]);
}

/** Derives the key number `data` (0 to 2³² − 1) of `key`: a step, a layer, a sample. */
export const foldIn = (from: Key, data: number): Key =>
  fromWords(threefry2x32(...words(from), PURPOSE.foldIn, data));

/** Derives `count` independent keys; the old key must not be used again. */
export const split = (from: Key, count = 2): readonly Key[] =>
  Array.from({ length: count }, (_, i) =>
    fromWords(threefry2x32(...words(from), PURPOSE.split, i)),
  );

/** `count` random words of the key's stream, as the engine's `randomBits` makes them. */
export const hostBits = (from: Key, count: number): Uint32Array =>
  Uint32Array.from({ length: count }, (_, i) => bitsAt(...words(from), i));

/** The uniform number in [0, 1) that a random word stands for: its upper 24 bits over 2²⁴. */
export const wordToUniform = (word: number): number => (word >>> 8) / 2 ** 24;

/** `count` uniform numbers in [0, 1), equal bit for bit to the traced `uniform`. */
export const hostUniform = (from: Key, count: number): Float64Array =>
  Float64Array.from(hostBits(from, count), wordToUniform);

/** `count` standard normal numbers, equal bit for bit to the traced `normal`. */
export const hostNormal = (from: Key, count: number): Float32Array =>
  normalStream(...words(from), count);

/**
 * A random order of 0 … count − 1: positions sorted by their random number, ties by position.
 * Equal to the traced `permutation` of the same key.
 */
export function hostPermutation(from: Key, count: number): Int32Array {
  const draws = hostUniform(from, count);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  return order.sort((a, b) => (draws[a] as number) - (draws[b] as number) || a - b);
}
