/** The step of a product that packs lhs, sums up tiles, and finishes them. */
import type { Expression, Kernel } from '../../plan/expression.js';
import type { LoopVariable, Position } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { emitFold } from '../folds.js';
import { beginFunction, share } from '../functions.js';
import { call, get, i32, v128, when } from '../instructions.js';
import { bytesOf } from '../loads.js';
import type { VectorVariable } from '../nest.js';
import { storeRow } from '../stores.js';
import { createValues } from '../values.js';
import type { Local } from '../writer.js';
import type { ProductOptions } from './emit.js';
import { type Layout, TILE_STRIDE } from './layout.js';
import { TILE_COLUMNS } from './microKernel.js';
import { emitPack } from './pack.js';
import { bindParts, count, lhsPanel, rhsPanel } from './panels.js';
import type { Tiling } from './tiling.js';

/** Elements between rows where tiles can be summed up in place: nothing to finish, rows evenly spaced. */
function directStride({ body, at, products, rows, columns }: Tiling): number | undefined {
  const [row] = rows;
  if (body !== products[0]?.fold || rows.length !== 1 || row === undefined) return undefined;
  const coefficient = (v: LoopVariable | undefined, p: Position) =>
    p.terms.find((t) => t.atom.kind === 'loop' && t.atom.name === v?.name)?.coefficient;
  const isPlain = at.terms.every((t) => t.atom.kind === 'loop');
  return isPlain && coefficient(columns.at(-1), at) === 1 ? coefficient(row, at) : undefined;
}

/** A range of whole numbers, as code. */
interface Range {
  readonly from: Code;
  readonly to: Code;
}

const whole = (size: number): Range => ({ from: i32.const(0), to: i32.const(size) });

export function emitTiles(kernel: Kernel, tiling: Tiling, layout: Layout, options: ProductOptions) {
  const { output } = kernel;
  const { batch, batchSize, rowPanels, columnPanels, blockPanels, partPanels, split } = tiling;
  const { products, rowCount, columnCount, tileRows, columns, rows } = tiling;
  const begun = beginFunction(kernel, options);
  const { writer, nest, context, thread, threads, scratch, shared, part, pointerOf } = begun;
  const { define } = writer;
  const folds = new Map<Expression, number>(products.map((p, i) => [p.fold, i]));
  /** Byte offset in its tile of the row that is being finished. */
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
          return define('v128', v128.load(address, (layout.tiles[i] as number) + 16 * u));
        }),
      );
    },
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const least = (a: Code, b: Code): Code => i32.select(a, b, i32.ltS(a, b));
  const shareOf = (size: number): Range => {
    const { from, to } = share(writer, thread, threads, size, 1);
    return { from: get(from), to: get(to) };
  };
  const partStart = define('i32', i32.mul(get(part), i32.const(partPanels)));
  const partEnd = define(
    'i32',
    least(i32.add(get(partStart), i32.const(partPanels)), i32.const(columnPanels)),
  );
  const batches = split === 'batch' ? shareOf(batchSize) : whole(batchSize);
  const rowRange = split === 'rows' ? shareOf(rowPanels) : whole(rowPanels);
  const columnRange =
    split === 'columns' ? shareOf(columnPanels) : { from: get(partStart), to: get(partEnd) };
  const stride = directStride(tiling);
  const micro = options.microKernels.get(tileRows) as number;
  const element = bytesOf(output.dtype);
  const times = (x: Local, factor: number): Code => i32.mul(get(x), i32.const(factor));
  const offsetBy = (base: Local, index: Local, bytes: number): Local =>
    define('i32', i32.add(get(base), times(index, bytes)));

  const packRhs = (panel: Local, target: (i: number) => Local): void => {
    const first = define('i32', times(panel, TILE_COLUMNS));
    products.forEach((p, i) => {
      emitPack(nest, value, rhsPanel(tiling, p), first, target(i));
    });
  };

  count(writer, batches.from, batches.to, 1, (number) => {
    bindParts(nest, batch, number);
    const rhsBase = products.map((p, i) => {
      const offset = i32.const(layout.rhs[i] as number);
      if (split !== 'rows') return define('i32', i32.add(get(scratch), offset));
      const product = times(number, p.rhsPanelBytes * partPanels);
      return define('i32', i32.add(i32.add(get(shared), offset), product));
    });
    const lhsBase = products.map((_, i) =>
      define('i32', i32.add(get(scratch), i32.const(layout.lhs[i] as number))),
    );
    if (split === 'batch') {
      count(writer, columnRange.from, columnRange.to, 1, (panel) =>
        packRhs(panel, (i) =>
          offsetBy(rhsBase[i] as Local, panel, (products[i] as (typeof products)[0]).rhsPanelBytes),
        ),
      );
    }
    count(writer, rowRange.from, rowRange.to, blockPanels, (block) => {
      const end = define('i32', least(i32.add(get(block), i32.const(blockPanels)), rowRange.to));
      count(writer, get(block), get(end), 1, (panel) => {
        const first = define('i32', times(panel, tileRows));
        const inBlock = define('i32', i32.sub(get(panel), get(block)));
        products.forEach((p, i) => {
          const target = offsetBy(lhsBase[i] as Local, inBlock, p.lhsPanelBytes);
          emitPack(nest, value, lhsPanel(tiling, p), first, target);
        });
      });
      count(writer, columnRange.from, columnRange.to, 1, (columnPanel) => {
        // Threads that split the columns pack one panel of rhs at a time, just before its use.
        const inPart = define('i32', i32.sub(get(columnPanel), get(partStart)));
        const rhs = products.map((p, i) =>
          split === 'columns'
            ? (rhsBase[i] as Local)
            : offsetBy(rhsBase[i] as Local, inPart, p.rhsPanelBytes),
        );
        if (split === 'columns') packRhs(columnPanel, (i) => rhs[i] as Local);
        const firstColumn = define('i32', times(columnPanel, TILE_COLUMNS));
        bindParts(nest, columns, firstColumn);
        count(writer, get(block), get(end), 1, (rowPanel) => {
          const inBlock = define('i32', i32.sub(get(rowPanel), get(block)));
          const lhs = products.map((p, i) =>
            offsetBy(lhsBase[i] as Local, inBlock, p.lhsPanelBytes),
          );
          emitTile(rowPanel, firstColumn, lhs, rhs);
        });
        columns.forEach(nest.unbind);
      });
    });
    batch.forEach(nest.unbind);
  });

  /** Sums up one tile, in place where it can, else in scratch, from where it is finished. */
  function emitTile(
    rowPanel: Local,
    firstColumn: Local,
    lhs: readonly Local[],
    rhs: readonly Local[],
  ): void {
    const firstRow = define('i32', times(rowPanel, tileRows));
    const sumUp = (target: (i: number) => Code, bytes: number): Code =>
      products.flatMap((p, i) =>
        call(micro, [
          get(lhs[i] as Local),
          get(rhs[i] as Local),
          i32.const(p.terms),
          target(i),
          i32.const(bytes),
        ]),
      );
    const finish = writer.scoped(() => {
      const inScratch = (i: number) => i32.add(get(scratch), i32.const(layout.tiles[i] as number));
      writer.emit(sumUp(inScratch, TILE_STRIDE));
      const left = i32.sub(i32.const(rowCount), get(firstRow));
      const filled = define('i32', least(left, i32.const(tileRows)));
      count(writer, i32.const(0), get(filled), 1, (row) => {
        const index = define('i32', i32.add(get(firstRow), get(row)));
        tileRow = define('i32', times(row, TILE_STRIDE));
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
  }

  /** Finishes a row of the tile: the epilogue for its columns. */
  function emitRow(firstColumn: Local): void {
    const variable = columns.at(-1) as LoopVariable;
    const ragged = variable.size % TILE_COLUMNS !== 0;
    const vector: VectorVariable = { variable, width: TILE_COLUMNS, ragged };
    nest.withVector(vector, () => {
      const lanes = value(tiling.body, output.dtype);
      const pointer = pointerOf(output);
      if (nest.stride(tiling.at) === 1) {
        const address = nest.address(pointer, tiling.at, element);
        storeRow(writer, address, lanes, output.dtype, vector, firstColumn);
        return;
      }
      for (let lane = 0; lane < TILE_COLUMNS; lane++) {
        const address = nest.address(pointer, tiling.at, element, lane);
        const source = lanes[Math.min(lane >> 2, lanes.length - 1)] as Local;
        const store = v128.storeLane(get(address), get(source), lane & 3);
        const column = i32.add(get(firstColumn), i32.const(lane));
        writer.emit(ragged ? when(i32.ltS(column, i32.const(columnCount)), store) : store);
      }
    });
  }

  return writer.finish();
}
