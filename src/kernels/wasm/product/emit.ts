/**
 * Kernels that are products of matrices: pack panels of both operands, sum up tiles, and finish each
 * tile (the epilogue) while it is in the first-level cache.
 */
import type { Expression, Kernel } from '../../plan/expression.js';
import type { LoopVariable, Position } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { emitFold, vectorOver } from '../folds.js';
import { beginFunction, type FunctionOptions, share } from '../functions.js';
import { call, get, i32, repeatWhile, set, v128, when } from '../instructions.js';
import { bytesOf } from '../loads.js';
import type { KernelCode } from '../program.js';
import { storeRow } from '../stores.js';
import { createValues } from '../values.js';
import type { Local, Writer } from '../writer.js';
import { TILE_COLUMNS } from './microKernel.js';
import { bindParts, emitPack, type Panel } from './pack.js';
import { type TiledProduct, type Tiling, tilingOf } from './tiling.js';

export interface ProductOptions extends FunctionOptions {
  /** Index of the micro-kernel's function by the rows of its tiles. */
  readonly microKernels: ReadonlyMap<number, number>;
}

const TILE_STRIDE = 4 * TILE_COLUMNS;

/** Where panels lie: byte offsets in the private and the shared scratch. */
interface Layout {
  readonly lhs: readonly number[];
  readonly rhs: readonly number[];
  readonly tiles: readonly number[];
  readonly privateBytes: number;
  readonly sharedBytes: number;
}

function layoutOf({
  products,
  blockPanels,
  columnPanels,
  batchSize,
  tileRows,
  split,
}: Tiling): Layout {
  const place = (sizes: readonly number[], start: number) => {
    let at = start;
    return {
      offsets: sizes.map((size) => {
        const here = at;
        at += Math.ceil(size / 64) * 64;
        return here;
      }),
      end: () => at,
    };
  };
  const tiles = place(
    products.map(() => tileRows * TILE_STRIDE),
    0,
  );
  const lhs = place(
    products.map((p) => p.lhsPanelBytes * blockPanels),
    tiles.end(),
  );
  const perBatch = products.map((p) => p.rhsPanelBytes * columnPanels);
  const isPrivate = split === 'batch';
  const rhs = place(
    isPrivate ? perBatch : perBatch.map((n) => n * batchSize),
    isPrivate ? lhs.end() : 0,
  );
  return {
    tiles: tiles.offsets,
    lhs: lhs.offsets,
    rhs: rhs.offsets,
    privateBytes: isPrivate ? rhs.end() : lhs.end(),
    sharedBytes: isPrivate ? 0 : rhs.end(),
  };
}

/** Counts a fresh local from `from` up to `to`, `step` at a time. */
function count(
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

const lhsPanel = (t: Tiling, p: TiledProduct): Panel => ({
  operand: p.lhs,
  contracted: p.contracted,
  across: t.rows,
  width: t.tileRows,
  count: t.rowCount,
});

const rhsPanel = (t: Tiling, p: TiledProduct): Panel => ({
  operand: p.rhs,
  contracted: p.contracted,
  across: t.columns,
  width: TILE_COLUMNS,
  count: t.columnCount,
});

/** Whether tiles can be summed up where they belong: nothing to finish, rows evenly spaced. */
function directStride({ body, at, products, rows, columns }: Tiling): number | undefined {
  const [row] = rows;
  const [column] = columns.slice(-1);
  if (body !== products[0]?.fold || rows.length !== 1 || row === undefined) return undefined;
  const coefficient = (v: LoopVariable | undefined, p: Position) =>
    p.terms.find((t) => t.atom.kind === 'loop' && t.atom.name === v?.name)?.coefficient;
  const isPlain = at.terms.every((t) => t.atom.kind === 'loop');
  return isPlain && coefficient(column, at) === 1 ? coefficient(row, at) : undefined;
}

/** The code of a kernel that is a product of matrices, else `undefined`. */
export function emitProduct(kernel: Kernel, options: ProductOptions): KernelCode | undefined {
  const tiling = tilingOf(kernel, options.relaxed);
  if (tiling === undefined) return undefined;
  const layout = layoutOf(tiling);
  const packing =
    tiling.split === 'rows'
      ? [{ name: 'product: pack', function: emitPacking(kernel, tiling, layout, options) }]
      : [];
  const sums = { name: 'product', function: emitTiles(kernel, tiling, layout, options) };
  return {
    steps: [...packing, sums],
    scratchBytes: layout.privateBytes,
    sharedBytes: layout.sharedBytes,
  };
}

/** The step in which all threads pack rhs for all. */
function emitPacking(kernel: Kernel, tiling: Tiling, layout: Layout, options: ProductOptions) {
  const { writer, nest, context, thread, threads, shared } = beginFunction(kernel, options);
  const value = createValues({
    ...context,
    given: () => undefined,
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const { batch, batchSize, columnPanels, products } = tiling;
  const mine = share(writer, thread, threads, batchSize * columnPanels, 1);
  count(writer, get(mine.from), get(mine.to), 1, (panel) => {
    const [number, inBatch] = [
      writer.define('i32', i32.divU(get(panel), i32.const(columnPanels))),
      writer.define('i32', i32.remU(get(panel), i32.const(columnPanels))),
    ];
    bindParts(nest, batch, number);
    const first = writer.define('i32', i32.mul(get(inBatch), i32.const(TILE_COLUMNS)));
    products.forEach((p, i) => {
      const offset = i32.add(
        i32.const(layout.rhs[i] as number),
        i32.mul(get(panel), i32.const(p.rhsPanelBytes)),
      );
      const target = writer.define('i32', i32.add(get(shared), offset));
      emitPack(nest, value, rhsPanel(tiling, p), first, target);
    });
    batch.forEach(nest.unbind);
  });
  return writer.finish();
}

/** The step that packs lhs, sums up and finishes tiles. */
function emitTiles(kernel: Kernel, tiling: Tiling, layout: Layout, options: ProductOptions) {
  const { output } = kernel;
  const { batch, batchSize, rowPanels, columnPanels, blockPanels, products, split } = tiling;
  const { rowCount, columnCount, tileRows, columns, rows } = tiling;
  const begun = beginFunction(kernel, options);
  const { writer, nest, context, thread, threads, scratch, shared, pointerOf } = begun;
  const folds = new Map<Expression, number>(products.map((p, i) => [p.fold, i]));
  // The row of the tile that is being finished: its offset in bytes.
  let tileRow: Local | undefined;
  const value = createValues({
    ...context,
    given: (e) => {
      const i = folds.get(e);
      if (i === undefined || tileRow === undefined) return undefined;
      const row = tileRow;
      return writer.once(`sums ${i}`, writer.innermost(), () =>
        [0, 1].map((u) => {
          const address = i32.add(get(scratch), get(row));
          return writer.define('v128', v128.load(address, (layout.tiles[i] as number) + 16 * u));
        }),
      );
    },
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const whole = (size: number) => ({ from: i32.const(0), to: i32.const(size) });
  const part = (size: number) => {
    const { from, to } = share(writer, thread, threads, size, 1);
    return { from: get(from), to: get(to) };
  };
  const batches = split === 'batch' ? part(batchSize) : whole(batchSize);
  const rowRange = split === 'rows' ? part(rowPanels) : whole(rowPanels);
  const columnRange = split === 'columns' ? part(columnPanels) : whole(columnPanels);
  const stride = directStride(tiling);
  const micro = options.microKernels.get(tileRows) as number;
  const element = bytesOf(output.dtype);

  count(writer, batches.from, batches.to, 1, (number) => {
    bindParts(nest, batch, number);
    const rhsBase = products.map((p, i) => {
      const start = i32.add(
        get(split === 'batch' ? scratch : shared),
        i32.const(layout.rhs[i] as number),
      );
      const bytes = p.rhsPanelBytes * columnPanels;
      return writer.define(
        'i32',
        split === 'batch' ? start : i32.add(start, i32.mul(get(number), i32.const(bytes))),
      );
    });
    const panelOf = (base: Local, index: Local, bytes: number) =>
      writer.define('i32', i32.add(get(base), i32.mul(get(index), i32.const(bytes))));
    if (split !== 'rows') {
      count(writer, columnRange.from, columnRange.to, 1, (panel) => {
        const first = writer.define('i32', i32.mul(get(panel), i32.const(TILE_COLUMNS)));
        products.forEach((p, i) => {
          const target = panelOf(rhsBase[i] as Local, panel, p.rhsPanelBytes);
          emitPack(nest, value, rhsPanel(tiling, p), first, target);
        });
      });
    }
    const lhsBase = products.map((_, i) =>
      writer.define('i32', i32.add(get(scratch), i32.const(layout.lhs[i] as number))),
    );
    count(writer, rowRange.from, rowRange.to, blockPanels, (block) => {
      const above = writer.define('i32', i32.add(get(block), i32.const(blockPanels)));
      const end = writer.define(
        'i32',
        i32.select(get(above), rowRange.to, i32.ltS(get(above), rowRange.to)),
      );
      count(writer, get(block), get(end), 1, (panel) => {
        const first = writer.define('i32', i32.mul(get(panel), i32.const(tileRows)));
        const inBlock = writer.define('i32', i32.sub(get(panel), get(block)));
        products.forEach((p, i) => {
          const target = panelOf(lhsBase[i] as Local, inBlock, p.lhsPanelBytes);
          emitPack(nest, value, lhsPanel(tiling, p), first, target);
        });
      });
      count(writer, columnRange.from, columnRange.to, 1, (columnPanel) => {
        const rhs = products.map((p, i) =>
          panelOf(rhsBase[i] as Local, columnPanel, p.rhsPanelBytes),
        );
        const firstColumn = writer.define(
          'i32',
          i32.mul(get(columnPanel), i32.const(TILE_COLUMNS)),
        );
        bindParts(nest, columns, firstColumn);
        count(writer, get(block), get(end), 1, (rowPanel) => {
          const inBlock = writer.define('i32', i32.sub(get(rowPanel), get(block)));
          const firstRow = writer.define('i32', i32.mul(get(rowPanel), i32.const(tileRows)));
          const sumUp = (target: (i: number) => Code, bytes: number): Code =>
            products.flatMap((p, i) =>
              call(micro, [
                i32.add(
                  get(lhsBase[i] as Local),
                  i32.mul(get(inBlock), i32.const(p.lhsPanelBytes)),
                ),
                get(rhs[i] as Local),
                i32.const(p.terms),
                target(i),
                i32.const(bytes),
              ]),
            );
          const finish = writer.scoped(() => {
            writer.emit(
              sumUp(
                (i) => i32.add(get(scratch), i32.const(layout.tiles[i] as number)),
                TILE_STRIDE,
              ),
            );
            const left = writer.define('i32', i32.sub(i32.const(rowCount), get(firstRow)));
            const limit = i32.const(tileRows);
            const filled = writer.define(
              'i32',
              i32.select(get(left), limit, i32.ltS(get(left), limit)),
            );
            count(writer, i32.const(0), get(filled), 1, (row) => {
              const index = writer.define('i32', i32.add(get(firstRow), get(row)));
              tileRow = writer.define('i32', i32.mul(get(row), i32.const(TILE_STRIDE)));
              bindParts(nest, rows, index);
              emitRow(firstColumn);
              rows.forEach(nest.unbind);
              tileRow = undefined;
            });
          });
          if (stride === undefined) {
            writer.emit(finish);
            return;
          }
          bindParts(nest, rows, firstRow);
          const target = nest.address(pointerOf(output), tiling.at, element);
          rows.forEach(nest.unbind);
          const isWhole = i32.and(
            i32.leS(i32.add(get(firstRow), i32.const(tileRows)), i32.const(rowCount)),
            i32.leS(i32.add(get(firstColumn), i32.const(TILE_COLUMNS)), i32.const(columnCount)),
          );
          writer.emit(
            when(
              isWhole,
              sumUp(() => get(target), 4 * stride),
              finish,
            ),
          );
        });
        columns.forEach(nest.unbind);
      });
    });
    batch.forEach(nest.unbind);
  });

  /** Finishes a row of the tile: the epilogue for its columns. */
  function emitRow(firstColumn: Local): void {
    const last = columns.at(-1) as LoopVariable;
    const vector = {
      ...vectorOver(last),
      width: TILE_COLUMNS as 8,
      ragged: last.size % TILE_COLUMNS !== 0,
    };
    nest.withVector(vector, () => {
      const lanes = value(tiling.body, output.dtype);
      const pointer = pointerOf(output);
      const contiguous = nest.stride(tiling.at) === 1;
      if (contiguous) {
        const address = nest.address(pointer, tiling.at, element);
        storeRow(writer, address, lanes, output.dtype, vector, firstColumn);
        return;
      }
      for (let lane = 0; lane < TILE_COLUMNS; lane++) {
        const address = nest.address(pointer, tiling.at, element, lane);
        const [whole, at] = [lanes[Math.min(lane >> 2, lanes.length - 1)] as Local, lane & 3];
        const store = v128.storeLane(get(address), get(whole), at);
        const isThere = i32.ltS(i32.add(get(firstColumn), i32.const(lane)), i32.const(columnCount));
        writer.emit(vector.ragged ? when(isThere, store) : store);
      }
    });
  }

  return writer.finish();
}
