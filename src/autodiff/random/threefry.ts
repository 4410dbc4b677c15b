/**
 * Threefry-2x32 with 20 rounds: a counter-based random generator.
 *
 * A key (two 32-bit words) and a counter (two 32-bit words) give two random words. It is a small
 * block cipher: every round adds, rotates and xors ("ARX"), and every fourth round adds the key
 * again. Nothing is remembered between calls, so any element of any stream can be computed alone,
 * in any order, on any device.
 *
 * Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */

/** Rotation distances of the eight rounds that repeat. */
export const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;

/** The constant of the key schedule (the third key word is `k0 ^ k1 ^ PARITY`). */
export const PARITY = 0x1bd11bda;

const rotateLeft = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

/**
 * One block: key `(k0, k1)`, counter `(c0, c1)`, all read as unsigned 32-bit words.
 * @returns the two output words as unsigned 32-bit numbers.
 */
export function threefry2x32(
  k0: number,
  k1: number,
  c0: number,
  c1: number,
): readonly [number, number] {
  const schedule = [k0 | 0, k1 | 0, k0 ^ k1 ^ PARITY] as const;
  let x0 = (c0 + schedule[0]) | 0;
  let x1 = (c1 + schedule[1]) | 0;
  for (let group = 0; group < 5; group++) {
    for (let round = 0; round < 4; round++) {
      x0 = (x0 + x1) | 0;
      x1 = rotateLeft(x1, ROTATIONS[((group % 2) * 4 + round) as 0]) ^ x0;
    }
    const next = group + 1;
    x0 = (x0 + (schedule[(next % 3) as 0] as number)) | 0;
    x1 = (x1 + (schedule[((next + 1) % 3) as 0] as number) + next) | 0;
  }
  return [x0 >>> 0, x1 >>> 0];
}

/**
 * What the first counter word says a block is for, so that the bits drawn from a key never
 * coincide with the keys derived from it.
 */
export const PURPOSE = { bits: 0, split: 1, foldIn: 2 } as const;

/**
 * The random word at flat position `index` of a key's stream: word `index mod 2` of block
 * `⌊index / 2⌋`, so that a kernel that makes neighbours pays one block for two of them.
 */
export function bitsAt(k0: number, k1: number, index: number): number {
  return threefry2x32(k0, k1, PURPOSE.bits, Math.floor(index / 2))[(index % 2) as 0 | 1];
}
