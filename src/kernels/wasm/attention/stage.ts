/**
 * What the two kernels of attention have in common: how scores are cut into blocks of rows, the
 * thread's scratch memory, loops, and the loop over heads.
 */
import { range, type Var } from '../../../autodiff/index.js';
import type { AttentionKernel } from '../../plan/attention.js';
import type { LoopVariable } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { beginFunction, type FunctionOptions } from '../functions.js';
import { f32x4, get, i32, repeatWhile, set, v128, when } from '../instructions.js';
import { createLoads } from '../loads.js';
import type { MathScope } from '../math.js';
import type { Local, Writer } from '../writer.js';

/** Columns of a panel: two vectors. */
export const PANEL = 8;
/** Bytes of a panel's row. */
export const PANEL_BYTES = 4 * PANEL;
/** Rows whose scores are in memory at a time, at most. */
const MOST_ROWS = 30;
/**
 * Rows of a tile, with its rough cost per row: 6 rows of 2 vectors are the most that leave registers for
 * the operands, and few rows load much for each multiplication.
 */
const TILES = [
  { tile: 6, cost: 1 },
  { tile: 5, cost: 1.05 },
  { tile: 4, cost: 1.1 },
  { tile: 3, cost: 1.3 },
  { tile: 2, cost: 1.8 },
  { tile: 1, cost: 3 },
];

export const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** How rows are cut into blocks of whole tiles such that little is computed beyond the last one. */
export function blocksOf(rows: number): { readonly block: number; readonly tile: number } {
  const choices = TILES.flatMap(({ tile, cost }) =>
    range(Math.floor(MOST_ROWS / tile)).map((i) => {
      const block = (i + 1) * tile;
      return { block, tile, total: roundUp(rows, block) * cost };
    }),
  );
  // Of equals the largest block: each one walks through all keys.
  const [best] = choices.sort((a, b) => a.total - b.total || b.block - a.block);
  return best as { block: number; tile: number };
}

/** A matrix in scratch memory whose columns lie eight by eight beside each other. */
export interface Matrix {
  readonly base: Local;
  readonly bytes: number;
  /** Bytes from a row to the next. */
  readonly row: number;
  /** Bytes from eight columns to the next eight. */
  readonly panel: number;
}

export type Stage = ReturnType<typeof createStage>;

/** Emits a loop over from, from + step, … below `to`. */
export function loopOver(
  writer: Writer,
  { from = i32.const(0), to, step }: { from?: Code; readonly to: Code; readonly step: number },
  body: (counter: Local) => void,
): void {
  const counter = writer.define('i32', from);
  const code = writer.scoped(() => {
    body(counter);
    writer.emit(set(counter, i32.add(get(counter), i32.const(step))));
  });
  const below = i32.ltS(get(counter), to);
  writer.emit(when(below, repeatWhile(below, code)));
}

/** base + index · bytes */
export const placed = (base: Local, index: Local, bytes: number): Code =>
  i32.add(get(base), i32.mul(get(index), i32.const(bytes)));

/** Emits zeros over whole matrices. */
export function emitZeros(writer: Writer, ...matrices: readonly Matrix[]): void {
  for (const { base, bytes } of matrices) {
    loopOver(writer, { to: i32.const(bytes), step: 16 }, (at) => {
      writer.emit(v128.store(i32.add(get(base), get(at)), f32x4.splat(0)));
    });
  }
}

/** The lesser of two integers. */
export const least = (writer: Writer, a: Code, b: Code): Local => {
  const [x, y] = [writer.define('i32', a), writer.define('i32', b)];
  return writer.define('i32', i32.select(get(x), get(y), i32.ltS(get(x), get(y))));
};

export function createStage(kernel: AttentionKernel, options: FunctionOptions) {
  const [first, ...more] = kernel.outputs as readonly [Var, ...Var[]];
  const begun = beginFunction({ output: first, reads: [...more, ...kernel.reads] }, options);
  const { writer, nest, pointerOf } = begun;
  const { load } = createLoads(nest, pointerOf);
  const scope: MathScope = {
    keep: (code) => get(writer.define('v128', code)),
    madd: (x, y, z) =>
      options.relaxed ? f32x4.relaxedMadd(x, y, z) : f32x4.add(f32x4.mul(x, y), z),
  };
  let scratchBytes = 0;
  const region = (bytes: number): { readonly base: Local; readonly bytes: number } => {
    const base = writer.define('i32', i32.add(get(begun.scratch), i32.const(scratchBytes)));
    scratchBytes += roundUp(bytes, 64);
    return { base, bytes: roundUp(bytes, 64) };
  };
  /** A matrix whose rows are whole. */
  const rowMatrix = (rows: number, columns: number): Matrix => {
    const row = PANEL_BYTES * Math.ceil(columns / PANEL);
    return { ...region(rows * row), row, panel: PANEL_BYTES };
  };
  /**
   * The same with spare bytes after each row, for long ones: were they a high power of two apart, the
   * rows of a tile would fall on the same few lines of the cache.
   */
  const spacedMatrix = (rows: number, columns: number): Matrix => {
    const row = roundUp(4 * columns, 64) + 64;
    return { ...region(rows * row), row, panel: PANEL_BYTES };
  };
  /** A matrix in panels of eight columns, as products read their right operand. */
  const panelMatrix = (rows: number, columns: number): Matrix => {
    const panel = rows * PANEL_BYTES;
    return { ...region(panel * Math.ceil(columns / PANEL)), row: PANEL_BYTES, panel };
  };
  /** Runs `body` with loop variables standing for locals. */
  const bound = (pairs: readonly (readonly [LoopVariable, Local])[], body: () => void): void => {
    for (const [variable, local] of pairs) nest.bind(variable, local);
    body();
    for (const [variable] of pairs) nest.unbind(variable);
  };
  /** Runs `body` with the batch's loop variables at the values that its number stands for. */
  const atBatch = (number: Local, body: () => void): void => {
    let below = kernel.batch.reduce((n, v) => n * v.size, 1);
    const pairs = kernel.batch.map((v): readonly [LoopVariable, Local] => {
      below /= v.size;
      const quotient = i32.divU(get(number), i32.const(below));
      return [v, writer.define('i32', i32.remU(quotient, i32.const(v.size)))];
    });
    bound(pairs, body);
  };
  return {
    kernel,
    ...begun,
    load,
    scope,
    rowMatrix,
    spacedMatrix,
    panelMatrix,
    bound,
    atBatch,
    batches: kernel.batch.reduce((n, v) => n * v.size, 1),
    scratchBytes: () => scratchBytes,
  };
}
