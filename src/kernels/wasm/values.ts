/**
 * Expressions as vector code. Everything is a vector of four lanes, also what is the same in all of
 * them; a value is one vector where it does not vary along the nest's vector variable, and one for
 * every four of its elements where it does. Floats and integers are 32 bits a lane, bools masks.
 */
import { type DType, halfBits, isHalf, type Var } from '../../autodiff/index.js';
import type { Condition, Expression, KeyWords } from '../plan/expression.js';
import { bounds, type Position } from '../plan/position.js';
import { arithmetic } from './arithmetic.js';
import type { Code } from './encoding.js';
import { f32x4, get, i32, i32x4, v128 } from './instructions.js';
import { createLoads } from './loads.js';
import type { MathScope } from './math.js';
import type { Lanes, Nest } from './nest.js';
import { keySchedule, threefry } from './threefry.js';
import type { Local } from './writer.js';

/** Emits the value of an expression; `dtype` is that of plain numbers in it. */
export type ValueEmitter = (e: Expression, dtype: DType) => Lanes;

/** What a function's code knows besides its loops. */
export interface ValueContext {
  readonly nest: Nest;
  readonly pointerOf: (buffer: Var) => Local;
  /** Address of the table of normals. */
  readonly normalTable: Local;
  /** Whether fused multiply-add may be used. */
  readonly relaxed: boolean;
  /** Values that are known already, such as the sums of a product. */
  readonly given: (e: Expression) => Lanes | undefined;
  readonly fold: (e: Extract<Expression, { kind: 'fold' }>, value: ValueEmitter) => Lanes;
}

/** The dtype of an expression, where it has one of its own. */
export function dtypeOf(e: Expression): DType | undefined {
  switch (e.kind) {
    case 'apply':
      return e.dtype;
    case 'load':
    case 'gather':
      return e.buffer.dtype;
    case 'position':
      return 'int';
    case 'guard':
      return dtypeOf(e.inside) ?? dtypeOf(e.outside);
    case 'fold':
      return e.fold === 'argmax' ? 'int' : dtypeOf(e.body);
    case 'randomWord':
    case 'derivedWord':
      return 'uint';
    default:
      return undefined;
  }
}

export function createValues(context: ValueContext): ValueEmitter {
  const { nest, normalTable, relaxed } = context;
  const { writer } = nest;
  const { define } = writer;
  const { load, gather } = createLoads(nest, context.pointerOf);
  const scope: MathScope = {
    keep: (code) => get(define('v128', code)),
    madd: (x, y, z) => (relaxed ? f32x4.relaxedMadd(x, y, z) : f32x4.add(f32x4.mul(x, y), z)),
  };
  const part = (lanes: Lanes, u: number): Code => get(lanes[lanes.length === 1 ? 0 : u] as Local);
  /** Applies code to each vector of some values. */
  const each = (operands: readonly Lanes[], code: (parts: readonly Code[]) => Code): Lanes =>
    Array.from({ length: Math.max(1, ...operands.map((o) => o.length)) }, (_, u) =>
      define('v128', code(operands.map((o) => part(o, u)))),
    );

  const value: ValueEmitter = (e, dtype) => {
    const known = context.given(e);
    if (known !== undefined) return known;
    const key = e.kind === 'number' ? `${Object.is(e.value, -0) ? '-0' : e.value} ${dtype}` : e;
    return writer.once(key, nest.depthOf(e), () => compute(e, dtype));
  };

  const compute: ValueEmitter = (e, dtype) => {
    switch (e.kind) {
      case 'number':
        return [define('v128', constant(e.value, dtype))];
      case 'position':
        return nest.indices(e.at);
      case 'load':
        return load(e.buffer, e.at);
      case 'gather':
        return gather(e, value(e.row, 'int'), nest.variesIn(e.row));
      case 'apply':
        return applied(e);
      case 'guard': {
        const own = dtypeOf(e) ?? dtype;
        const masks = e.conditions.flatMap(mask);
        if (masks.length === 0) return value(e.inside, own);
        const operands = [value(e.inside, own), value(e.outside, own), ...masks];
        return each(operands, ([x, y, ...all]) =>
          v128.choose(
            all.reduce((a, b) => v128.and(a, b)),
            x as Code,
            y as Code,
          ),
        );
      }
      case 'fold':
        return context.fold(e, value);
      case 'randomWord':
        return randomWords(e.key, e.at);
      case 'derivedWord':
        return derivedWord(e);
    }
  };

  const applied = (e: Extract<Expression, { kind: 'apply' }>): Lanes => {
    if (e.name === 'bitsToNormal') return normals(value(e.operands[0] as Expression, 'uint'));
    const own = e.operands.map(dtypeOf).filter((d) => d !== undefined);
    const from = (e.name === 'select' ? e.dtype : own[0]) ?? e.from;
    const operands = e.operands.map((x, i) =>
      value(x, e.name === 'select' && i === 0 ? 'bool' : from),
    );
    const code = arithmetic[e.name];
    if (code === undefined) throw new Error(`wasm: primitive ${e.name} is not implemented`);
    return each(operands, (parts) => code(parts, { ...scope, from, to: e.dtype }));
  };

  /** Whether a position lies in a range, as masks to be met together; none where it is certain. */
  const mask = ({ at, low, high, step }: Condition): Lanes[] => {
    const [least, greatest] = bounds(at);
    const tests: Lanes[] = [];
    const splat = (n: number): Code => v128.words([n, n, n, n]);
    const index = () => nest.indices(at);
    if (least < low) tests.push(each([index()], ([x]) => i32x4.geS(x as Code, splat(low))));
    if (greatest >= high) tests.push(each([index()], ([x]) => i32x4.ltS(x as Code, splat(high))));
    if (step > 1) {
      const rest = (lane: number): Local =>
        define(
          'i32',
          i32.remS(i32.sub(get(nest.index(at, lane)), i32.const(low)), i32.const(step)),
        );
      const lanes = nest.varies(at)
        ? Array.from({ length: nest.unroll() }, (_, u) =>
            define(
              'v128',
              nest.gathered((lane) => rest(lane), 4 * u),
            ),
          )
        : [define('v128', i32x4.splat(get(rest(0))))];
      tests.push(each([lanes], ([x]) => i32x4.eq(x as Code, splat(0))));
    }
    return tests;
  };

  // ---------------------------------------------------------------- random words
  const scheduleOf = (key: KeyWords): readonly Local[] =>
    writer.once(key, Math.max(nest.depthOf(key[0]), nest.depthOf(key[1])), () => {
      const [k0, k1] = key.map((word) => value(word, 'uint')[0] as Local);
      return keySchedule([k0 as Local, k1 as Local], writer);
    });
  const zero = v128.words([0, 0, 0, 0]);

  /** Words at a position: neighbours share a block, so eight in a row take four blocks. */
  const randomWords = (key: KeyWords, at: Position): Lanes => {
    const inPairs =
      nest.vector()?.width === 8 &&
      nest.stride(at) === 1 &&
      at.constant % 2 === 0 &&
      at.terms.every(
        ({ atom, coefficient }) =>
          coefficient % 2 === 0 ||
          (atom.kind === 'loop' && atom.name === nest.vector()?.variable.name),
      );
    const keyVaries = key.some(nest.variesIn);
    if (inPairs && !keyVaries) {
      const first = i32.shrU(get(nest.index(at)), i32.const(1));
      const counter = i32x4.add(i32x4.splat(first), v128.words([0, 1, 2, 3]));
      const [x, y] = threefry(scheduleOf(key), [zero, counter], writer);
      return [
        define('v128', v128.shuffle(get(x), get(y), [0, 4, 1, 5])),
        define('v128', v128.shuffle(get(x), get(y), [2, 6, 3, 7])),
      ];
    }
    const words = key.map((word) => value(word, 'uint'));
    return each([nest.indices(at), ...words], ([index, k0, k1]) => {
      const i = define('v128', index as Code);
      const schedule = keyVaries
        ? keySchedule([define('v128', k0 as Code), define('v128', k1 as Code)], writer)
        : scheduleOf(key);
      const [x, y] = threefry(schedule, [zero, i32x4.shrU(get(i), 1)], writer);
      return v128.choose(isOdd(get(i)), get(y), get(x));
    });
  };

  const isOdd = (x: Code): Code => i32x4.shrS(i32x4.shl(x, 31), 31);

  const derivedWord = ({
    key,
    purpose,
    data,
    word,
  }: Extract<Expression, { kind: 'derivedWord' }>) => {
    const operands = [...key.map((w) => value(w, 'uint')), value(data, 'int'), nest.indices(word)];
    return each(operands, ([k0, k1, d, which]) => {
      const schedule = keySchedule(
        [define('v128', k0 as Code), define('v128', k1 as Code)],
        writer,
      );
      const first = v128.words([purpose, purpose, purpose, purpose]);
      const [x, y] = threefry(schedule, [first, d as Code], writer);
      return v128.choose(isOdd(which as Code), get(y), get(x));
    });
  };

  /** Standard normals of random words: the table's entry of the high half plus that of the low. */
  const normals = (words: Lanes): Lanes =>
    words.map((word) => {
      const lookUp = (offsets: Code): Local => {
        const at = define('v128', offsets);
        const address = (lane: number) => i32.add(get(normalTable), i32x4.lane(get(at), lane));
        return define(
          'v128',
          [1, 2, 3].reduce<Code>(
            (text, lane) => v128.loadLane(address(lane), text, lane),
            v128.loadSplat(address(0)),
          ),
        );
      };
      const high = lookUp(i32x4.shl(i32x4.shrU(get(word), 16), 2));
      const low = lookUp(
        i32x4.shl(v128.and(get(word), v128.words([65535, 65535, 65535, 65535])), 2),
      );
      return define('v128', f32x4.add(get(high), get(low)));
    });

  return value;
}

function constant(value: number, dtype: DType): Code {
  if (dtype === 'float') return f32x4.splat(value);
  if (isHalf(dtype)) return v128.words([0, 0, 0, 0].map(() => halfBits(value, dtype)));
  const word = dtype === 'bool' ? (value !== 0 ? -1 : 0) : value;
  return v128.words([word, word, word, word]);
}
