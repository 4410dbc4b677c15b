/** Operands copied into scratch memory in the order in which products read them, and results back. */
import type { Load } from '../../plan/attention.js';
import type { LoopVariable } from '../../plan/position.js';
import type { Code } from '../encoding.js';
import { f32x4, get, i32, i32x4, v128 } from '../instructions.js';
import type { VectorVariable } from '../nest.js';
import { storeRow } from '../stores.js';
import type { Local, Writer } from '../writer.js';
import { loopOver, PANEL, placed, type Stage } from './stage.js';

/** Eight neighbouring values of a variable, of which the last may lie outside. */
export const panelOver = (variable: LoopVariable): VectorVariable => ({
  variable,
  width: PANEL,
  ragged: true,
});

/** Masks of the lanes whose number, counted from `first`, is below `end`; one mask a vector. */
export const lanesBelow = (writer: Writer, first: Local, end: Code): readonly Code[] =>
  [0, 4].map((lane) => {
    const numbers = i32x4.add(
      i32x4.splat(get(first)),
      v128.words([lane, lane + 1, lane + 2, lane + 3]),
    );
    return i32x4.ltS(numbers, get(writer.define('v128', i32x4.splat(end))));
  });

/** An index of an operand: from which value on, how many, and the bytes between them in the copy. */
interface Side {
  readonly variable: LoopVariable;
  readonly from?: Local;
  readonly count?: Local;
  readonly bytes: number;
}

/**
 * Copies an operand times a factor, eight values of `lanes` at a time. What lies beyond the size of `lanes` is 0, up
 * to a multiple of eight.
 */
export function emitPack(
  { writer, nest, load, bound }: Stage,
  { buffer, at }: Load,
  to: Local,
  lanes: Side,
  other: Side,
  factor = 1,
): void {
  const countOf = ({ variable, count }: Side): Code =>
    count === undefined ? i32.const(variable.size) : get(count);
  const startOf = ({ from }: Side, counter: Local): Local =>
    from === undefined ? counter : writer.define('i32', i32.add(get(from), get(counter)));
  loopOver(writer, { to: countOf(lanes), step: PANEL }, (first) => {
    const panel = writer.define('i32', placed(to, first, lanes.bytes));
    const start = startOf(lanes, first);
    const masks = lanesBelow(writer, start, i32.const(lanes.variable.size)).map((mask) =>
      writer.define('v128', mask),
    );
    bound([[lanes.variable, start]], () => {
      loopOver(writer, { to: countOf(other), step: 1 }, (step) => {
        bound([[other.variable, startOf(other, step)]], () => {
          const elements = nest.withVector(panelOver(lanes.variable), () => load(buffer, at));
          const address = writer.define('i32', placed(panel, step, other.bytes));
          masks.forEach((mask, u) => {
            const element = get(elements[elements.length === 1 ? 0 : u] as Local);
            const scaled = factor === 1 ? element : f32x4.mul(element, f32x4.splat(factor));
            writer.emit(v128.store(get(address), v128.and(scaled, get(mask)), 16 * u));
          });
        });
      });
    });
  });
}

/**
 * Copies a row from scratch memory to an output, panel by panel.
 * @param panel bytes between panels in scratch memory.
 * @param factor what each element is multiplied by first.
 */
export function emitRowOut(
  { writer }: Stage,
  from: Local,
  panel: number,
  to: Local,
  width: LoopVariable,
  finish: (x: Code) => Code = (x) => x,
): void {
  loopOver(writer, { to: i32.const(width.size), step: PANEL }, (first) => {
    const source = writer.define('i32', placed(from, first, panel / PANEL));
    const lanes = [0, 1].map((u) => writer.define('v128', finish(v128.load(get(source), 16 * u))));
    const target = writer.define('i32', placed(to, first, 4));
    const vector = { ...panelOver(width), ragged: width.size % PANEL !== 0 };
    storeRow(writer, target, lanes, 'float', vector, first);
  });
}
