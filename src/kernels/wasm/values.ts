/**
 * Expressions as vector code. Everything is a vector of four lanes, also what is the same in all of
 * them; a value is one vector where it does not vary along the nest's vector variable, and one for
 * every four of its elements where it does. Floats and integers are 32 bits a lane, bools masks.
 */
import { type DType, halfBits, isHalf, type Var } from '../../autodiff/index.js';
import type { Condition, Expression } from '../plan/expression.js';
import { bounds } from '../plan/position.js';
import { arithmetic } from './arithmetic.js';
import type { Code } from './encoding.js';
import { f32x4, get, i32, i32x4, v128 } from './instructions.js';
import { createLoads } from './loads.js';
import type { MathScope } from './math.js';
import type { Lanes, Nest } from './nest.js';
import { createRandom } from './random.js';
import type { Local } from './writer.js';

/** Emits the value of an expression; `dtype` is that of plain numbers in it. */
export type ValueEmitter = (e: Expression, dtype: DType) => Lanes;

/** What a function's code knows besides its loops. */
export interface ValueContext {
  readonly nest: Nest;
  readonly pointerOf: (buffer: Var) => Local;
  /** Address of the table of normals. */
  readonly normalTable: number;
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
    case 'randomNormal':
      return 'float';
    case 'randomWord':
    case 'derivedWord':
      return 'uint';
    default:
      return undefined;
  }
}

/** Emits values; `normalsTogether` emits the random numbers of several expressions beforehand, faster. */
export type Values = ValueEmitter & {
  readonly normalsTogether: ReturnType<typeof createRandom>['normalsTogether'];
};

type Apply = Extract<Expression, { kind: 'apply' }>;

export function createValues(context: ValueContext): Values {
  const { nest, normalTable, relaxed } = context;
  const { writer } = nest;
  const { define } = writer;
  const { load, gather } = createLoads(nest, context.pointerOf);
  const scope: MathScope = {
    keep: (code) => get(define('v128', code)),
    madd: (x, y, z) => (relaxed ? f32x4.relaxedMadd(x, y, z) : f32x4.add(f32x4.mul(x, y), z)),
  };
  const { each } = nest;

  const value: ValueEmitter = (e, dtype) => {
    const known = context.given(e);
    if (known !== undefined) return known;
    const key = e.kind === 'number' ? `${Object.is(e.value, -0) ? '-0' : e.value} ${dtype}` : e;
    return writer.once(key, nest.depthOf(e), () => compute(e, dtype));
  };

  const random = createRandom(nest, value, normalTable);

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
        return random.words(e);
      case 'randomNormal':
        return random.normals(e);
      case 'derivedWord':
        return random.derived(e);
    }
  };

  /** x·y + z in one instruction, where the product is not computed less often than the sum. */
  const fused = (e: Apply): Lanes | undefined => {
    if (!relaxed || e.name !== 'add' || e.dtype !== 'float') return undefined;
    const isOwnProduct = (x: Expression): x is Apply =>
      x.kind === 'apply' &&
      x.name === 'mul' &&
      context.given(x) === undefined &&
      nest.depthOf(x) === nest.depthOf(e);
    const [left, right] = e.operands as readonly [Expression, Expression];
    const product = [right, left].find(isOwnProduct);
    if (product === undefined) return undefined;
    const operands = [...product.operands, product === right ? left : right];
    return each(
      operands.map((x) => value(x, 'float')),
      ([x, y, z]) => scope.madd(x as Code, y as Code, z as Code),
    );
  };

  const applied = (e: Apply): Lanes => {
    const contracted = fused(e);
    if (contracted !== undefined) return contracted;
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
    const splat = i32x4.constant;
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

  return Object.assign(value, { normalsTogether: random.normalsTogether });
}

function constant(value: number, dtype: DType): Code {
  if (dtype === 'float') return f32x4.splat(value);
  if (isHalf(dtype)) return i32x4.constant(halfBits(value, dtype));
  const word = dtype === 'bool' ? (value !== 0 ? -1 : 0) : value;
  return i32x4.constant(word);
}
