/** The types of expressions, and numbers as WGSL. */
import type { DType } from '../../../autodiff/index.js';
import type { Expression } from '../../plan/expression.js';
import type { Writer } from './writer.js';

/** What a value is inside a kernel; arrays of half precision are widened where they are read. */
export type ValueType = 'f32' | 'i32' | 'u32' | 'bool';

export function valueType(dtype: DType): ValueType {
  switch (dtype) {
    case 'int':
      return 'i32';
    case 'uint':
      return 'u32';
    case 'bool':
      return 'bool';
    default:
      return 'f32';
  }
}

/** Finds the types of expressions, from the leaves up; `undefined` for a bare number. */
export function typeFinder(): (e: Expression) => ValueType | undefined {
  const known = new Map<Expression, ValueType | undefined>();
  const find = (e: Expression): ValueType | undefined => {
    if (!known.has(e)) known.set(e, make(e));
    return known.get(e);
  };
  const firstOf = (operands: readonly Expression[]) =>
    operands.map(find).find((type) => type !== undefined);
  const make = (e: Expression): ValueType | undefined => {
    switch (e.kind) {
      case 'number':
        return undefined;
      case 'position':
        return 'i32';
      case 'load':
      case 'gather':
        return valueType(e.buffer.dtype);
      case 'guard':
        return firstOf([e.inside, e.outside]);
      case 'fold':
        return e.fold === 'argmax' ? 'i32' : find(e.body);
      case 'randomNormal':
        return 'f32';
      case 'randomWord':
      case 'derivedWord':
        return 'u32';
      case 'apply':
        if (e.name === 'lt' || e.name === 'equal') return 'bool';
        if (e.name === 'nibble') return 'i32';
        if (e.name === 'select') return firstOf(e.operands.slice(1));
        if (e.name === 'convert') return valueType(e.dtype);
        if (e.name.startsWith('bitsTo')) return 'f32';
        return firstOf(e.operands);
    }
  };
  return find;
}

/** A float literal, or how ∞ and NaN are made; numbers below 2⁻¹²⁶ are zero. */
function floatSource(value: number, writer: Writer): string {
  const rounded = Math.fround(value);
  if (Number.isNaN(rounded)) return `${writer.call('nan')}()`;
  if (!Number.isFinite(rounded)) return `${rounded < 0 ? '-' : ''}${writer.call('infinity')}()`;
  if (Math.abs(rounded) < 2 ** -126) return Object.is(rounded, -0) ? '-0.0' : '0.0';
  const text = String(rounded);
  return /[.e]/.test(text) ? `${text}f` : `${text}.0`;
}

/** A number known while compiling, as a value of a type. */
export function numberSource(value: number, type: ValueType, writer: Writer): string {
  switch (type) {
    case 'f32':
      return floatSource(value, writer);
    case 'i32':
      return `i32(${Number.isFinite(value) ? Math.trunc(value) | 0 : 0})`;
    case 'u32':
      return `${value >>> 0}u`;
    case 'bool':
      return value ? 'true' : 'false';
  }
}

/** A value of one type as another. */
export const cast = (text: string, from: ValueType, to: ValueType): string =>
  from === to ? text : to === 'bool' ? `(${text} != ${from}(0))` : `${to}(${text})`;
