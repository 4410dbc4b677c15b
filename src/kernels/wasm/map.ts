/**
 * Kernels that compute each element of their output by itself: elementwise chains, reductions,
 * look-ups. The threads share the rows; a row is computed several elements at a time, or, where only
 * the sums inside run along memory, one element after another with vectors inside the sums.
 */
import { type Expression, type Kernel, positionsOf } from '../plan/expression.js';
import { mapPositions, mergeFolds, mergeLoops } from '../plan/merge.js';
import { flatten, type LoopVariable, ofAtom } from '../plan/position.js';
import { loopsOf, outerFolds } from '../plan/product.js';
import type { WasmFunction } from './encoding.js';
import { emitFold, vectorOver } from './folds.js';
import { beginFunction, type FunctionOptions, share } from './functions.js';
import { get, i32, repeatWhile, set, when } from './instructions.js';
import { bytesOf } from './loads.js';
import type { Nest } from './nest.js';
import { storeOne, storeRow } from './stores.js';
import { createValues } from './values.js';

/** Rows from which on the threads share rows rather than parts of each row. */
const MANY_ROWS = 16;
/** Elements that threads share rows by: a line of the cache, so that no two write to one. */
const GRAIN = 16;

/** How well a variable suits vectors: loads that it does not scatter, out of all. */
function smoothLoads(nest: Nest, e: Expression, variable: LoopVariable): number {
  return nest.withVector(vectorOver(variable), () => {
    const strides = positionsOf(e).map(nest.stride);
    return strides.filter((s) => s === 0 || s === 1).length / Math.max(1, strides.length);
  });
}

/** Whether to compute several neighbours along the output's last axis at once. */
function alongOutput(nest: Nest, body: Expression, last: LoopVariable): boolean {
  const folds = outerFolds(body).filter((f) => loopsOf(f).has(last.name));
  return folds.every((fold) => {
    const inner = fold.loops.at(-1);
    if (inner === undefined || fold.fold === 'argmax') return true;
    if (last.size < 4 && inner.size >= 4) return false;
    return smoothLoads(nest, fold, last) >= smoothLoads(nest, fold, inner);
  });
}

/** The function of a kernel. */
export function emitMap(kernel: Kernel, options: FunctionOptions): WasmFunction {
  const folded = mergeFolds(kernel.body);
  const flat = flatten(
    kernel.axes.map((v) => v.size),
    kernel.axes.map(ofAtom),
  );
  const { loops, replace } = mergeLoops(kernel.axes, [...positionsOf(folded), flat]);
  const [body, at] = [mapPositions(folded, replace), replace(flat)];
  const last = loops.at(-1) ?? { kind: 'loop', name: 'only', size: 1 };
  const outer = loops.slice(0, -1);
  const rows = outer.reduce((n, v) => n * v.size, 1);
  const { writer, nest, pointerOf, thread, threads, context } = beginFunction(kernel, options);
  const value = createValues({
    ...context,
    given: () => undefined,
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const { output } = kernel;
  const vector = last.size > 1 && alongOutput(nest, body, last) ? vectorOver(last) : undefined;
  const step = vector?.width ?? 1;
  const shareRows = rows >= MANY_ROWS || last.size < 2 * GRAIN;
  const whole = { from: writer.define('i32', i32.const(0)), to: i32.const(last.size) };
  const rowShare = shareRows ? share(writer, thread, threads, rows, 1) : undefined;
  const lastShare = shareRows ? undefined : share(writer, thread, threads, last.size, GRAIN);

  const emitRow = (): void => {
    const from = lastShare?.from ?? whole.from;
    const to = lastShare ? get(lastShare.to) : whole.to;
    const counter = writer.define('i32', get(from));
    const code = writer.scoped(() => {
      nest.bind(last, counter);
      nest.withVector(vector, () => {
        const lanes = value(body, output.dtype);
        const address = nest.address(pointerOf(output), at, bytesOf(output.dtype));
        if (vector) storeRow(writer, address, lanes, output.dtype, vector, counter);
        else storeOne(writer, address, lanes, output.dtype);
      });
      nest.unbind(last);
      writer.emit(set(counter, i32.add(get(counter), i32.const(step))));
    });
    const loop = repeatWhile(i32.ltS(get(counter), to), code);
    writer.emit(lastShare ? when(i32.ltS(get(counter), to), loop) : loop);
  };

  const row = writer.define('i32', rowShare ? get(rowShare.from) : i32.const(0));
  const end = rowShare ? get(rowShare.to) : i32.const(rows);
  const code = writer.scoped(() => {
    let below = rows;
    for (const v of outer) {
      below /= v.size;
      const quotient = below === 1 ? get(row) : i32.divU(get(row), i32.const(below));
      const isFirst = v === outer[0];
      const own = isFirst ? quotient : i32.remU(quotient, i32.const(v.size));
      nest.bind(v, writer.define('i32', own));
    }
    emitRow();
    outer.forEach(nest.unbind);
    writer.emit(set(row, i32.add(get(row), i32.const(1))));
  });
  writer.emit(when(i32.ltS(get(row), end), repeatWhile(i32.ltS(get(row), end), code)));
  return writer.finish();
}
