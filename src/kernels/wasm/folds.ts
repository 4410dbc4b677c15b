/** Sums, maxima and their places as loops over vectors. */
import type { DType } from '../../autodiff/index.js';
import type { Expression } from '../plan/expression.js';
import { type LoopVariable, ofAtom } from '../plan/position.js';
import type { Code } from './encoding.js';
import { f32x4, get, i32, i32x4, repeatWhile, set, v128 } from './instructions.js';
import type { Lanes, Nest, VectorVariable } from './nest.js';
import { dtypeOf, type ValueEmitter } from './values.js';
import type { Local } from './writer.js';

type Fold = Extract<Expression, { kind: 'fold' }>;

/** Emits a loop over a variable, `step` values at a time; over part of it where bounds are given. */
export function emitLoop(
  nest: Nest,
  variable: LoopVariable,
  step: number,
  body: () => void,
  { from = 0, to = variable.size }: { readonly from?: number; readonly to?: number } = {},
): void {
  if (from >= to) return;
  const { writer } = nest;
  const counter = writer.define('i32', i32.const(from));
  const code = writer.scoped(() => {
    nest.bind(variable, counter);
    body();
    nest.unbind(variable);
    writer.emit(set(counter, i32.add(get(counter), i32.const(step))));
  });
  writer.emit(repeatWhile(i32.ltS(get(counter), i32.const(to)), code));
}

function emitLoops(nest: Nest, loops: readonly LoopVariable[], body: () => void): void {
  const [first, ...rest] = loops;
  if (first === undefined) body();
  else emitLoop(nest, first, 1, () => emitLoops(nest, rest, body));
}

/** The vector variable that a loop makes. */
export const vectorOver = (variable: LoopVariable): VectorVariable => {
  const width = variable.size > 4 ? 8 : 4;
  return { variable, width, ragged: variable.size % width !== 0 };
};

/** What sums and maxima start from, and how they go on. */
function stepOf(fold: 'sum' | 'max', dtype: DType) {
  const float = dtype === 'float';
  if (fold === 'sum') return { start: i32x4.constant(0), join: float ? f32x4.add : i32x4.add };
  return float
    ? { start: f32x4.splat(Number.NEGATIVE_INFINITY), join: f32x4.max }
    : { start: i32x4.constant(-(2 ** 31)), join: i32x4.maxS };
}

/** Emits a fold in the innermost open scope. */
export function emitFold(nest: Nest, e: Fold, value: ValueEmitter): Lanes {
  const dtype = dtypeOf(e.body) ?? 'float';
  const [last] = e.loops.slice(-1);
  if (last === undefined) {
    return e.fold === 'argmax'
      ? [nest.writer.define('v128', i32x4.constant(0))]
      : value(e.body, dtype);
  }
  if (e.fold === 'argmax') return emitArgmax(nest, e, value, dtype);
  if (nest.variesIn(e)) return emitAcross(nest, e, value, dtype);
  return last.size < 4
    ? nest.withVector(undefined, () => emitAcross(nest, e, value, dtype))
    : emitAlong(nest, e, value, dtype);
}

const part = (lanes: Lanes, u: number): Code => get(lanes[lanes.length === 1 ? 0 : u] as Local);

/** Every lane folds elements of its own. */
function emitAcross(nest: Nest, e: Fold, value: ValueEmitter, dtype: DType): Lanes {
  const { writer } = nest;
  const { start, join } = stepOf(e.fold as 'sum' | 'max', dtype);
  const sums = Array.from({ length: nest.unroll() }, () => writer.define('v128', start));
  emitLoops(nest, e.loops, () => {
    const element = value(e.body, dtype);
    sums.forEach((sum, u) => {
      writer.emit(set(sum, join(get(sum), part(element, u))));
    });
  });
  return sums;
}

/** The lanes share the elements of the innermost loop, and are joined at the end. */
function emitAlong(nest: Nest, e: Fold, value: ValueEmitter, dtype: DType): Lanes {
  const { writer } = nest;
  const last = e.loops.at(-1) as LoopVariable;
  const { start, join } = stepOf(e.fold as 'sum' | 'max', dtype);
  const vector = vectorOver(last);
  return nest.withVector(vector, () => {
    const sums = Array.from({ length: nest.unroll() }, () => writer.define('v128', start));
    emitLoops(nest, e.loops.slice(0, -1), () =>
      emitLoop(nest, last, vector.width, () => {
        const element = value(e.body, dtype);
        const index = vector.ragged ? nest.indices(ofAtom(last)) : undefined;
        sums.forEach((sum, u) => {
          const own = part(element, u);
          const counted =
            index === undefined
              ? own
              : v128.choose(i32x4.ltS(part(index, u), i32x4.constant(last.size)), own, start);
          writer.emit(set(sum, join(get(sum), counted)));
        });
      }),
    );
    const joined = sums.slice(1).reduce<Code>((a, b) => join(a, get(b)), get(sums[0] as Local));
    const all = writer.define('v128', joined);
    const halves = v128.shuffle(get(all), get(all), [2, 3, 0, 1]);
    const pair = writer.define('v128', join(get(all), halves));
    const other = v128.shuffle(get(pair), get(pair), [1, 0, 3, 2]);
    return [writer.define('v128', join(get(pair), other))];
  });
}

/** The first place of the greatest element. */
function emitArgmax(nest: Nest, e: Fold, value: ValueEmitter, dtype: DType): Lanes {
  const { writer } = nest;
  const emit = (): Lanes => {
    const { start } = stepOf('max', dtype);
    const vectors = Array.from({ length: nest.unroll() }, (_, u) => u);
    const best = vectors.map(() => writer.define('v128', start));
    const place = vectors.map(() => writer.define('v128', i32x4.constant(0)));
    emitLoops(nest, e.loops, () => {
      const element = value(e.body, dtype);
      const [index] = e.loops.map((v) => nest.indices(ofAtom(v)));
      vectors.forEach((u) => {
        const b = best[u] as Local;
        const greater = (dtype === 'float' ? f32x4.gt : i32x4.gtS)(part(element, u), get(b));
        const taken = writer.define('v128', greater);
        const p = place[u] as Local;
        writer.emit(set(b, v128.choose(get(taken), part(element, u), get(b))));
        writer.emit(set(p, v128.choose(get(taken), part(index as Lanes, 0), get(p))));
      });
    });
    return place;
  };
  return nest.variesIn(e) ? emit() : nest.withVector(undefined, emit);
}
