/**
 * Products of matrices in scratch memory, tile by tile. A tile of a few rows and eight columns stays
 * in registers while it sums up; the right operand is packed in panels of eight columns, so that one
 * step reads 32 neighbouring bytes of it.
 */
import type { Code } from '../encoding.js';
import { f32x4, get, i32, repeatWhile, set, v128 } from '../instructions.js';
import type { Local } from '../writer.js';
import { loopOver, PANEL, PANEL_BYTES, placed, type Stage } from './stage.js';

/** Where the elements of an operand lie: bytes from one to the next along each index. */
interface Left {
  readonly base: Local;
  /** From row to row of the result. */
  readonly row: number;
  /** From term to term of the sums. */
  readonly term: number;
}

export interface PanelProduct {
  readonly left: Left;
  readonly right: { readonly base: Local /** Bytes of a panel. */; readonly panel: number };
  readonly out: {
    readonly base: Local;
    readonly row: number;
    readonly panel: number;
    /** Whether to add to what is there. */
    readonly accumulate: boolean;
  };
  /** Rows 0 ≤ i < rows, a multiple of `tile`. */
  readonly rows: Code;
  readonly tile: number;
  readonly panels: Panels;
  /** Terms of each sum, a multiple of `UNROLL`. */
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

/** Terms that are summed up without a look at the counter. */
export const UNROLL = 4;

/** out[i, j] (+)= Σₖ left[i, k] · right[k, j] */
export function emitProduct(stage: Stage, product: PanelProduct): void {
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
  { left, right, out, rows, tile, terms }: PanelProduct,
  column: Local,
  halves: readonly number[],
): void {
  const counts = Array.from({ length: tile }, (_, i) => i);
  const panel = writer.define('i32', placed(right.base, column, right.panel / PANEL));
  const end = writer.define('i32', i32.add(get(panel), i32.mul(terms, i32.const(PANEL_BYTES))));
  const outPanel = writer.define('i32', placed(out.base, column, out.panel / PANEL));
  loopOver(writer, { to: rows, step: tile }, (row) => {
    const a = writer.define('i32', placed(left.base, row, left.row));
    const b = writer.define('i32', get(panel));
    const to = writer.define('i32', placed(outPanel, row, out.row));
    const sums = counts.map((i) =>
      halves.map((half) => {
        const before = v128.load(get(to), i * out.row + 16 * half);
        return writer.define('v128', out.accumulate ? before : f32x4.splat(0));
      }),
    );
    const code = writer.scoped(() => {
      for (let k = 0; k < UNROLL; k++) {
        const columnsOf = halves.map((half) =>
          writer.define('v128', v128.load(get(b), k * PANEL_BYTES + 16 * half)),
        );
        counts.forEach((i) => {
          const x = writer.define('v128', v128.loadSplat(get(a), i * left.row + k * left.term));
          halves.forEach((half) => {
            const sum = sums[i]?.[half] as Local;
            writer.emit(set(sum, scope.madd(get(x), get(columnsOf[half] as Local), get(sum))));
          });
        });
      }
      writer.emit(set(a, i32.add(get(a), i32.const(UNROLL * left.term))));
      writer.emit(set(b, i32.add(get(b), i32.const(UNROLL * PANEL_BYTES))));
    });
    writer.emit(repeatWhile(i32.ltU(get(b), get(end)), code));
    sums.forEach((row, i) => {
      halves.forEach((half) => {
        const sum = row[half] as Local;
        writer.emit(v128.store(get(to), get(sum), i * out.row + 16 * half));
      });
    });
  });
}
