/** Looks through expressions. */
import { type Expression, parts } from './expression.js';
import type { Position } from './position.js';

/** Every position that an expression uses. */
export function positionsOf(body: Expression): Position[] {
  const found: Position[] = [];
  const seen = new Set<Expression>();
  const visit = (e: Expression) => {
    if (seen.has(e)) return;
    seen.add(e);
    if (e.kind === 'load' || e.kind === 'gather' || e.kind === 'position') found.push(e.at);
    if (e.kind === 'randomWord') found.push(e.at);
    if (e.kind === 'derivedWord') found.push(e.word);
    if (e.kind === 'guard') found.push(...e.conditions.map((c) => c.at));
    parts(e).forEach(visit);
  };
  visit(body);
  return found;
}
