/** Operands copied into scratch memory in the order in which products read them, and results back. */
import type { Load } from '../../plan/attention.js';
import type { LoopVariable } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { f32x4, get, i32, i32x4, v128 } from '../instructions.js';
import type { VectorVariable } from '../nest.js';
import { storeRow } from '../stores.js';
import type { Local, Writer } from '../writer.js';
import { loopOver, type Matrix, PANEL, placed, type Stage } from './stage.js';

/** Eight neighbouring values of a variable, of which the last may lie outside. */
export const panelOver = (variable: LoopVariable): VectorVariable => ({
  variable,
  width: PANEL,
  ragged: true,
});

/** Masks of the lanes whose number, counted from `first`, is below `end`; one mask a vector. */
export const lanesBelow = (writer: Writer, first: Local, end: Code): readonly Code[] =>
  [0, 4].map((lane) => {
    const numbers = i32x4.add(
      i32x4.splat(get(first)),
      v128.words([lane, lane + 1, lane + 2, lane + 3]),
    );
    return i32x4.ltS(numbers, get(writer.define('v128', i32x4.splat(end))));
  });

/** An index of an operand that runs along rows or columns of a copy: from which value on, how far. */
export interface Side {
  readonly variable: LoopVariable;
  readonly from?: Local;
  readonly count?: Local;
}

/** Copies an operand times a factor. Columns beyond the variable's size are 0, up to a panel's end. */
export function emitPack(
  { writer, nest, load, bound }: Stage,
  { buffer, at }: Load,
  to: Matrix,
  rows: Side,
  columns: Side,
  factor = 1,
): void {
  const countOf = ({ variable, count }: Side): Code =>
    count === undefined ? i32.const(variable.size) : get(count);
  const startOf = ({ from }: Side, counter: Local): Local =>
    from === undefined ? counter : writer.define('i32', i32.add(get(from), get(counter)));
  loopOver(writer, { to: countOf(columns), step: PANEL }, (column) => {
    const panel = writer.define('i32', placed(to.base, column, to.panel / PANEL));
    const first = startOf(columns, column);
    const masks = lanesBelow(writer, first, i32.const(columns.variable.size)).map((mask) =>
      writer.define('v128', mask),
    );
    bound([[columns.variable, first]], () => {
      loopOver(writer, { to: countOf(rows), step: 1 }, (row) => {
        bound([[rows.variable, startOf(rows, row)]], () => {
          const elements = nest.withVector(panelOver(columns.variable), () => load(buffer, at));
          const address = writer.define('i32', placed(panel, row, to.row));
          masks.forEach((mask, u) => {
            const element = get(elements[elements.length === 1 ? 0 : u] as Local);
            const scaled = factor === 1 ? element : f32x4.mul(element, f32x4.splat(factor));
            writer.emit(v128.store(get(address), v128.and(scaled, get(mask)), 16 * u));
          });
        });
      });
    });
  });
}

/**
 * Copies the first rows of a matrix to an output whose rows are as long as `axis`.
 * @param before rows of the output before the first.
 * @param finish what is done to each vector of a row's elements.
 */
export function emitRowsOut(
  { writer }: Stage,
  matrix: Matrix,
  {
    output,
    before,
    count,
  }: { readonly output: Local; readonly before: Local; readonly count: Code },
  axis: LoopVariable,
  finish: (row: Local) => (x: Code) => Code = () => (x) => x,
): void {
  const vector = { ...panelOver(axis), ragged: axis.size % PANEL !== 0 };
  loopOver(writer, { to: count, step: 1 }, (row) => {
    const source = writer.define('i32', placed(matrix.base, row, matrix.row));
    const place = writer.define('i32', i32.add(get(before), get(row)));
    const target = writer.define('i32', placed(output, place, 4 * axis.size));
    const finished = finish(row);
    loopOver(writer, { to: i32.const(axis.size), step: PANEL }, (column) => {
      const from = writer.define('i32', placed(source, column, matrix.panel / PANEL));
      const lanes = [0, 16].map((offset) =>
        writer.define('v128', finished(v128.load(get(from), offset))),
      );
      const to = writer.define('i32', placed(target, column, 4));
      storeRow(writer, to, lanes, 'float', vector, column);
    });
  });
}
