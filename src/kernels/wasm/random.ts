/** Random words and standard normals as vector code. */
import type { Expression, KeyWords } from '../plan/expression.js';
import type { Code } from './encoding.js';
import { f32, get, i32, i32x4, i64, v128 } from './instructions.js';
import type { Lanes, Nest } from './nest.js';
import { keySchedule, type Stream, threefry } from './threefry.js';
import type { ValueEmitter } from './values.js';
import type { Local } from './writer.js';

type RandomWord = Extract<Expression, { kind: 'randomWord' }>;
type DerivedWord = Extract<Expression, { kind: 'derivedWord' }>;

const ZERO = i32x4.constant(0);
const isOdd = (x: Code): Code => i32x4.shrS(i32x4.shl(x, 31), 31);
/** Bits of a byte offset into the table of 2¹⁶ floats. */
const OFFSET_BITS = 0x3fffc;
/** Streams of which the rounds are written in turns: one waits for itself most of the time. */
const TOGETHER = 4;

/** @param normalTable address of the table of normals. */
export function createRandom(nest: Nest, value: ValueEmitter, normalTable: number) {
  const { writer } = nest;
  const { define } = writer;

  const scheduleOf = (key: KeyWords): readonly Local[] =>
    writer.once(key, Math.max(nest.depthOf(key[0]), nest.depthOf(key[1])), () => {
      const [k0, k1] = key.map((word) => value(word, 'uint')[0] as Local);
      return keySchedule([k0 as Local, k1 as Local], writer);
    });

  /** Whether eight neighbours are the words of four blocks. */
  const isPaired = ({ key, at }: RandomWord): boolean => {
    const vector = nest.vector();
    const isVector = (name: string) => name === vector?.variable.name;
    return (
      vector?.width === 8 &&
      nest.stride(at) === 1 &&
      at.constant % 2 === 0 &&
      at.terms.every(
        ({ atom, coefficient }) =>
          coefficient % 2 === 0 || (atom.kind === 'loop' && isVector(atom.name)),
      ) &&
      !key.some(nest.variesIn)
    );
  };

  const pairedStream = ({ key, at }: RandomWord): Stream => {
    const first = i32.shrU(get(nest.index(at)), i32.const(1));
    const counter = i32x4.add(i32x4.splat(first), v128.words([0, 1, 2, 3]));
    return { schedule: scheduleOf(key), counter: [ZERO, counter] };
  };

  const interleaved = ([x, y]: readonly [Local, Local]): Lanes => [
    define('v128', v128.shuffle(get(x), get(y), [0, 4, 1, 5])),
    define('v128', v128.shuffle(get(x), get(y), [2, 6, 3, 7])),
  ];

  const single = (stream: Stream) => threefry([stream], writer)[0] as readonly [Local, Local];

  /** The words at a position: neighbours share a block. */
  const words = (e: RandomWord): Lanes => {
    if (isPaired(e)) return interleaved(single(pairedStream(e)));
    const { key, at } = e;
    const keyVaries = key.some(nest.variesIn);
    const keys = key.map((word) => value(word, 'uint'));
    return nest.each([nest.indices(at), ...keys], ([index, k0, k1]) => {
      const i = define('v128', index as Code);
      const schedule = keyVaries
        ? keySchedule([define('v128', k0 as Code), define('v128', k1 as Code)], writer)
        : scheduleOf(key);
      const [x, y] = single({ schedule, counter: [ZERO, i32x4.shrU(get(i), 1)] });
      return v128.choose(isOdd(get(i)), get(y), get(x));
    });
  };

  /** Emits the words of several expressions at once, which is faster than one after the other. */
  const wordsTogether = (all: readonly RandomWord[]): void => {
    const inner = writer.innermost();
    const paired = all.filter((e) => isPaired(e) && nest.depthOf(e) === inner);
    for (let i = 0; i < paired.length; i += TOGETHER) {
      const some = paired.slice(i, i + TOGETHER);
      const blocks = threefry(some.map(pairedStream), writer);
      some.forEach((e, k) => {
        writer.once(e, inner, () => interleaved(blocks[k] as readonly [Local, Local]));
      });
    }
  };

  const derived = ({ key, purpose, data, word }: DerivedWord): Lanes => {
    const operands = [...key.map((w) => value(w, 'uint')), value(data, 'int'), nest.indices(word)];
    return nest.each(operands, ([k0, k1, d, which]) => {
      const own = [define('v128', k0 as Code), define('v128', k1 as Code)] as const;
      const first = i32x4.constant(purpose);
      const [x, y] = single({ schedule: keySchedule(own, writer), counter: [first, d as Code] });
      return v128.choose(isOdd(which as Code), get(y), get(x));
    });
  };

  /**
   * Standard normals of random words: the table's entry of the high half plus that of the low. Two
   * words at a time go to a general register, whose shifts run beside the vectors' work.
   */
  const normals = (of: Lanes): Lanes =>
    of.map((word) => {
      const pairs = [0, 1].map((half) => define('i64', i64.lane(get(word), half)));
      const entry = (pair: Local, half: number): Code => {
        const moved = half === 0 ? i64.shl(get(pair), 2) : i64.shrU(get(pair), 16 * half - 2);
        return f32.load(i64.wrap(i64.and(moved, OFFSET_BITS)), normalTable);
      };
      const normal = (lane: number): Code => {
        const [pair, low] = [pairs[lane >> 1] as Local, 2 * (lane & 1)];
        return f32.add(entry(pair, low + 1), entry(pair, low));
      };
      return define(
        'v128',
        [1, 2, 3].reduce<Code>(
          (text, lane) => f32.replaceLane(text, lane, normal(lane)),
          f32.splat(normal(0)),
        ),
      );
    });

  return { words, wordsTogether, derived, normals };
}
