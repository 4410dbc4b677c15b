/**
 * Threefry-2x32-20 as gpu.js source. gpu.js keeps locals as float32, which hold 24 bits, so every
 * 32-bit word is a pair of 16-bit halves.
 */
import { PARITY, ROTATIONS } from '../../autodiff/index.js';
import { literal } from './math.js';

/** A 32-bit word as source of its two halves. */
export interface Halves {
  readonly high: string;
  readonly low: string;
}

/** The halves of a number known while compiling. */
export const halvesOf = (word: number): Halves => ({
  high: literal(word >>> 16),
  low: literal(word & 0xffff),
});

type Local = (expression: string) => string;

/** a + b mod 2³². */
function sum(a: Halves, b: Halves, local: Local): Halves {
  const low = local(`${a.low} + ${b.low}`);
  const kept = local(`${low} >= 65536.0 ? ${low} - 65536.0 : ${low}`);
  const high = local(`${a.high} + ${b.high} + (${low} >= 65536.0 ? 1.0 : 0.0)`);
  // Up to three 16-bit numbers were added: at most 2·65535 + 1.
  return { low: kept, high: local(`${high} >= 65536.0 ? ${high} - 65536.0 : ${high}`) };
}

const xor = (a: Halves, b: Halves, local: Local): Halves => ({
  high: local(`${a.high} ^ ${b.high}`),
  low: local(`${a.low} ^ ${b.low}`),
});

/** (word ⟲ bits) ⊕ other, in one expression a half: each conversion of a local costs time. */
function rotateXor(word: Halves, bits: number, other: Halves, local: Local): Halves {
  const { high, low } = bits >= 16 ? { high: word.low, low: word.high } : word;
  const n = bits % 16;
  if (n === 0) return xor({ high, low }, other, local);
  const shifted = (upper: string, lower: string) =>
    `(((${upper} << ${n}) | (${lower} >>> ${16 - n})) & 65535)`;
  return {
    high: local(`${shifted(high, low)} ^ ${other.high}`),
    low: local(`${shifted(low, high)} ^ ${other.low}`),
  };
}

/** The two words of the block at a counter. */
export function threefrySource(
  key: readonly [Halves, Halves],
  counter: readonly [Halves, Halves],
  local: Local,
): readonly [Halves, Halves] {
  const third = xor(xor(key[0], key[1], local), halvesOf(PARITY), local);
  const schedule = [key[0], key[1], third] as const;
  let x0 = sum(counter[0], schedule[0], local);
  let x1 = sum(counter[1], schedule[1], local);
  for (let group = 0; group < 5; group++) {
    for (let round = 0; round < 4; round++) {
      x0 = sum(x0, x1, local);
      x1 = rotateXor(x1, ROTATIONS[(group % 2) * 4 + round] as number, x0, local);
    }
    const next = group + 1;
    x0 = sum(x0, schedule[next % 3] as Halves, local);
    x1 = sum(sum(x1, schedule[(next + 1) % 3] as Halves, local), halvesOf(next), local);
  }
  return [x0, x1];
}
