/**
 * How a product is cut into tiles and shared by threads.
 *
 * Panels are strips of an operand in the order in which the micro-kernel reads them: a few rows of lhs
 * (or `TILE_COLUMNS` columns of rhs), term after term. A block of lhs's panels stays in the
 * second-level cache while all panels of rhs pass it; one panel of rhs stays in the first.
 */
import type { Expression, Kernel } from '../../plan/expression.js';
import { positionsOf } from '../../plan/expression.js';
import { mapPositions, mergeLoops } from '../../plan/merge.js';
import { flatten, type LoopVariable, ofAtom, type Position } from '../../plan/position.js';
import { type Product, type ProductKernel, productKernelOf } from '../../plan/product.js';
import { TILE_COLUMNS, tileRows } from './microKernel.js';

/** Bytes of lhs that shall stay in the second-level cache. */
const BLOCK_BYTES = 384 * 1024;
/** Bytes of rhs that are packed at a time where threads share it. */
const PART_BYTES = 512 * 1024;
/** Terms that are written past the end of a panel when its last step is ragged. */
const SLACK = 8;

/** One sum of products with its panels' sizes in bytes. */
export interface TiledProduct extends Product {
  readonly terms: number;
  readonly lhsPanelBytes: number;
  readonly rhsPanelBytes: number;
}

export interface Tiling {
  readonly body: Expression;
  /** The output's element. */
  readonly at: Position;
  readonly products: readonly TiledProduct[];
  readonly batch: readonly LoopVariable[];
  readonly rows: readonly LoopVariable[];
  /** Where there are several, the last one's size is a multiple of `TILE_COLUMNS`. */
  readonly columns: readonly LoopVariable[];
  readonly batchSize: number;
  readonly rowCount: number;
  readonly columnCount: number;
  /** Rows of a tile. */
  readonly tileRows: number;
  readonly rowPanels: number;
  readonly columnPanels: number;
  /** Row panels of a block. */
  readonly blockPanels: number;
  /** Panels of rhs that are packed at a time. */
  readonly partPanels: number;
  /** What the threads share out: whole products, rows (with one packed rhs for all), or columns. */
  readonly split: 'batch' | 'rows' | 'columns';
}

const countOf = (loops: readonly LoopVariable[]): number => loops.reduce((n, v) => n * v.size, 1);

/** From so many products on, each thread does whole ones. */
const MANY_PRODUCTS = 8;
/** Fewer row panels than this leave threads idle where there are more columns. */
const FEW_PANELS = 8;

/** Products so small that packing would cost more than it saves. */
const isTiny = ({ rows, columns }: ProductKernel): boolean =>
  countOf(rows) < 2 || countOf(columns) < 4;

/** The tiling of a kernel that is a product of matrices, else `undefined`. */
export function tilingOf(kernel: Kernel, relaxed: boolean): Tiling | undefined {
  const found = productKernelOf(kernel);
  if (found === undefined || isTiny(found)) return undefined;
  const flat = flatten(
    kernel.axes.map((v) => v.size),
    kernel.axes.map(ofAtom),
  );
  // Neighbours along a tile's columns shall be neighbours in memory.
  const last = kernel.axes.filter((v) => v.size > 1).at(-1);
  const turned = found.rows.some((v) => v.name === last?.name);
  const sides = turned
    ? {
        rows: found.columns,
        columns: found.rows,
        products: found.products.map((p) => ({ ...p, lhs: p.rhs, rhs: p.lhs })),
      }
    : found;
  const positions = [...positionsOf(kernel.body), flat];
  const rows = mergeLoops(sides.rows, positions);
  const afterRows = positions.map(rows.replace);
  const columns = mergeLoops(sides.columns, afterRows);
  const afterColumns = afterRows.map(columns.replace);
  const batch = mergeLoops(found.batch, afterColumns);
  const replace = (p: Position) => batch.replace(columns.replace(rows.replace(p)));
  const known = new Map<Expression, Expression>();
  const body = mapPositions(kernel.body, replace, known);

  const straddles =
    columns.loops.length > 1 && (columns.loops.at(-1) as LoopVariable).size % TILE_COLUMNS !== 0;
  const columnLoops = straddles ? columns.loops.slice(-1) : columns.loops;
  const batchLoops = straddles ? [...batch.loops, ...columns.loops.slice(0, -1)] : batch.loops;
  const [rowCount, columnCount] = [countOf(rows.loops), countOf(columnLoops)];
  const height = tileHeight(rowCount, relaxed);
  const rowPanels = Math.ceil(rowCount / height);
  const columnPanels = Math.ceil(columnCount / TILE_COLUMNS);
  const products = sides.products.map((p): TiledProduct => {
    const fold = known.get(p.fold) as Product['fold'];
    const [lhs, rhs] = [known.get(p.lhs) as Expression, known.get(p.rhs) as Expression];
    const inner = mergeLoops(fold.loops, [...positionsOf(lhs), ...positionsOf(rhs)]);
    const terms = countOf(inner.loops);
    return {
      fold,
      contracted: inner.loops,
      lhs: mapPositions(lhs, inner.replace),
      rhs: mapPositions(rhs, inner.replace),
      terms,
      lhsPanelBytes: 4 * height * (terms + SLACK),
      rhsPanelBytes: 4 * TILE_COLUMNS * (terms + SLACK),
    };
  });
  const batchSize = countOf(batchLoops);
  const split =
    batchSize >= MANY_PRODUCTS
      ? 'batch'
      : rowPanels < FEW_PANELS && columnPanels > rowPanels
        ? 'columns'
        : 'rows';
  const lhsBytes = products.reduce((n, p) => n + p.lhsPanelBytes, 0);
  const rhsBytes = products.reduce((n, p) => n + p.rhsPanelBytes, 0);
  const fitting = (bytes: number, each: number, most: number): number =>
    Math.max(1, Math.min(most, Math.floor(bytes / each)));
  return {
    body,
    at: replace(flat),
    products,
    batch: batchLoops,
    rows: rows.loops,
    columns: columnLoops,
    batchSize,
    rowCount,
    columnCount,
    tileRows: height,
    rowPanels,
    columnPanels,
    blockPanels: split === 'columns' ? rowPanels : fitting(BLOCK_BYTES, lhsBytes, rowPanels),
    partPanels: {
      batch: columnPanels,
      columns: 1,
      rows: fitting(PART_BYTES, rhsBytes * batchSize, columnPanels),
    }[split],
    split,
  };
}

/** The tile height that wastes least, the fastest among equals. */
const tileHeight = (rows: number, relaxed: boolean): number =>
  tileRows(relaxed).reduce((best, height) =>
    Math.ceil(rows / height) * height < Math.ceil(rows / best) * best ? height : best,
  );
