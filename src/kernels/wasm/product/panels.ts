/** Panels of operands, and the loops and bindings that products are made of. */
import type { Expression } from '../../plan/expression.js';
import type { LoopVariable } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { get, i32, repeatWhile, set, when } from '../instructions.js';
import type { Nest } from '../nest.js';
import type { Local, Writer } from '../writer.js';
import { TILE_COLUMNS } from './microKernel.js';
import type { TiledProduct, Tiling } from './tiling.js';

export interface Panel {
  readonly operand: Expression;
  readonly contracted: readonly LoopVariable[];
  /** The loops across the panel, rows of lhs or columns of rhs, outermost first. */
  readonly across: readonly LoopVariable[];
  /** Elements across. */
  readonly width: number;
  readonly count: number;
}

export const lhsPanel = (t: Tiling, p: TiledProduct): Panel => ({
  operand: p.lhs,
  contracted: p.contracted,
  across: t.rows,
  width: t.tileRows,
  count: t.rowCount,
});

export const rhsPanel = (t: Tiling, p: TiledProduct): Panel => ({
  operand: p.rhs,
  contracted: p.contracted,
  across: t.columns,
  width: TILE_COLUMNS,
  count: t.columnCount,
});

/** Counts a fresh local from `from` up to `to`, `step` at a time. */
export function count(
  writer: Writer,
  from: Code,
  to: Code,
  step: number,
  body: (at: Local) => void,
): void {
  const at = writer.define('i32', from);
  const code = writer.scoped(() => {
    body(at);
    writer.emit(set(at, i32.add(get(at), i32.const(step))));
  });
  const more = i32.ltS(get(at), to);
  writer.emit(when(more, repeatWhile(more, code)));
}

/** Binds loops to the parts of a running number; returns how to forget them. */
export function bindParts(nest: Nest, loops: readonly LoopVariable[], number: Local): void {
  const { writer } = nest;
  let below = loops.reduce((n, v) => n * v.size, 1);
  loops.forEach((v, i) => {
    below /= v.size;
    const quotient = below === 1 ? get(number) : i32.divU(get(number), i32.const(below));
    const own = i === 0 ? quotient : i32.remU(quotient, i32.const(v.size));
    nest.bind(v, writer.define('i32', own));
  });
}
