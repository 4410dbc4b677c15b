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
import { emitPack, emitRowOut } from './packing.js';
import {
  blocksOf,
  createStage,
  emitZeros,
  least,
  loopOver,
  PANEL,
  PANEL_BYTES,
  placed,
  roundUp,
  rowFloatsOf,
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
  const { writer, scope, batches, region } = stage;
  const { rows, columns, depth, width, operands, outputs, params } = kernel;
  const { block, tile } = blocksOf(rows.size);
  const blocks = Math.ceil(rows.size / block);
  const [keys, values, terms] = [
    roundUp(columns.size, PANEL),
    roundUp(width.size, PANEL),
    depth.size,
  ];
  const lanes = roundUp(block, PANEL);
  const q = region(terms * lanes); // [depth][row]
  const k = region(keys * terms); // panels of columns: [depth][8]
  const v = region(values * keys); // panels of the width: [column][8]
  const rowFloats = rowFloatsOf(keys);
  const weights = region(block * rowFloats); // [row][column]
  const out = region(block * values); // [row][width]
  const inverses = region(block * 4); // 1 / sum of a row's weights, in four lanes
  // Causal blocks reach up to a multiple of eight columns.
  emitZeros(writer, v.base, v.bytes);

  const pointer = (i: number): Local => stage.pointerOf(outputs[i] as Var);
  const units = share(writer, stage.thread, stage.threads, batches * blocks, 1);
  const packed = writer.define('i32', i32.const(-1));
  loopOver(writer, { from: get(units.from), to: get(units.to), step: 1 }, (unit) => {
    const batch = writer.define('i32', i32.divU(get(unit), i32.const(blocks)));
    const blockNumber = i32.remU(get(unit), i32.const(blocks));
    const firstRow = writer.define('i32', i32.mul(blockNumber, i32.const(block)));
    const count = least(writer, i32.const(block), i32.sub(i32.const(rows.size), get(firstRow)));
    stage.atBatch(batch, () => {
      const pack = writer.scoped(() => {
        emitPack(
          stage,
          operands.k,
          k.base,
          { variable: columns, bytes: 4 * terms },
          { variable: depth, bytes: PANEL_BYTES },
        );
        emitPack(
          stage,
          operands.v,
          v.base,
          { variable: width, bytes: 4 * keys },
          { variable: columns, bytes: PANEL_BYTES },
        );
        writer.emit(set(packed, get(batch)));
      });
      writer.emit(when(i32.sub(get(packed), get(batch)), pack));
      const clear = writer.scoped(() => emitZeros(writer, q.base, q.bytes));
      writer.emit(when(i32.ltS(get(count), i32.const(block)), clear));
      emitPack(
        stage,
        operands.q,
        q.base,
        { variable: rows, from: firstRow, count, bytes: 4 },
        { variable: depth, bytes: 4 * lanes },
        params.scale,
      );

      const { reach, panels } = emitReach(stage, firstRow, block);
      emitProduct(stage, {
        left: { base: q.base, row: 4, term: 4 * lanes },
        right: { base: k.base, panel: terms * PANEL_BYTES },
        out: { base: weights.base, row: 4 * rowFloats, panel: PANEL_BYTES, accumulate: false },
        rows: i32.const(block),
        tile,
        panels,
        terms: i32.const(terms),
      });
      const rowsBefore = writer.define(
        'i32',
        i32.add(i32.mul(get(batch), i32.const(rows.size)), get(firstRow)),
      );
      loopOver(writer, { to: get(count), step: 1 }, (r) => {
        const row = writer.define('i32', i32.add(get(firstRow), get(r)));
        const base = writer.define('i32', placed(weights.base, r, 4 * rowFloats));
        const { greatest, sum } = emitSoftmaxRow(stage, { base, row, reach });
        const inverse = f32x4.div(f32x4.splat(1), get(sum));
        writer.emit(v128.store(placed(inverses.base, r, 16), inverse));
        const logSumExp = f32x4.add(get(greatest), log(get(sum), scope));
        const place = writer.define('i32', i32.add(get(rowsBefore), get(r)));
        writer.emit(v128.storeLane(placed(pointer(1), place, 4), logSumExp, 0));
      });
      emitProduct(stage, {
        left: { base: weights.base, row: 4 * rowFloats, term: 4 },
        right: { base: v.base, panel: keys * PANEL_BYTES },
        out: { base: out.base, row: 4 * values, panel: PANEL_BYTES, accumulate: false },
        rows: i32.const(block),
        tile,
        panels: panelsOf(width.size),
        terms: get(reach),
      });
      loopOver(writer, { to: get(count), step: 1 }, (r) => {
        const from = writer.define('i32', placed(out.base, r, 4 * values));
        const place = writer.define('i32', i32.add(get(rowsBefore), get(r)));
        const to = writer.define('i32', placed(pointer(0), place, 4 * width.size));
        const inverse = writer.define('v128', v128.load(placed(inverses.base, r, 16)));
        emitRowOut(stage, from, PANEL_BYTES, to, width, (x) => f32x4.mul(x, get(inverse)));
      });
    });
  });
  return { function: writer.finish(), scratchBytes: stage.scratchBytes() };
}
