/**
 * Products of matrices in scratch memory, tile by tile. A tile of a few rows and eight columns stays
 * in registers while it sums up; the right operand is packed in panels of eight columns, so that one
 * step reads 32 neighbouring bytes of it.
 *
 * Each row of a tile ends a basic block with a branch that is never taken, and a turn of the loop is
 * one term: V8 moves the loads of a block to its beginning, and has no registers for so many. Measured
 * on one core, attention over 1,024 positions: 57 GFLOP/s; 36 with four terms a turn.
 */
import type { Code } from '../encoding.js';
import { block, breakIf, f32x4, get, i32, repeatWhile, set, v128 } from '../instructions.js';
import type { Local } from '../writer.js';
import { loopOver, type Matrix, PANEL, PANEL_BYTES, placed, type Stage } from './stage.js';

export interface Product {
  readonly left: Matrix;
  /** Whether the left operand's columns count as its rows. */
  readonly transposed?: boolean;
  /** In panels. */
  readonly right: Matrix;
  readonly out: Matrix;
  /** Whether to add to what is there. */
  readonly accumulate?: boolean;
  /** Rows 0 ≤ i < rows, a multiple of `tile`. */
  readonly rows: Code;
  readonly tile: number;
  readonly panels: Panels;
  /** Terms of each sum; at least one. */
  readonly terms: Code;
}

/** Columns 0 ≤ j < columns, a multiple of eight, and perhaps four more. */
export interface Panels {
  readonly columns: Code;
  readonly half: boolean;
}

/** The panels of so many columns. */
export const panelsOf = (columns: number): Panels => {
  const vectors = Math.ceil(columns / 4);
  return { columns: i32.const(4 * (vectors - (vectors % 2))), half: vectors % 2 === 1 };
};

/** out[i, j] (+)= Σₖ left[i, k] · right[k, j] */
export function emitProduct(stage: Stage, product: Product): void {
  const { writer } = stage;
  const { columns, half } = product.panels;
  loopOver(writer, { to: columns, step: PANEL }, (column) => {
    emitPanel(stage, product, column, [0, 1]);
  });
  if (half) emitPanel(stage, product, writer.define('i32', columns), [0]);
}

/** The part of a product in one panel, of which some vectors count. */
function emitPanel(
  { writer, scope }: Stage,
  { left, transposed, right, out, accumulate, rows, tile, terms }: Product,
  column: Local,
  halves: readonly number[],
): void {
  // Bytes of the left operand from row to row, and from term to term.
  const [leftRow, leftTerm] = transposed ? [4, left.row] : [left.row, 4];
  const counts = Array.from({ length: tile }, (_, i) => i);
  const panel = writer.define('i32', placed(right.base, column, right.panel / PANEL));
  const end = writer.define('i32', i32.add(get(panel), i32.mul(terms, i32.const(PANEL_BYTES))));
  // Odd, which no address is.
  const never = writer.define('i32', i32.add(get(end), i32.const(1)));
  const outPanel = writer.define('i32', placed(out.base, column, out.panel / PANEL));
  loopOver(writer, { to: rows, step: tile }, (row) => {
    const a = writer.define('i32', placed(left.base, row, leftRow));
    const b = writer.define('i32', get(panel));
    const to = writer.define('i32', placed(outPanel, row, out.row));
    const sums = counts.map((i) =>
      halves.map((half) => {
        const before = v128.load(get(to), i * out.row + 16 * half);
        return writer.define('v128', accumulate ? before : f32x4.splat(0));
      }),
    );
    const code = writer.scoped(() => {
      const factors = halves.map((half) => writer.define('v128', v128.load(get(b), 16 * half)));
      counts.forEach((i) => {
        const x = writer.define('v128', v128.loadSplat(get(a), i * leftRow));
        halves.forEach((half) => {
          const sum = sums[i]?.[half] as Local;
          writer.emit(set(sum, scope.madd(get(x), get(factors[half] as Local), get(sum))));
        });
        const odd = i32.add(get(never), i32.const(2 * i));
        if (i < tile - 1) writer.emit(breakIf(i32.eq(get(b), odd), 1));
      });
      writer.emit(set(a, i32.add(get(a), i32.const(leftTerm))));
      writer.emit(set(b, i32.add(get(b), i32.const(PANEL_BYTES))));
    });
    writer.emit(block(repeatWhile(i32.ltU(get(b), get(end)), code)));
    sums.forEach((row, i) => {
      halves.forEach((half) => {
        const sum = row[half] as Local;
        writer.emit(v128.store(get(to), get(sum), i * out.row + 16 * half));
      });
    });
  });
}
