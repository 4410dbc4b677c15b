/** Threefry-2x32-20 on vectors: four blocks at once, a lane each. See autodiff/random/threefry.ts. */
import { PARITY, ROTATIONS } from '../../autodiff/index.js';
import type { Code } from './encoding.js';
import { get, i32x4, set, v128 } from './instructions.js';
import type { Local, Writer } from './writer.js';

/** Two vectors of words. */
export type WordPair = readonly [Local, Local];

/** The key schedule: k0, k1 and k0 ^ k1 ^ PARITY; made once per key where the key is known. */
export const keySchedule = ([k0, k1]: WordPair, writer: Writer): readonly Local[] => [
  k0,
  k1,
  writer.define(
    'v128',
    v128.xor(v128.xor(get(k0), get(k1)), v128.words([PARITY, PARITY, PARITY, PARITY])),
  ),
];

const rotateLeft = (x: Code, again: Code, bits: number): Code =>
  v128.or(i32x4.shl(x, bits), i32x4.shrU(again, 32 - bits));

/** The two output words of each lane's block. */
export function threefry(
  schedule: readonly Local[],
  counter: readonly [Code, Code],
  writer: Writer,
): WordPair {
  const part = (i: number): Code => get(schedule[i % 3] as Local);
  const x0 = writer.define('v128', i32x4.add(counter[0], part(0)));
  const x1 = writer.define('v128', i32x4.add(counter[1], part(1)));
  const assign = (local: Local, value: Code) => writer.emit(set(local, value));
  for (let group = 0; group < 5; group++) {
    for (let round = 0; round < 4; round++) {
      const bits = ROTATIONS[((group % 2) * 4 + round) as 0];
      assign(x0, i32x4.add(get(x0), get(x1)));
      assign(x1, v128.xor(rotateLeft(get(x1), get(x1), bits), get(x0)));
    }
    const next = group + 1;
    const added = v128.words([next, next, next, next]);
    assign(x0, i32x4.add(get(x0), part(next)));
    assign(x1, i32x4.add(i32x4.add(get(x1), part(next + 1)), added));
  }
  return [x0, x1];
}
