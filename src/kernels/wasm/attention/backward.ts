/**
 * Attention backward. The threads share the heads. Block by block of query rows the weights are
 * computed again; dq of the block is written at once, dk and dv of the head are summed up in the
 * thread's scratch and written at its end.
 */
import type { Var } from '../../../autodiff/index.js';
import type { AttentionKernel, Load } from '../../plan/attention.js';
import type { WasmFunction } from '../encoding.js';
import { type FunctionOptions, share } from '../functions.js';
import { f32x4, get, i32 } from '../instructions.js';
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
import { emitBackwardRow, emitReach } from './weights.js';

/** Rows that the last tile may have beyond the keys: what it makes there of anything is not used. */
const SPARE_ROWS = 5;

type Backward = Extract<AttentionKernel, { kind: 'attentionBackward' }>;

/** The function of a kernel, and the scratch memory that each thread needs. */
export function emitBackward(
  kernel: Backward,
  options: FunctionOptions,
): { readonly function: WasmFunction; readonly scratchBytes: number } {
  const stage = createStage(kernel, options);
  const { writer, nest, load, bound, rowMatrix, spacedMatrix, panelMatrix } = stage;
  const { rows, columns, depth, width, operands, outputs, params } = kernel;
  const { block, tile } = blocksOf(rows.size);
  // With one block that sees all keys the sums need no beginning.
  const sumsUp = params.causal || rows.size > block;
  // With causal order blocks reach up to a multiple of eight columns.
  const keys = roundUp(columns.size, PANEL);
  // Of the head: keys and values as columns, keys as rows, and the sums.
  const k = panelMatrix(depth.size, keys);
  const v = panelMatrix(width.size, keys);
  const kRows = panelMatrix(keys, depth.size);
  const dk = panelMatrix(keys + SPARE_ROWS, depth.size);
  const dv = panelMatrix(keys + SPARE_ROWS, width.size);
  // Of the block: queries and dOut as columns and as rows, weights, and slopes of the scores.
  const q = rowMatrix(depth.size, block);
  const dOut = rowMatrix(width.size, block);
  const qRows = panelMatrix(block, depth.size);
  const dOutRows = panelMatrix(block, width.size);
  const weights = spacedMatrix(block, keys);
  const slopes = spacedMatrix(block, keys);
  const dq = rowMatrix(block, depth.size);
  const pointer = (i: number): Local => stage.pointerOf(outputs[i] as Var);

  /** The element of an operand that has one number per row, in all lanes. */
  const perRow = (operand: Load, row: Local): Local => {
    let lanes: readonly Local[] = [];
    bound([[rows, row]], () => {
      lanes = nest.withVector(undefined, () => load(operand.buffer, operand.at));
    });
    return lanes[0] as Local;
  };

  // Of the last block's rows some lie beyond the queries: whatever is computed there is not used.
  const emitBlock = (batch: Local, firstRow: Local): void => {
    const count = least(writer, i32.const(block), i32.sub(i32.const(rows.size), get(firstRow)));
    const ownRows = { variable: rows, from: firstRow, count };
    emitPack(stage, operands.q, q, { variable: depth }, ownRows, params.scale);
    emitPack(stage, operands.q, qRows, ownRows, { variable: depth }, params.scale);
    emitPack(stage, operands.dOut, dOut, { variable: width }, ownRows);
    emitPack(stage, operands.dOut, dOutRows, ownRows, { variable: width });

    const { reach, panels } = emitReach(stage, firstRow, block);
    const ofScores = { transposed: true, rows: i32.const(block), tile, panels };
    const [depthTerms, widthTerms] = [i32.const(depth.size), i32.const(width.size)];
    emitProduct(stage, { left: q, right: k, out: weights, ...ofScores, terms: depthTerms });
    emitProduct(stage, { left: dOut, right: v, out: slopes, ...ofScores, terms: widthTerms });
    loopOver(writer, { to: get(count), step: 1 }, (r) => {
      const row = writer.define('i32', i32.add(get(firstRow), get(r)));
      const base = writer.define('i32', placed(weights.base, r, weights.row));
      const slope = writer.define('i32', placed(slopes.base, r, slopes.row));
      const logSumExp = perRow(operands.logSumExp, row);
      const shift = perRow(operands.shift, row);
      emitBackwardRow(stage, { base, row, reach }, slope, { logSumExp, shift });
    });

    const ofQueries = { rows: i32.const(block), tile, panels: panelsOf(depth.size) };
    emitProduct(stage, { left: slopes, right: kRows, out: dq, ...ofQueries, terms: get(reach) });
    const all = i32.mul(get(batch), i32.const(rows.size));
    const before = writer.define('i32', i32.add(all, get(firstRow)));
    const target = { output: pointer(0), before, count: get(count) };
    emitRowsOut(stage, dq, target, depth, () => (x) => f32x4.mul(x, f32x4.splat(params.scale)));

    const ofKeys = {
      transposed: true,
      accumulate: sumsUp,
      rows: get(reach),
      // With causal order no more than whole tiles: beyond them lie weights of earlier blocks.
      tile: params.causal ? 4 : 6,
      terms: get(count),
    };
    const [depths, widths] = [panelsOf(depth.size), panelsOf(width.size)];
    emitProduct(stage, { left: slopes, right: qRows, out: dk, ...ofKeys, panels: depths });
    emitProduct(stage, { left: weights, right: dOutRows, out: dv, ...ofKeys, panels: widths });
  };

  if (params.causal) emitZeros(writer, kRows);
  const heads = share(writer, stage.thread, stage.threads, stage.batches, 1);
  loopOver(writer, { from: get(heads.from), to: get(heads.to), step: 1 }, (batch) => {
    stage.atBatch(batch, () => {
      emitPack(stage, operands.k, k, { variable: depth }, { variable: columns });
      emitPack(stage, operands.v, v, { variable: width }, { variable: columns });
      emitPack(stage, operands.k, kRows, { variable: columns }, { variable: depth });
      if (sumsUp) emitZeros(writer, dk, dv);
      loopOver(writer, { to: i32.const(rows.size), step: block }, (firstRow) => {
        emitBlock(batch, firstRow);
      });
      const before = writer.define('i32', i32.mul(get(batch), i32.const(columns.size)));
      const target = { before, count: i32.const(columns.size) };
      emitRowsOut(stage, dk, { output: pointer(1), ...target }, depth);
      emitRowsOut(stage, dv, { output: pointer(2), ...target }, width);
    });
  });
  return { function: writer.finish(), scratchBytes: stage.scratchBytes() };
}
