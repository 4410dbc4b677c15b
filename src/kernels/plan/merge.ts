/**
 * Merging loops: where every position advances along two neighbouring loops as along one longer loop,
 * one loop does. Longer loops suit vectors and tiles.
 */
import { type Expression, type KeyWords, ownPositions, parts, positionsOf } from './expression.js';
import { type LoopVariable, ofAtom, type Position, plus, times } from './position.js';
import { loopsOfPosition } from './product.js';

/** An expression with every position replaced; what does not change, and what is shared, stays so. */
export function mapPositions(
  e: Expression,
  replace: (p: Position) => Position,
  known: Map<Expression, Expression> = new Map(),
): Expression {
  const keys = new Map<KeyWords, KeyWords>();
  const go = (x: Expression): Expression => {
    const before = known.get(x);
    if (before !== undefined) return before;
    const made = rebuilt(x);
    const same = made.kind === x.kind && unchanged(x, made);
    known.set(x, same ? x : made);
    return same ? x : made;
  };
  const goKey = (key: KeyWords): KeyWords => {
    const before = keys.get(key);
    if (before !== undefined) return before;
    const [first, second] = [go(key[0]), go(key[1])];
    const made = first === key[0] && second === key[1] ? key : ([first, second] as const);
    keys.set(key, made);
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
      case 'guard': {
        const conditions = x.conditions.map((c) => ({ ...c, at: replace(c.at) }));
        return { ...x, conditions, inside: go(x.inside), outside: go(x.outside) };
      }
      case 'fold':
        return { ...x, body: go(x.body) };
      case 'randomWord':
      case 'randomNormal':
        return { ...x, key: goKey(x.key), at: replace(x.at) };
      case 'derivedWord':
        return { ...x, key: goKey(x.key), data: go(x.data), word: replace(x.word) };
    }
  };
  return go(e);
}

/** Whether the parts and positions of two expressions of one kind are the same objects. */
const unchanged = (x: Expression, y: Expression): boolean => {
  const [before, after] = [x, y].map((e) => [...parts(e), ...ownPositions(e)]);
  return (before ?? []).every((part, i) => part === after?.[i]);
};

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
