/** Prints the expressions of plans as WGSL. */
import {
  type HalfPrecision,
  isHalf,
  NORMALS_PER_BLOCK,
  type Var,
} from '../../../autodiff/index.js';
import { type Expression, parts } from '../../plan/expression.js';
import { type Position, positionKey, quotient } from '../../plan/position.js';
import { arithmetic } from './arithmetic.js';
import type { KernelBindings } from './bindings.js';
import { type FoldPrinter, foldPrinter } from './folds.js';
import { type PositionPrinter, positionPrinter } from './positions.js';
import { cast, numberSource, typeFinder, type ValueType, valueType } from './types.js';
import type { Writer } from './writer.js';

/** What expressions need of the kernel around them. */
export interface KernelScope {
  readonly writer: Writer;
  readonly bindings: Pick<KernelBindings, 'element' | 'normal'>;
  /** The invocation's number in its workgroup where a workgroup computes each fold together. */
  readonly together?: { readonly lane: string; readonly size: number };
  /** Expressions that are known by a name already. */
  readonly finished?: ReadonlyMap<Expression, string>;
}

export interface ValuePrinter {
  /** An expression as a value of a type (its own type by default). */
  readonly value: (e: Expression, type?: ValueType) => string;
  readonly typeOf: (e: Expression) => ValueType;
  readonly positions: PositionPrinter;
}

type Apply = Extract<Expression, { kind: 'apply' }>;
type Guard = Extract<Expression, { kind: 'guard' }>;

/** How often each part of the expressions is used. */
function countUses(bodies: readonly Expression[]): ReadonlyMap<Expression, number> {
  const uses = new Map<Expression, number>();
  const visit = (e: Expression) => {
    uses.set(e, (uses.get(e) ?? 0) + 1);
    if (uses.get(e) === 1) parts(e).forEach(visit);
  };
  bodies.forEach(visit);
  return uses;
}

/** Whether computing an expression takes so little that it may be done in vain. */
const isCheap = (e: Expression): boolean =>
  e.kind === 'number' || e.kind === 'load' || e.kind === 'position';

const mod = (x: number, by: number): number => ((x % by) + by) % by;

/** Whether a position modulo `by` is that of its constant. */
const isKnown = ({ terms }: Position, by: number): boolean =>
  terms.every((t) => t.coefficient % by === 0);

const holdsFold = (e: Expression): boolean => e.kind === 'fold' || parts(e).some(holdsFold);

/** @param bodies the expressions that will be printed, so that what they share is computed once. */
export function valuePrinter(scope: KernelScope, bodies: readonly Expression[]): ValuePrinter {
  const { writer, bindings, together, finished } = scope;
  const { normal } = bindings;
  const element = (buffer: Var, index: string) => bindings.element(writer, buffer, index);
  const { remember, local, within, line, fresh } = writer;
  const positions = positionPrinter(writer);
  const { position, guard } = positions;
  const uses = countUses(bodies);
  const find = typeFinder();
  const typeOf = (e: Expression): ValueType => find(e) ?? 'f32';

  const value = (e: Expression, type: ValueType = typeOf(e)): string => {
    const known = finished?.get(e);
    if (known !== undefined) return known;
    if (e.kind === 'number') return numberSource(e.value, type, writer);
    const once = e.kind === 'fold' || (uses.get(e) ?? 0) > 1;
    return cast(once ? remember(e, () => compute(e)) : compute(e), typeOf(e), type);
  };

  const compute = (e: Expression): string => {
    switch (e.kind) {
      case 'number':
        return numberSource(e.value, 'f32', writer);
      case 'position':
        return `(${position(e.at)})`;
      case 'load':
        return element(e.buffer, position(e.at));
      case 'apply':
        return applied(e);
      case 'guard':
        return guarded(e);
      case 'fold':
        return fold(e);
      case 'gather': {
        const row = local(value(e.row, 'i32'));
        const found = element(e.buffer, `${row} * ${e.width} + ${position(e.at)}`);
        const type = typeOf(e);
        return `select(${numberSource(0, type, writer)}, ${found}, ${row} >= 0 && ${row} < ${e.rows})`;
      }
      case 'randomWord': {
        // Neighbours share a block: its name is found again by its counter.
        const counter = quotient(e.at, 2);
        const block = blockOf(e.key, '0u', `u32(${position(counter)})`, positionKey(counter));
        return oneOf(block, e.at);
      }
      case 'randomNormal': {
        const counter = quotient(e.at, NORMALS_PER_BLOCK);
        const block = blockOf(e.key, '0u', `u32(${position(counter)})`, positionKey(counter));
        return signedSum(block, e.at);
      }
      case 'derivedWord': {
        const data = value(e.data, 'i32');
        return oneOf(blockOf(e.key, `${e.purpose}u`, `bitcast<u32>(${data})`, data), e.word);
      }
    }
  };

  const blockOf = (
    key: readonly [Expression, Expression],
    purpose: string,
    data: string,
    dataKey: string,
  ): string => {
    const words = `vec2u(${value(key[0], 'u32')}, ${value(key[1], 'u32')})`;
    return remember(
      `block ${words} ${purpose} ${dataKey}`,
      () => `${writer.call('threefry')}(${words}, vec2u(${purpose}, ${data}))`,
    );
  };
  /**
   * Signed sum `at mod 8` of the table's entries that a block's bytes pick (normalTable.ts). What neighbours
   * have in common is computed once: the sums are those of a fast Hadamard transform.
   */
  const signedSum = (block: string, at: Position): string => {
    const entry = (k: number) => {
      const word = `${block}.${k < 4 ? 'x' : 'y'}`;
      return normal(`(${word} >> ${8 * (k % 4)}u) & 255u`);
    };
    /** The sum of entries first … first + 2^level − 1, by the bits of `at` below `level`. */
    const sum = (level: number, first: number): string => {
      const size = 2 ** level;
      const bits = isKnown(at, size) ? `${mod(at.constant, size)}` : positionKey(at);
      return remember(`sum ${block} ${level} ${first} ${bits}`, () => {
        if (level === 0) return entry(first);
        const [x, y] = [sum(level - 1, first), sum(level - 1, first + size / 2)];
        if (isKnown(at, size)) return `${x} ${mod(at.constant, size) < size / 2 ? '+' : '-'} ${y}`;
        return `${x} + select(${y}, -${y}, ((${position(at)}) & ${size / 2}) != 0)`;
      });
    };
    return sum(Math.log2(NORMALS_PER_BLOCK), 0);
  };
  /** Word `at mod 2` of a block. */
  const oneOf = (block: string, at: Position): string => {
    if (isKnown(at, 2)) return `${block}.${at.constant % 2 === 0 ? 'x' : 'y'}`;
    return `select(${block}.x, ${block}.y, (${position(at)}) % 2 != 0)`;
  };

  const guarded = ({ conditions, inside, outside }: Guard): string => {
    const test = guard(conditions);
    const type = typeOf({ kind: 'guard', conditions, inside, outside });
    // What a workgroup computes together must not stand inside a branch.
    const simple = isCheap(inside) && isCheap(outside);
    if (simple || (together !== undefined && (holdsFold(inside) || holdsFold(outside)))) {
      return `select(${value(outside, type)}, ${value(inside, type)}, ${test})`;
    }
    const name = fresh('g');
    line(`var ${name}: ${type};`);
    for (const [opening, side] of [
      [`if (${test}) {`, inside],
      ['} else {', outside],
    ] as const) {
      line(opening, ...within(() => line(`${name} = ${value(side, type)};`)));
    }
    line('}');
    return name;
  };

  const applied = (e: Apply): string => {
    const [x, y, z] = e.operands as readonly [Expression, Expression, Expression];
    const joint = e.operands.map(find).find((t) => t !== undefined) ?? 'f32';
    switch (e.name) {
      case 'lt':
        return `(${operand(x, joint, y)} < ${value(y, joint)})`;
      case 'equal':
        return `(${operand(x, joint, y)} == ${value(y, joint)})`;
      case 'select': {
        const type = typeOf(e);
        return `select(${value(z, type)}, ${value(y, type)}, ${value(x, 'bool')})`;
      }
      case 'convert':
        return converted(e);
      case 'roundToBfloat16':
        return roundedTo('bfloat16', value(x, 'f32'));
      case 'roundToFloat16':
        return roundedTo('float16', value(x, 'f32'));
      case 'nibble':
        return `i32((${value(x, 'u32')} >> u32(4 * ${value(y, 'i32')})) & 15u)`;
      case 'bitsToUniform':
        return `${writer.call('uniformOf')}(${value(x, 'u32')})`;
      default: {
        const print = arithmetic[e.name];
        if (print === undefined) throw new Error(`webgpu: no WGSL for primitive ${e.name}`);
        const texts = e.operands.map((o, i) =>
          i === 0 ? operand(o, joint, ...e.operands.slice(1)) : value(o, joint),
        );
        return print(texts, writer, joint);
      }
    }
  };
  /** The first operand; in a name where all are numbers, for WGSL refuses to fold 1/0. */
  const operand = (e: Expression, type: ValueType, ...others: readonly Expression[]): string =>
    [e, ...others].every((o) => o.kind === 'number') ? constant(value(e, type)) : value(e, type);
  const constant = (text: string): string => {
    const name = fresh('c');
    line(`var ${name} = ${text};`);
    return name;
  };

  const converted = ({ operands, dtype, from }: Apply): string => {
    const [x] = operands as readonly [Expression];
    // What is half precision already is narrowed without loss where it is stored.
    const given = value(x);
    if (isHalf(dtype) && from === 'float') return roundedTo(dtype, given);
    return cast(given, typeOf(x), valueType(dtype));
  };

  const roundedTo = (dtype: HalfPrecision, x: string): string =>
    dtype === 'bfloat16'
      ? `bitcast<f32>(${writer.call('narrowBfloat16')}(${x}) << 16u)`
      : `${writer.call('widenFloat16')}(${writer.call('narrowFloat16')}(${x}), 0)`;

  const fold: FoldPrinter = foldPrinter({ writer, value, typeOf, together });
  return { value, typeOf, positions };
}
