/** Replaces loop variables of expressions by positions: to share loops out, and to cut tiles. */
import type { Expression } from '../plan/expression.js';
import { mapPositions } from '../plan/merge.js';
import {
  type Atom,
  fixed,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  quotient,
  remainder,
  times,
  unflatten,
} from '../plan/position.js';

export type Replacements = ReadonlyMap<string, Position>;

/** A position with loop variables replaced; divisions that then cancel are gone. */
export function substituteInPosition(at: Position, by: Replacements): Position {
  const atom = (a: Atom): Position => {
    if (a.kind === 'loop') return by.get(a.name) ?? ofAtom(a);
    const of = substituteInPosition(a.of, by);
    return a.kind === 'quotient' ? quotient(of, a.by) : remainder(of, a.by);
  };
  return at.terms.reduce<Position>(
    (sum, t) => plus(sum, times(atom(t.atom), t.coefficient)),
    fixed(at.constant),
  );
}

/** An expression with loop variables replaced. What was shared stays shared. */
export const substitute = (body: Expression, by: Replacements): Expression =>
  mapPositions(body, (p) => substituteInPosition(p, by));

/** Loop variables as parts of one flat position over all of them, the outermost first. */
export function loopsFrom(loops: readonly LoopVariable[], flat: Position): Replacements {
  const sizes = loops.map((l) => l.size);
  const places = unflatten(sizes, flat);
  return new Map(loops.map((l, i) => [l.name, places[i] as Position]));
}

/**
 * As `loopsFrom` for the position `group · count + nth`, a few neighbours to a group. Where the innermost
 * loop divides into groups, what the neighbours share is the same text for all of them.
 */
export function loopsInGroup(
  loops: readonly LoopVariable[],
  group: LoopVariable,
  count: number,
  nth: number,
): Replacements {
  const innermost = loops.at(-1);
  if (innermost === undefined || innermost.size % count !== 0) {
    return loopsFrom(loops, plus(times(ofAtom(group), count), fixed(nth)));
  }
  const grouped = { ...innermost, size: innermost.size / count };
  const places = loopsFrom([...loops.slice(0, -1), grouped], ofAtom(group));
  const inner = places.get(innermost.name) as Position;
  return new Map([...places, [innermost.name, plus(times(inner, count), fixed(nth))]]);
}
