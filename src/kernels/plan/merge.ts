/**
 * Merging loops: where every position advances along two neighbouring loops as along one longer loop,
 * one loop does. Longer loops suit vectors and tiles.
 */
import type { Expression } from './expression.js';
import { positionsOf } from './expression.js';
import { type LoopVariable, ofAtom, type Position, plus, times } from './position.js';
import { loopsOfPosition } from './product.js';

/** An expression with every position replaced; shared parts stay shared. */
export function mapPositions(
  e: Expression,
  replace: (p: Position) => Position,
  known: Map<Expression, Expression> = new Map(),
): Expression {
  const go = (x: Expression): Expression => {
    const before = known.get(x);
    if (before !== undefined) return before;
    const made = rebuilt(x);
    known.set(x, made);
    return made;
  };
  const rebuilt = (x: Expression): Expression => {
    switch (x.kind) {
      case 'number':
        return x;
      case 'position':
      case 'load':
        return { ...x, at: replace(x.at) };
      case 'gather':
        return { ...x, row: go(x.row), at: replace(x.at) };
      case 'apply':
        return { ...x, operands: x.operands.map(go) };
      case 'guard':
        return {
          ...x,
          conditions: x.conditions.map((c) => ({ ...c, at: replace(c.at) })),
          inside: go(x.inside),
          outside: go(x.outside),
        };
      case 'fold':
        return { ...x, body: go(x.body) };
      case 'randomWord':
        return { ...x, key: [go(x.key[0]), go(x.key[1])], at: replace(x.at) };
      case 'derivedWord':
        return {
          ...x,
          key: [go(x.key[0]), go(x.key[1])],
          data: go(x.data),
          word: replace(x.word),
        };
    }
  };
  return go(e);
}

const coefficient = (p: Position, { name }: LoopVariable): number =>
  p.terms.find((t) => t.atom.kind === 'loop' && t.atom.name === name)?.coefficient ?? 0;

const standsBelow = (p: Position, { name }: LoopVariable): boolean =>
  p.terms.some(({ atom }) => atom.kind !== 'loop' && loopsOfPosition(atom.of).has(name));

/** What two loops become, as a rewriting of positions; `undefined` where some position forbids it. */
function joinPair(
  outer: LoopVariable,
  inner: LoopVariable,
  positions: readonly Position[],
): { readonly loop: LoopVariable; readonly replace: (p: Position) => Position } | undefined {
  const fits = (p: Position): boolean =>
    !standsBelow(p, outer) &&
    !standsBelow(p, inner) &&
    coefficient(p, outer) === coefficient(p, inner) * inner.size;
  if (!positions.every(fits)) return undefined;
  const loop: LoopVariable = {
    kind: 'loop',
    name: `${outer.name}${inner.name}`,
    size: outer.size * inner.size,
  };
  const replace = (p: Position): Position => {
    const step = coefficient(p, inner);
    if (step === 0) return p;
    const rest = p.terms.filter(
      ({ atom }) => atom.kind !== 'loop' || (atom.name !== outer.name && atom.name !== inner.name),
    );
    return plus({ constant: p.constant, terms: rest }, times(ofAtom(loop), step));
  };
  return { loop, replace };
}

export interface Merged {
  readonly loops: readonly LoopVariable[];
  /** The replacement of positions that the merging asks for. */
  readonly replace: (p: Position) => Position;
}

/** Merges neighbouring loops (outermost first) as far as all positions allow. */
export function mergeLoops(loops: readonly LoopVariable[], positions: readonly Position[]): Merged {
  const wide = loops.filter((v) => v.size > 1);
  for (let i = wide.length - 2; i >= 0; i--) {
    const joined = joinPair(wide[i] as LoopVariable, wide[i + 1] as LoopVariable, positions);
    if (joined === undefined) continue;
    const rest = mergeLoops(
      [...wide.slice(0, i), joined.loop, ...wide.slice(i + 2)],
      positions.map(joined.replace),
    );
    return { loops: rest.loops, replace: (p) => rest.replace(joined.replace(p)) };
  }
  return { loops: wide, replace: (p) => p };
}

/** Merges the loops of every fold of an expression. */
export function mergeFolds(e: Expression): Expression {
  const known = new Map<Expression, Expression>();
  const visit = (x: Expression): Expression => {
    const before = known.get(x);
    if (before !== undefined) return before;
    const made = rebuilt(x);
    known.set(x, made);
    return made;
  };
  const rebuilt = (x: Expression): Expression => {
    if (x.kind === 'apply') return { ...x, operands: x.operands.map(visit) };
    if (x.kind === 'guard') return { ...x, inside: visit(x.inside), outside: visit(x.outside) };
    if (x.kind !== 'fold' || x.fold === 'argmax') return x;
    const body = visit(x.body);
    const { loops, replace } = mergeLoops(x.loops, positionsOf(body));
    return { ...x, loops, body: mapPositions(body, replace) };
  };
  return visit(e);
}
