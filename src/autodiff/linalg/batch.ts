/** What the functions of this folder share: stacks of matrices with one leading axis, and scales. */
import { type Shape, showShape, sizeOf } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import type { Value } from '../core/value.js';
import { abs, convert, equal, max, mul, select } from '../primitives/elementwise.js';
import { reduceMax, reduceSum } from '../primitives/reduce.js';
import { iota, lift, type Operand } from '../primitives/source.js';
import { reshape } from '../primitives/structural.js';

/** Matrices [b…, m, n] as one stack [L, m, n], and the way back for results [L, …]. */
export interface Stack {
  readonly matrices: Value;
  readonly count: number;
  readonly rows: number;
  readonly columns: number;
  /** A result of the stack, [L, rest…], with the leading axes that were given. */
  readonly restore: (result: Value) => Value;
}

/** The last two axes are the matrices'. */
export function stackOf(name: string, x: Operand): Stack {
  const value = lift(x);
  const { shape } = value;
  if (shape.length < 2 || value.dtype !== 'float') {
    throw new FlatloraError(
      'shape',
      `${name}: operand is ${value.dtype}${showShape(shape)}, expected float matrices [b…,m,n]`,
    );
  }
  const lead: Shape = shape.slice(0, -2);
  const [rows, columns] = shape.slice(-2) as [number, number];
  const count = sizeOf(lead);
  return {
    matrices: reshape(value, [count, rows, columns]),
    count,
    rows,
    columns,
    restore: (result) => reshape(result, [...lead, ...result.shape.slice(1)]),
  };
}

/** A stack of square matrices or a typed error. */
export function squareStackOf(name: string, x: Operand): Stack {
  const stack = stackOf(name, x);
  if (stack.rows !== stack.columns) {
    throw new FlatloraError(
      'shape',
      `${name}: matrices are ${showShape([stack.rows, stack.columns])}, expected square ones`,
    );
  }
  return stack;
}

/** The greatest |element| of each matrix, [L,1,1], or 1 for zero matrices: a scale to divide by. */
export function scaleOf(matrices: Value): Value {
  const greatest = reduceMax(abs(matrices), [1, 2], { keepAxes: true });
  return select(equal(greatest, 0), 1, greatest);
}

/** 1 where row and column numbers are equal, as float[rows, columns]. */
export const identity = (rows: number, columns = rows): Value =>
  convert(equal(iota([rows, columns], 0), iota([rows, columns], 1)), 'float');

/** The diagonals [L, n] of a stack [L, n, n]. */
export const diagonals = (matrices: Value): Value =>
  reduceSum(mul(matrices, identity(matrices.shape[1] as number)), 2);

/** Scales the columns of a stack [L, m, n] by numbers [L, n]. */
export const scaleColumns = (matrices: Value, factors: Value): Value =>
  mul(matrices, reshape(factors, [factors.shape[0] as number, 1, factors.shape[1] as number]));

/** Far below all that a scaled computation in float32 can tell from zero. */
export const TINY = 1e-30;

/** x, or a tiny positive number where it is smaller: a divisor of numbers that vanish with it. */
export const atLeastTiny = (x: Value): Value => max(x, TINY);
