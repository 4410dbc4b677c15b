/**
 * What one kernel computes: an expression per output element, free of arrays' shapes. Backends print
 * it in their own language. The same language serves every code-generating backend.
 */
import type { DType, Var } from '../../autodiff/index.js';
import type { LoopVariable, Position } from './position.js';

export type FoldKind = 'sum' | 'max' | 'argmax';

/** A scalar computation. Shared nodes are shared objects. */
export type Expression =
  /** A number known while compiling. */
  | { readonly kind: 'number'; readonly value: number }
  /** A position as a number (iota). */
  | { readonly kind: 'position'; readonly at: Position }
  /** The element of a buffer at a position. */
  | { readonly kind: 'load'; readonly buffer: Var; readonly at: Position }
  /** The element `row · width + at` of a buffer; 0 where row is outside 0 … rows − 1. */
  | {
      readonly kind: 'gather';
      readonly buffer: Var;
      readonly row: Expression;
      readonly rows: number;
      readonly width: number;
      readonly at: Position;
    }
  /** An elementwise primitive by name. */
  | {
      readonly kind: 'apply';
      readonly name: string;
      readonly operands: readonly Expression[];
      readonly dtype: DType;
      /** Dtype of the first operand, for conversions. */
      readonly from: DType;
    }
  /** `inside` where every position lies in its range (and is a multiple), else `outside`. */
  | {
      readonly kind: 'guard';
      readonly conditions: readonly Condition[];
      readonly inside: Expression;
      readonly outside: Expression;
    }
  /** A loop nest that sums, or finds the greatest element or its index. */
  | {
      readonly kind: 'fold';
      readonly fold: FoldKind;
      readonly loops: readonly LoopVariable[];
      readonly body: Expression;
    }
  /** The random word at `at` of the stream of a key, whose two words are given. */
  | { readonly kind: 'randomWord'; readonly key: KeyWords; readonly at: Position }
  /** The standard normal number at `at` of the stream of a key. */
  | { readonly kind: 'randomNormal'; readonly key: KeyWords; readonly at: Position }
  /** Word `word` (0 or 1) of Threefry(key, (purpose, data)). */
  | {
      readonly kind: 'derivedWord';
      readonly key: KeyWords;
      readonly purpose: number;
      readonly data: Expression;
      readonly word: Position;
    };

/** The two words of a key, as expressions of dtype uint. */
export type KeyWords = readonly [Expression, Expression];

/** low ≤ at < high, and at − low a multiple of `step`. */
export interface Condition {
  readonly at: Position;
  readonly low: number;
  readonly high: number;
  readonly step: number;
}

/** One launch: fills `output`, element by element. */
export interface Kernel {
  readonly output: Var;
  /** Loop variables of the output, outermost first; their product is its size. */
  readonly axes: readonly LoopVariable[];
  readonly body: Expression;
  /** Buffers that it reads, each once. */
  readonly reads: readonly Var[];
}

export const number = (value: number): Expression => ({ kind: 'number', value });

/** The parts of an expression. */
export function parts(e: Expression): readonly Expression[] {
  switch (e.kind) {
    case 'gather':
      return [e.row];
    case 'apply':
      return e.operands;
    case 'guard':
      return [e.inside, e.outside];
    case 'fold':
      return [e.body];
    case 'randomWord':
    case 'randomNormal':
      return e.key;
    case 'derivedWord':
      return [...e.key, e.data];
    default:
      return [];
  }
}

/** An expression and everything below it, each node once, in order of first use. */
export function nodesOf(body: Expression): readonly Expression[] {
  const seen = new Set<Expression>();
  const visit = (e: Expression) => {
    if (seen.has(e)) return;
    seen.add(e);
    parts(e).forEach(visit);
  };
  visit(body);
  return [...seen];
}

/** The buffers that an expression reads, each once, in order of first use. */
export function buffersOf(body: Expression): Var[] {
  const found = new Map<number, Var>();
  for (const e of nodesOf(body)) {
    if (e.kind === 'load' || e.kind === 'gather') found.set(e.buffer.id, e.buffer);
  }
  return [...found.values()];
}

/** The positions of one node. */
export function ownPositions(e: Expression): readonly Position[] {
  switch (e.kind) {
    case 'load':
    case 'gather':
    case 'position':
    case 'randomWord':
    case 'randomNormal':
      return [e.at];
    case 'derivedWord':
      return [e.word];
    case 'guard':
      return e.conditions.map((c) => c.at);
    default:
      return [];
  }
}

/** Every position that an expression uses. */
export const positionsOf = (body: Expression): readonly Position[] =>
  nodesOf(body).flatMap(ownPositions);
