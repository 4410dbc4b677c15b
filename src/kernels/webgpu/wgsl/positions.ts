/**
 * Positions as WGSL: i32 arithmetic, whose quotients and remainders round towards zero as the plan's
 * do. Indices outside an array need no care: WebGPU keeps every access inside its buffer, and what a
 * guard's other side would have read is never used.
 */
import type { Condition } from '../../plan/expression.js';
import { type Atom, bounds, type Position, positionKey } from '../../plan/position.js';
import type { Writer } from './writer.js';

export interface PositionPrinter {
  readonly position: (at: Position) => string;
  /** Whether all conditions hold. */
  readonly guard: (conditions: readonly Condition[]) => string;
}

export function positionPrinter(writer: Writer): PositionPrinter {
  const atomText = (atom: Atom): string => {
    if (atom.kind === 'loop') return atom.name;
    const key = `${atom.kind}${atom.by}:${positionKey(atom.of)}`;
    return writer.remember(
      key,
      () => `(${position(atom.of)}) ${atom.kind === 'remainder' ? '%' : '/'} ${atom.by}`,
    );
  };
  const position = ({ constant, terms }: Position): string => {
    const texts = terms.map(({ atom, coefficient }) =>
      coefficient === 1 ? atomText(atom) : `${atomText(atom)} * ${coefficient}`,
    );
    if (constant !== 0 || texts.length === 0) texts.push(String(constant));
    return texts.join(' + ').replaceAll('+ -', '- ');
  };
  const guard = (conditions: readonly Condition[]): string =>
    conditions
      .flatMap(({ at, low, high, step }) => {
        const [least, greatest] = bounds(at);
        const text = position(at);
        return [
          ...(least < low ? [`${text} >= ${low}`] : []),
          ...(greatest >= high ? [`${text} < ${high}`] : []),
          ...(step > 1 ? [`(${text} - ${low}) % ${step} == 0`] : []),
        ];
      })
      .join(' && ') || 'true';
  return { position, guard };
}
