/** Positions as gpu.js source. */
import type { Condition } from '../plan/expression.js';
import {
  type Atom,
  bounds,
  fixed,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  positionKey,
  times,
} from '../plan/position.js';
import { literal } from './math.js';
import type { Writer } from './writer.js';

/** What a loop variable is at some point: a variable, and how far ahead of it an unrolled term is. */
export interface Unrolled {
  /** `undefined` where the loop is written out whole and `ahead` is the variable's value. */
  readonly variable: LoopVariable | undefined;
  readonly ahead: number;
}

export interface PositionPrinter {
  readonly position: (at: Position) => string;
  /** A position as an index of an array, kept inside it where a guard's other side may leave it. */
  readonly index: (size: number, at: Position) => string;
  /** An index brought into 0 … last. */
  readonly clamp: (last: number, text: string) => string;
  /** Whether all conditions hold. */
  readonly guard: (conditions: readonly Condition[]) => string;
  /** Loop variables that are being written out. */
  readonly unrolled: Map<string, Unrolled>;
  /** Loop variables that are a coordinate of the thread. */
  readonly threadNames: Map<string, string>;
}

export function positionPrinter(writer: Writer): PositionPrinter {
  const unrolled = new Map<string, Unrolled>();
  const threadNames = new Map<string, string>();

  const atomText = (atom: Atom): string => {
    if (atom.kind === 'loop') return threadNames.get(atom.name) ?? atom.name;
    const of = resolve(atom.of);
    const key = `${atom.kind}${atom.by}:${positionKey(of)}`;
    return writer.remember(key, () => {
      const p = writer.local(position(of));
      // Exact for all p below 2²⁴ in every mode, unlike ⌊p / by⌋.
      return atom.kind === 'remainder'
        ? `${p} % ${atom.by}`
        : `Math.floor((${p} - ${p} % ${atom.by}) / ${literal(atom.by)} + 0.5)`;
    });
  };
  /** The position with unrolled loop variables replaced. */
  const resolve = ({ constant, terms }: Position): Position =>
    terms.reduce<Position>((sum, { atom, coefficient }) => {
      const variable = atom.kind === 'loop' ? unrolled.get(atom.name) : undefined;
      if (variable === undefined) return plus(sum, times(ofAtom(atom), coefficient));
      const moved = plus(sum, fixed(coefficient * variable.ahead));
      return variable.variable === undefined
        ? moved
        : plus(moved, times(ofAtom(variable.variable), coefficient));
    }, fixed(constant));
  const position = (given: Position): string => {
    const { constant, terms } = resolve(given);
    const texts = terms.map(({ atom, coefficient }) =>
      coefficient === 1 ? atomText(atom) : `${atomText(atom)} * ${coefficient}`,
    );
    if (constant !== 0 || texts.length === 0) texts.push(String(constant));
    return texts.join(' + ').replaceAll('+ -', '- ');
  };
  /** GLSL has no `min` of mixed types, so there in floats. */
  const clamp = (last: number, text: string): string =>
    writer.mode === 'webgl2'
      ? writer.asFloat(`Math.max(0.0, Math.min(${literal(last)}, ${writer.asFloat(text)}))`)
      : `Math.max(0, Math.min(${last}, ${text}))`;
  const index = (size: number, at: Position): string => {
    const [low, high] = bounds(resolve(at));
    const text = position(at);
    return low < 0 || high >= size ? clamp(size - 1, text) : text;
  };

  const guard = (conditions: readonly Condition[]): string =>
    conditions
      .flatMap(({ at, low, high, step }) => {
        const [least, greatest] = bounds(resolve(at));
        const text = position(at);
        return [
          ...(least < low ? [`${text} >= ${low}`] : []),
          ...(greatest >= high ? [`${text} < ${high}`] : []),
          ...(step > 1 ? [`(${text} - ${low}) % ${step} === 0`] : []),
        ];
      })
      .join(' && ') || '1 > 0';

  return { position, index, clamp, guard, unrolled, threadNames };
}
