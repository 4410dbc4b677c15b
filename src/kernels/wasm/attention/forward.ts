/**
 * Attention forward. The threads share pairs of a head and a block of query rows; a thread keeps the
 * keys and values of its present head packed. Of the scores one block is in memory at a time, in the
 * thread's scratch.
 */
import type { Var } from '../../../autodiff/index.js';
import type { AttentionKernel } from '../../plan/attention.js';
import type { WasmFunction } from '../encoding.js';
import { type FunctionOptions, share } from '../functions.js';
import { f32x4, get, i32, set, v128, when } from '../instructions.js';
import { log } from '../math.js';
import type { Local } from '../writer.js';
import { emitPack, emitRowsOut } from './packing.js';
import {
  blocksOf,
  createStage,
  emitZeros,
  least,
  loopOver,
  PANEL,
  placed,
  roundUp,
} from './stage.js';
import { emitProduct, panelsOf } from './tile.js';
import { emitReach, emitSoftmaxRow } from './weights.js';

type Forward = Extract<AttentionKernel, { kind: 'attention' }>;

/** The function of a kernel, and the scratch memory that each thread needs. */
export function emitForward(
  kernel: Forward,
  options: FunctionOptions,
): { readonly function: WasmFunction; readonly scratchBytes: number } {
  const stage = createStage(kernel, options);
  const { writer, scope, rowMatrix, spacedMatrix, panelMatrix } = stage;
  const { rows, columns, depth, width, operands, outputs, params } = kernel;
  const { block, tile } = blocksOf(rows.size);
  const blocks = Math.ceil(rows.size / block);
  // With causal order blocks reach up to a multiple of eight columns.
  const keys = roundUp(columns.size, PANEL);
  const q = rowMatrix(depth.size, block); // columns are queries
  const k = panelMatrix(depth.size, keys); // columns are keys
  const v = panelMatrix(keys, width.size);
  const weights = spacedMatrix(block, keys);
  const out = rowMatrix(block, width.size);
  // 1 / sum of each row's weights, in four lanes.
  const inverses = rowMatrix(block, 4);
  const inverseAt = (row: Local) => placed(inverses.base, row, inverses.row);
  const pointer = (i: number): Local => stage.pointerOf(outputs[i] as Var);

  // Of the last block's rows some lie beyond the queries: whatever is computed there is not used.
  const emitBlock = (batch: Local, firstRow: Local): void => {
    const count = least(writer, i32.const(block), i32.sub(i32.const(rows.size), get(firstRow)));
    const ownRows = { variable: rows, from: firstRow, count };
    emitPack(stage, operands.q, q, { variable: depth }, ownRows, params.scale);

    const { reach, panels } = emitReach(stage, firstRow, block);
    const allRows = { rows: i32.const(block), tile };
    const terms = i32.const(depth.size);
    emitProduct(stage, {
      left: q,
      transposed: true,
      right: k,
      out: weights,
      ...allRows,
      panels,
      terms,
    });
    const all = i32.mul(get(batch), i32.const(rows.size));
    const before = writer.define('i32', i32.add(all, get(firstRow)));
    loopOver(writer, { to: get(count), step: 1 }, (r) => {
      const row = writer.define('i32', i32.add(get(firstRow), get(r)));
      const base = writer.define('i32', placed(weights.base, r, weights.row));
      const { greatest, sum } = emitSoftmaxRow(stage, { base, row, reach });
      writer.emit(v128.store(inverseAt(r), f32x4.div(f32x4.splat(1), get(sum))));
      const logSumExp = f32x4.add(get(greatest), log(get(sum), scope));
      const place = writer.define('i32', i32.add(get(before), get(r)));
      writer.emit(v128.storeLane(placed(pointer(1), place, 4), logSumExp, 0));
    });
    emitProduct(stage, {
      left: weights,
      right: v,
      out,
      ...allRows,
      panels: panelsOf(width.size),
      terms: get(reach),
    });
    const target = { output: pointer(0), before, count: get(count) };
    emitRowsOut(stage, out, target, width, (row) => {
      const inverse = writer.define('v128', v128.load(inverseAt(row)));
      return (x) => f32x4.mul(x, get(inverse));
    });
  };

  if (params.causal) emitZeros(writer, v);
  const units = share(writer, stage.thread, stage.threads, stage.batches * blocks, 1);
  const packed = writer.define('i32', i32.const(-1));
  loopOver(writer, { from: get(units.from), to: get(units.to), step: 1 }, (unit) => {
    const batch = writer.define('i32', i32.divU(get(unit), i32.const(blocks)));
    const number = i32.remU(get(unit), i32.const(blocks));
    const firstRow = writer.define('i32', i32.mul(number, i32.const(block)));
    stage.atBatch(batch, () => {
      const pack = writer.scoped(() => {
        emitPack(stage, operands.k, k, { variable: depth }, { variable: columns });
        emitPack(stage, operands.v, v, { variable: columns }, { variable: width });
        writer.emit(set(packed, get(batch)));
      });
      writer.emit(when(i32.sub(get(packed), get(batch)), pack));
      emitBlock(batch, firstRow);
    });
  });
  return { function: writer.finish(), scratchBytes: stage.scratchBytes() };
}
