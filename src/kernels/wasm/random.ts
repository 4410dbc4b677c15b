/** Random words and standard normals as vector code. */
import type { Expression, KeyWords } from '../plan/expression.js';
import type { Code } from './encoding.js';
import { f32x4, get, i16x8, i32, i32x4, i64, v128 } from './instructions.js';
import type { Lanes, Nest } from './nest.js';
import { type KeySchedule, keySchedule, type Stream, threefry } from './threefry.js';
import type { ValueEmitter } from './values.js';
import type { Local } from './writer.js';

type RandomWord = Extract<Expression, { kind: 'randomWord' }>;
type RandomNormal = Extract<Expression, { kind: 'randomNormal' }>;
type DerivedWord = Extract<Expression, { kind: 'derivedWord' }>;

const isOdd = (x: Code): Code => i32x4.shrS(i32x4.shl(x, 31), 31);
/** Bits of a byte offset into the first half of the table, 2¹⁵ floats. */
const OFFSET_BITS = 0x1fffc;
const SIGN_BIT = -(2 ** 31);
/** Streams of which the rounds are written in turns: one waits for itself most of the time. */
const TOGETHER = 4;

/** @param normalTable address of the table of normals. */
export function createRandom(nest: Nest, value: ValueEmitter, normalTable: number) {
  const { writer } = nest;
  const { define } = writer;

  const scheduleOf = (key: KeyWords): KeySchedule =>
    writer.once(key, Math.max(nest.depthOf(key[0]), nest.depthOf(key[1])), () => {
      const [k0, k1] = key.map((word) => value(word, 'uint')[0] as Local);
      return keySchedule([k0 as Local, k1 as Local], writer);
    });

  /** Whether eight neighbours start at a multiple of `of`, with a key that is theirs all. */
  const isAligned = ({ key, at }: RandomWord | RandomNormal, of: 2 | 4): boolean => {
    const vector = nest.vector();
    const isVector = (name: string) => name === vector?.variable.name;
    return (
      vector?.width === 8 &&
      (vector.start ?? vector.width) % of === 0 &&
      nest.stride(at) === 1 &&
      at.constant % of === 0 &&
      at.terms.every(
        ({ atom, coefficient }) =>
          coefficient % of === 0 || (atom.kind === 'loop' && isVector(atom.name)),
      ) &&
      !key.some(nest.variesIn)
    );
  };

  const interleaved = ([x, y]: readonly [Local, Local]): Lanes => [
    define('v128', v128.shuffle(get(x), get(y), [0, 4, 1, 5])),
    define('v128', v128.shuffle(get(x), get(y), [2, 6, 3, 7])),
  ];

  const single = (stream: Stream) => threefry([stream], writer)[0] as readonly [Local, Local];

  /** The words at a position: two neighbours share a block. */
  const words = (e: RandomWord): Lanes => {
    const { key, at } = e;
    if (isAligned(e, 2)) {
      const first = i32.shrU(get(nest.index(at)), i32.const(1));
      const counter = i32x4.add(i32x4.splat(first), v128.words([0, 1, 2, 3]));
      return interleaved(single({ schedule: scheduleOf(key), counter: [undefined, counter] }));
    }
    const keys = key.map((word) => value(word, 'uint'));
    return nest.each([nest.indices(at), ...keys], ([index, ...own]) => {
      const i = define('v128', index as Code);
      return get(wordAt(key, own, i32x4.shrU(get(i), 1), get(i)));
    });
  };

  /** In each lane the first or second word of a block, as `which` is even or odd. */
  const wordAt = (key: KeyWords, own: readonly Code[], block: Code, which: Code): Local => {
    const [k0, k1] = own as readonly [Code, Code];
    const schedule = key.some(nest.variesIn)
      ? keySchedule([define('v128', k0), define('v128', k1)], writer)
      : scheduleOf(key);
    const [x, y] = single({ schedule, counter: [undefined, block] });
    return define('v128', v128.choose(isOdd(which), get(y), get(x)));
  };

  /** The normal numbers at a position: four neighbours share a block, two a word. */
  const normals = (e: RandomNormal): Lanes => {
    const { key, at } = e;
    if (isAligned(e, 4)) {
      const stream = normalStream(e, e);
      return twoOfEach(interleaved(single(stream))[0] as Local);
    }
    const keys = key.map((word) => value(word, 'uint'));
    return nest.each([nest.indices(at), ...keys], ([index, ...own]) => {
      const i = define('v128', index as Code);
      const word = wordAt(key, own, i32x4.shrU(get(i), 2), i32x4.shrU(get(i), 1));
      const [a, b] = entries(word);
      return v128.choose(isOdd(get(i)), f32x4.sub(get(a), get(b)), f32x4.add(get(a), get(b)));
    });
  };

  /** The blocks of eight neighbours at one position, and of eight at another. */
  const normalStream = (first: RandomNormal, second: RandomNormal): Stream => {
    const [a, b] = [first, second].map(({ at }) =>
      i32x4.splat(i32.shrU(get(nest.index(at)), i32.const(2))),
    ) as [Code, Code];
    const counter = i32x4.add(v128.shuffle(a, b, [0, 0, 4, 4]), v128.words([0, 1, 0, 1]));
    return { schedule: scheduleOf(first.key), counter: [undefined, counter] };
  };

  /** Emits the numbers of several expressions at once, which is faster than one after the other. */
  const normalsTogether = (all: readonly RandomNormal[]): void => {
    const inner = writer.innermost();
    const ready = all.filter((e) => isAligned(e, 4) && nest.depthOf(e) === inner);
    const pairs: (readonly [RandomNormal, RandomNormal])[] = [];
    for (const e of ready) {
      const partner = pairs.findIndex(([a, b]) => a === b && a.key === e.key);
      const alone = pairs[partner];
      if (alone === undefined) pairs.push([e, e]);
      else pairs[partner] = [alone[0], e];
    }
    for (let i = 0; i < pairs.length; i += TOGETHER) {
      const some = pairs.slice(i, i + TOGETHER);
      const blocks = threefry(
        some.map(([a, b]) => normalStream(a, b)),
        writer,
      );
      some.forEach((pair, k) => {
        const ofPair = interleaved(blocks[k] as readonly [Local, Local]);
        pair.forEach((e, side) => {
          writer.once(e, inner, () => twoOfEach(ofPair[side] as Local));
        });
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
   * The table's entries of the upper and of the lower halves of four words. The table is odd, so its first
   * half will do, which halves what has to come into the cache. Two words at a time go to a general
   * register, whose shifts run beside the vectors' work.
   */
  const entries = (word: Local): readonly [Local, Local] => {
    // 65535 − i where the half i is beyond the middle.
    const folded = define('v128', v128.xor(get(word), i16x8.shrS(get(word), 15)));
    const pairs = [0, 1].map((half) => define('i64', i64.lane(get(folded), half)));
    const address = (lane: number, upper: 0 | 1): Code => {
      const pair = get(pairs[lane >> 1] as Local);
      const half = 2 * (lane & 1) + upper;
      const offset = half === 0 ? i64.shl(pair, 2) : i64.shrU(pair, 16 * half - 2);
      return i64.wrap(i64.and(offset, OFFSET_BITS));
    };
    const gathered = (upper: 0 | 1): Code =>
      [1, 2, 3].reduce<Code>(
        (text, lane) => v128.loadLane(address(lane, upper), text, lane, normalTable),
        v128.loadFirst(address(0, upper), normalTable),
      );
    const negated = (values: Code, halves: Code): Local =>
      define('v128', v128.xor(values, v128.and(halves, i32x4.constant(SIGN_BIT))));
    return [negated(gathered(1), get(word)), negated(gathered(0), i32x4.shl(get(word), 16))];
  };

  /** The eight numbers of four words: the sum and the difference of the entries of each. */
  const twoOfEach = (word: Local): Lanes => {
    const [a, b] = entries(word);
    const sum = define('v128', f32x4.add(get(a), get(b)));
    const difference = define('v128', f32x4.sub(get(a), get(b)));
    return interleaved([sum, difference]);
  };

  return { words, normals, normalsTogether, derived };
}
