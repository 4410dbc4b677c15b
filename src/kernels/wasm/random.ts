/** Random words and standard normals as vector code. */
import { chunksOf } from 'fp-ts/lib/ReadonlyArray.js';
import { NORMALS_PER_BLOCK, range } from '../../autodiff/index.js';
import type { Expression, KeyWords } from '../plan/expression.js';
import type { Code } from './encoding.js';
import { f32x4, get, i32, i32x4, i64, v128 } from './instructions.js';
import type { Lanes, Nest } from './nest.js';
import { type KeySchedule, keySchedule, type Stream, threefry, type WordPair } from './threefry.js';
import { transposed } from './transposed.js';
import type { ValueEmitter } from './values.js';
import type { Local } from './writer.js';

type RandomWord = Extract<Expression, { kind: 'randomWord' }>;
type RandomNormal = Extract<Expression, { kind: 'randomNormal' }>;
type DerivedWord = Extract<Expression, { kind: 'derivedWord' }>;

const isOdd = (x: Code): Code => i32x4.shrS(i32x4.shl(x, 31), 31);
/** Bits of a byte offset into the table, 2⁸ floats. */
const OFFSET_BITS = 0x3fc;
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
  const isAligned = ({ key, at }: RandomWord | RandomNormal, of: 2 | 8): boolean => {
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

  const single = (stream: Stream) => threefry([stream], writer)[0] as WordPair;

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
      const [x, y] = blockAt(key, own, i32x4.shrU(get(i), 1));
      return v128.choose(isOdd(get(i)), get(y), get(x));
    });
  };

  /** In each lane the words of a block, where lanes may have keys of their own. */
  const blockAt = (key: KeyWords, own: readonly Code[], counter: Code): WordPair => {
    const [k0, k1] = own as readonly [Code, Code];
    const schedule = key.some(nest.variesIn)
      ? keySchedule([define('v128', k0), define('v128', k1)], writer)
      : scheduleOf(key);
    return single({ schedule, counter: [undefined, counter] });
  };

  /** The normal numbers at a position: eight neighbours share a block. */
  const normals = (e: RandomNormal): Lanes => {
    const { key, at } = e;
    if (isAligned(e, NORMALS_PER_BLOCK)) {
      const block = single(normalStreamOf([e]));
      return neighbours(hadamard(entries(block, 1)), 1)[0] as Lanes;
    }
    const keys = key.map((word) => value(word, 'uint'));
    return nest.each([nest.indices(at), ...keys], ([index, ...own]) => {
      const i = define('v128', index as Code);
      const block = blockAt(key, own, i32x4.shrU(get(i), 3));
      return get(signedSum(entries(block, 4), i));
    });
  };

  /** The blocks of up to four expressions of one key, each with eight neighbours at a multiple of eight. */
  const normalStreamOf = (all: readonly RandomNormal[]): Stream => {
    const [first, ...others] = all.map(({ at }) => i32.shrU(get(nest.index(at)), i32.const(3))) as [
      Code,
      ...Code[],
    ];
    const counter = others.reduce<Code>(
      (vector, block, i) => i32x4.replaceLane(vector, i + 1, block),
      i32x4.splat(first),
    );
    return { schedule: scheduleOf((all[0] as RandomNormal).key), counter: [undefined, counter] };
  };

  /** Emits the numbers of several expressions at once: a lane of a vector draws for each. */
  const normalsTogether = (all: readonly RandomNormal[]): void => {
    const inner = writer.innermost();
    const ready = all.filter((e) => isAligned(e, NORMALS_PER_BLOCK) && nest.depthOf(e) === inner);
    const keys = [...new Set(ready.map((e) => e.key))];
    const groups = keys.flatMap((key) => chunksOf(4)(ready.filter((e) => e.key === key)));
    for (const some of chunksOf(TOGETHER)(groups)) {
      const blocks = threefry(some.map(normalStreamOf), writer);
      some.forEach((group, i) => {
        const drawn = neighbours(
          hadamard(entries(blocks[i] as WordPair, group.length)),
          group.length,
        );
        group.forEach((e, lane) => {
          writer.once(e, inner, () => drawn[lane] as Lanes);
        });
      });
    }
  };

  /** Eight vectors: entry k of the table for the block in each of the first `lanes` lanes. */
  const entries = (block: WordPair, lanes: number): readonly Local[] =>
    block.flatMap((word) => {
      // Two lanes at a time go to a general register, whose shifts run beside the vectors' work.
      const pairs = range(Math.ceil(lanes / 2)).map((half) =>
        define('i64', i64.lane(get(word), half)),
      );
      const address = (lane: number, byte: number): Code => {
        const pair = get(pairs[lane >> 1] as Local);
        const at = 4 * (lane & 1) + byte;
        const offset = at === 0 ? i64.shl(pair, 2) : i64.shrU(pair, 8 * at - 2);
        return i64.wrap(i64.and(offset, OFFSET_BITS));
      };
      return range(4).map((byte) => {
        const first = v128.loadFirst(address(0, byte), normalTable);
        const rest = range(lanes - 1).reduce<Code>(
          (vector, i) => v128.loadLane(address(i + 1, byte), vector, i + 1, normalTable),
          first,
        );
        return define('v128', rest);
      });
    });

  /** All eight signed sums of eight vectors (see normalTable.ts). */
  const hadamard = (t: readonly Local[]): readonly Local[] =>
    [1, 2, 4].reduce<readonly Local[]>(
      (z, bit) =>
        z.map((x, j) => {
          const other = get(z[j ^ bit] as Local);
          return define(
            'v128',
            (j & bit) === 0 ? f32x4.add(get(x), other) : f32x4.sub(other, get(x)),
          );
        }),
      t,
    );

  /** In each lane one of the eight signed sums: number `index mod 8`. */
  const signedSum = (t: readonly Local[], index: Local): Local =>
    [0, 1, 2].reduce<readonly Local[]>((sums, bit) => {
      const sign = define(
        'v128',
        v128.and(i32x4.shl(get(index), 31 - bit), i32x4.constant(SIGN_BIT)),
      );
      return range(sums.length / 2).map((i) => {
        const [x, y] = [get(sums[2 * i] as Local), get(sums[2 * i + 1] as Local)];
        return define('v128', f32x4.add(x, v128.xor(y, get(sign))));
      });
    }, t)[0] as Local;

  /** By lane the numbers of its block, as two vectors; from eight vectors with a block in each lane. */
  const neighbours = (z: readonly Local[], lanes: number): readonly Lanes[] => {
    const low = transposed(z.slice(0, 4).map(get), writer);
    const high = transposed(z.slice(4).map(get), writer);
    return range(lanes).map((lane) => [low[lane] as Local, high[lane] as Local]);
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

  return { words, normals, normalsTogether, derived };
}
