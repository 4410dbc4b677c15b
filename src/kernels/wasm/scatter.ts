/**
 * Sums into rows that an index names (the derivative of a look-up). The plan describes them row by row,
 * as a sum over all indices that name the row; here every thread instead takes part of the rows and
 * walks through the indices once, adding what is for its rows. The order of the sums stays that of the
 * indices, so results do not depend on the number of threads.
 */
import type { Expression, Kernel } from '../plan/expression.js';
import { flatten, type LoopVariable, ofAtom, positionKey } from '../plan/position.js';
import { loopsOf } from '../plan/product.js';
import type { WasmFunction } from './encoding.js';
import { emitFold, emitLoop, vectorOver } from './folds.js';
import { beginFunction, type FunctionOptions, share } from './functions.js';
import { f32x4, get, i32, i32x4, repeatWhile, set, v128, when } from './instructions.js';
import type { Lanes } from './nest.js';
import { storeRow } from './stores.js';
import { createValues } from './values.js';
import type { Local } from './writer.js';

interface Scatter {
  readonly loops: readonly LoopVariable[];
  readonly index: Expression;
  /** What is added; varies along `loops` and the output's axes but the first. */
  readonly value: Expression;
  readonly row: LoopVariable;
  readonly rest: readonly LoopVariable[];
}

/** Comparisons that a row-by-row sum may make before walking through the indices is worth it. */
const FEW = 1024;

/** The parts of a kernel that sums into rows, else `undefined`. */
function scatterOf({ axes, body, output }: Kernel): Scatter | undefined {
  const [row, ...rest] = axes.filter((v) => v.size > 1);
  if (row === undefined || row.name !== axes[0]?.name || output.dtype !== 'float') return undefined;
  if (body.kind !== 'fold' || body.fold !== 'sum' || body.body.kind !== 'apply') return undefined;
  const [condition, value, otherwise] = body.body.operands;
  if (body.body.name !== 'select' || condition?.kind !== 'apply' || condition.name !== 'equal') {
    return undefined;
  }
  const [index, place] = condition.operands;
  const isRow = place?.kind === 'position' && positionKey(place.at) === positionKey(ofAtom(row));
  const addsNothing = otherwise?.kind === 'number' && otherwise.value === 0;
  if (!isRow || !addsNothing || index === undefined || value === undefined) return undefined;
  const count = body.loops.reduce((n, v) => n * v.size, 1);
  if (loopsOf(value).has(row.name) || row.size * count < FEW) return undefined;
  return { loops: body.loops, index, value, row, rest };
}

/** The function of a kernel that sums into rows, else `undefined`. */
export function emitScatter(kernel: Kernel, options: FunctionOptions): WasmFunction | undefined {
  const scatter = scatterOf(kernel);
  if (scatter === undefined) return undefined;
  const { loops, row, rest } = scatter;
  const { output } = kernel;
  const { writer, nest, pointerOf, thread, threads, context } = beginFunction(kernel, options);
  const value = createValues({
    ...context,
    given: () => undefined,
    fold: (e, emit) => emitFold(nest, e, emit),
  });
  const mine = share(writer, thread, threads, row.size, 1);
  const pointer = pointerOf(output);
  const rowBytes = 4 * rest.reduce((n, v) => n * v.size, 1);

  const start = i32.add(get(pointer), i32.mul(get(mine.from), i32.const(rowBytes)));
  const cleared = writer.define('i32', start);
  const end = writer.define(
    'i32',
    i32.add(get(pointer), i32.mul(get(mine.to), i32.const(rowBytes))),
  );
  const isBefore = i32.ltU(get(cleared), get(end));
  const clear = [
    ...i32.store(get(cleared), i32.const(0)),
    ...set(cleared, i32.add(get(cleared), i32.const(4))),
  ];
  writer.emit(when(isBefore, repeatWhile(isBefore, clear)));

  const axes = [row, ...rest];
  const at = flatten(
    axes.map((v) => v.size),
    axes.map(ofAtom),
  );
  const last = rest.at(-1);
  const vector = last && vectorOver(last);
  const addRow = (): void => {
    const added: Lanes = value(scatter.value, 'float');
    const address = nest.address(pointer, at, 4);
    const sums = Array.from({ length: nest.unroll() }, (_, u): Local => {
      const before = v128.load(get(address), 16 * u);
      const own = get(added[added.length === 1 ? 0 : u] as Local);
      return writer.define('v128', f32x4.add(before, own));
    });
    if (vector) storeRow(writer, address, sums, 'float', vector, nest.loop(vector.variable).local);
    else writer.emit(v128.storeLane(get(address), get(sums[0] as Local), 0));
  };
  const inLoops = (variables: readonly LoopVariable[], body: () => void): void => {
    const [first, ...others] = variables;
    if (first === undefined) body();
    else emitLoop(nest, first, 1, () => inLoops(others, body));
  };
  inLoops(loops, () => {
    const [named] = value(scatter.index, 'int');
    const index = writer.define('i32', i32x4.lane(get(named as Local), 0));
    const isMine = i32.ltU(
      i32.sub(get(index), get(mine.from)),
      i32.sub(get(mine.to), get(mine.from)),
    );
    writer.emitWhen(isMine, () => {
      nest.bind(row, index);
      inLoops(rest.slice(0, -1), () => {
        if (vector === undefined) addRow();
        else nest.withVector(vector, () => emitLoop(nest, vector.variable, vector.width, addRow));
      });
      nest.unbind(row);
    });
  });
  return writer.finish();
}
