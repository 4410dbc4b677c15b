/** Replaces loop variables of an expression by positions: to share loops out, and to cut tiles. */
import type { Condition, Expression, KeyWords } from '../plan/expression.js';
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
export function substitute(body: Expression, by: Replacements): Expression {
  const known = new Map<Expression, Expression>();
  const visit = (e: Expression): Expression => {
    const before = known.get(e);
    if (before !== undefined) return before;
    const made = make(e);
    known.set(e, made);
    return made;
  };
  const position = (at: Position) => substituteInPosition(at, by);
  const key = ([a, b]: KeyWords): KeyWords => [visit(a), visit(b)];
  const condition = (c: Condition): Condition => ({ ...c, at: position(c.at) });
  const make = (e: Expression): Expression => {
    switch (e.kind) {
      case 'number':
        return e;
      case 'position':
      case 'load':
        return { ...e, at: position(e.at) };
      case 'gather':
        return { ...e, row: visit(e.row), at: position(e.at) };
      case 'apply':
        return { ...e, operands: e.operands.map(visit) };
      case 'guard':
        return {
          ...e,
          conditions: e.conditions.map(condition),
          inside: visit(e.inside),
          outside: visit(e.outside),
        };
      case 'fold':
        return { ...e, body: visit(e.body) };
      case 'randomWord':
        return { ...e, key: key(e.key), at: position(e.at) };
      case 'derivedWord':
        return { ...e, key: key(e.key), data: visit(e.data), word: position(e.word) };
    }
  };
  return visit(body);
}

/** Loop variables as parts of one flat position over all of them, the outermost first. */
export function loopsFrom(loops: readonly LoopVariable[], flat: Position): Replacements {
  const sizes = loops.map((l) => l.size);
  const places = unflatten(sizes, flat);
  return new Map(loops.map((l, i) => [l.name, places[i] as Position]));
}
