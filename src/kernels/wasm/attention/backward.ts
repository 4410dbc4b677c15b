/**
 * Attention backward. The threads share the heads. Block by block of query rows the weights are
 * computed again; dq of the block is written at once, dk and dv of the head are summed up in the
 * thread's scratch and written at its end.
 */
import type { Var } from '../../../autodiff/index.js';
import type { AttentionKernel, Load } from '../../plan/attention.js';
import type { LoopVariable } from '../../plan/position.js';
import type { WasmFunction } from '../encoding.js';
import { type FunctionOptions, share } from '../functions.js';
import { f32x4, get, i32, when } from '../instructions.js';
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
import { emitProduct, type PanelProduct, panelsOf } from './tile.js';
import { emitBackwardRow, emitReach } from './weights.js';

type Backward = Extract<AttentionKernel, { kind: 'attentionBackward' }>;

/** Rows of the tiles of dk and dv; they have as many as there are keys, rounded up to eight. */
const KEY_TILE = 4;

/** The function of a kernel, and the scratch memory that each thread needs. */
export function emitBackward(
  kernel: Backward,
  options: FunctionOptions,
): { readonly function: WasmFunction; readonly scratchBytes: number } {
  const stage = createStage(kernel, options);
  const { writer, nest, load, bound, batches, region } = stage;
  const { rows, columns, depth, width, operands, outputs, params } = kernel;
  const { block, tile } = blocksOf(rows.size);
  const keys = roundUp(columns.size, PANEL);
  const [depths, widths] = [depth, width].map((v) => roundUp(v.size, PANEL)) as [number, number];
  const lanes = roundUp(block, PANEL);
  const k = region(keys * depth.size); // panels of columns: [depth][8]
  const v = region(keys * width.size); // panels of columns: [width][8]
  const kRows = region(depths * keys); // panels of the depth: [column][8]
  const rowFloats = rowFloatsOf(keys);
  const weights = region(block * rowFloats); // [row][column]
  const slopes = region(block * rowFloats); // [row][column]
  const q = region(depth.size * lanes); // [depth][row]
  const dOut = region(width.size * lanes); // [width][row]
  const qRows = region(depths * block); // panels of the depth: [row][8]
  const dOutRows = region(widths * block); // panels of the width: [row][8]
  const dq = region(block * depths); // [row][depth]
  const dk = region(depths * keys); // panels of the depth: [column][8]
  const dv = region(widths * keys); // panels of the width: [column][8]
  const zero = (...regions: readonly { readonly base: Local; readonly bytes: number }[]) => {
    for (const { base, bytes } of regions) emitZeros(writer, base, bytes);
  };
  // Causal blocks reach up to a multiple of eight columns.
  zero(kRows);
  const pointer = (i: number): Local => stage.pointerOf(outputs[i] as Var);

  /** One element of an operand that has one number per row, in all lanes. */
  const perRow = (operand: Load, row: Local): Local => {
    let lanesOf: readonly Local[] = [];
    bound([[rows, row]], () => {
      lanesOf = nest.withVector(undefined, () => load(operand.buffer, operand.at));
    });
    return lanesOf[0] as Local;
  };

  /** What is computed for one block of rows. */
  const emitBlock = (batch: Local, firstRow: Local): void => {
    const count = least(writer, i32.const(block), i32.sub(i32.const(rows.size), get(firstRow)));
    const ownRows = { variable: rows, from: firstRow, count };
    const clear = writer.scoped(() => zero(q, dOut, qRows, dOutRows));
    writer.emit(when(i32.ltS(get(count), i32.const(block)), clear));
    const packBoth = (
      from: Load,
      axis: LoopVariable,
      byRow: Local,
      inPanels: Local,
      factor: number,
    ) => {
      emitPack(
        stage,
        from,
        byRow,
        { ...ownRows, bytes: 4 },
        { variable: axis, bytes: 4 * lanes },
        factor,
      );
      const panel = { variable: axis, bytes: 4 * block };
      emitPack(stage, from, inPanels, panel, { ...ownRows, bytes: PANEL_BYTES }, factor);
    };
    packBoth(operands.q, depth, q.base, qRows.base, params.scale);
    packBoth(operands.dOut, width, dOut.base, dOutRows.base, 1);

    const { reach, keyRows, panels } = emitReach(stage, firstRow, block);
    const scoreLike = (left: Local, right: Local, terms: number, out: Local): PanelProduct => ({
      left: { base: left, row: 4, term: 4 * lanes },
      right: { base: right, panel: terms * PANEL_BYTES },
      out: { base: out, row: 4 * rowFloats, panel: PANEL_BYTES, accumulate: false },
      rows: i32.const(block),
      tile,
      panels,
      terms: i32.const(terms),
    });
    emitProduct(stage, scoreLike(q.base, k.base, depth.size, weights.base));
    emitProduct(stage, scoreLike(dOut.base, v.base, width.size, slopes.base));
    loopOver(writer, { to: get(count), step: 1 }, (r) => {
      const row = writer.define('i32', i32.add(get(firstRow), get(r)));
      const [base, slope] = [weights, slopes].map((x) =>
        writer.define('i32', placed(x.base, r, 4 * rowFloats)),
      ) as [Local, Local];
      const logSumExp = perRow(operands.logSumExp, row);
      const shift = perRow(operands.shift, row);
      emitBackwardRow(stage, { base, row, reach }, slope, { logSumExp, shift });
    });

    emitProduct(stage, {
      left: { base: slopes.base, row: 4 * rowFloats, term: 4 },
      right: { base: kRows.base, panel: keys * PANEL_BYTES },
      out: { base: dq.base, row: 4 * depths, panel: PANEL_BYTES, accumulate: false },
      rows: i32.const(block),
      tile,
      panels: panelsOf(depth.size),
      terms: get(reach),
    });
    loopOver(writer, { to: get(count), step: 1 }, (r) => {
      const from = writer.define('i32', placed(dq.base, r, 4 * depths));
      const before = i32.add(i32.mul(get(batch), i32.const(rows.size)), get(firstRow));
      const place = writer.define('i32', i32.add(before, get(r)));
      const to = writer.define('i32', placed(pointer(0), place, 4 * depth.size));
      emitRowOut(stage, from, PANEL_BYTES, to, depth, (x) =>
        f32x4.mul(x, f32x4.splat(params.scale)),
      );
    });

    const keyLike = (left: Local, right: Local, size: number, out: Local): PanelProduct => ({
      left: { base: left, row: 4, term: 4 * rowFloats },
      right: { base: right, panel: block * PANEL_BYTES },
      out: { base: out, row: PANEL_BYTES, panel: keys * PANEL_BYTES, accumulate: true },
      rows: keyRows,
      tile: KEY_TILE,
      panels: panelsOf(size),
      terms: i32.const(block),
    });
    emitProduct(stage, keyLike(slopes.base, qRows.base, depth.size, dk.base));
    emitProduct(stage, keyLike(weights.base, dOutRows.base, width.size, dv.base));
  };

  const heads = share(writer, stage.thread, stage.threads, batches, 1);
  loopOver(writer, { from: get(heads.from), to: get(heads.to), step: 1 }, (batch) => {
    stage.atBatch(batch, () => {
      const pack = (from: Load, axis: LoopVariable, terms: number, to: Local) =>
        emitPack(
          stage,
          from,
          to,
          { variable: columns, bytes: 4 * terms },
          { variable: axis, bytes: PANEL_BYTES },
        );
      pack(operands.k, depth, depth.size, k.base);
      pack(operands.v, width, width.size, v.base);
      emitPack(
        stage,
        operands.k,
        kRows.base,
        { variable: depth, bytes: 4 * keys },
        { variable: columns, bytes: PANEL_BYTES },
      );
      zero(dk, dv);
      loopOver(writer, { to: i32.const(rows.size), step: block }, (firstRow) => {
        emitBlock(batch, firstRow);
      });
      loopOver(writer, { to: i32.const(columns.size), step: 1 }, (column) => {
        const before = i32.mul(get(batch), i32.const(columns.size));
        const place = writer.define('i32', i32.add(before, get(column)));
        [
          { sums: dk, axis: depth, output: 1 },
          { sums: dv, axis: width, output: 2 },
        ].forEach(({ sums, axis, output }) => {
          const from = writer.define('i32', placed(sums.base, column, PANEL_BYTES));
          const to = writer.define('i32', placed(pointer(output), place, 4 * axis.size));
          emitRowOut(stage, from, keys * PANEL_BYTES, to, axis);
        });
      });
    });
  });
  return { function: writer.finish(), scratchBytes: stage.scratchBytes() };
}
