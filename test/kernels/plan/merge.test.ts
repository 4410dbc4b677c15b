/** Merging loops: the same positions in the same order, as few loops as they allow. */
import fc from 'fast-check';
import type { Var } from '../../../src/autodiff/index.js';
import {
  type Expression,
  type KeyWords,
  number,
  positionsOf,
} from '../../../src/kernels/plan/expression.js';
import { mapPositions, mergeFolds, mergeLoops } from '../../../src/kernels/plan/merge.js';
import {
  fixed,
  flatten,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  positionKey,
  quotient,
  remainder,
  times,
} from '../../../src/kernels/plan/position.js';
import { runs } from '../../tooling/property.js';
import { type FoldOf, loop, visited } from './enumerate.js';

const buffer: Var = { id: 1, shape: [1000], dtype: 'float' };
const load = (at: Position): Expression => ({ kind: 'load', buffer, at });
const [a, b, c] = [loop('a', 3), loop('b', 4), loop('c', 5)] as const;
const over = (...loops: LoopVariable[]): Position =>
  flatten(
    loops.map((v) => v.size),
    loops.map(ofAtom),
  );

/** A position over all loops: rows longer than what is read of them, or divided, now and then. */
const nests = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
  .chain((sizes) => {
    const loops = sizes.map((size, i) => loop(`i${i}`, size));
    const rarely = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(2));
    const position = fc
      .record({
        scale: fc.nat(3),
        spare: fc.array(rarely, { minLength: sizes.length, maxLength: sizes.length }),
        skipped: fc.array(rarely, { minLength: sizes.length, maxLength: sizes.length }),
        divided: rarely,
        by: fc.integer({ min: 2, max: 5 }),
        constant: fc.nat(3),
      })
      .map(({ scale, spare, skipped, divided, by, constant }) => {
        let [step, at] = [scale, fixed(constant)];
        for (let i = loops.length - 1; i >= 0; i--) {
          const own = skipped[i] === 1 ? 0 : step;
          at = plus(at, times(ofAtom(loops[i] as LoopVariable), own));
          step *= (sizes[i] as number) + (spare[i] as number);
        }
        return divided === 0 ? at : (divided === 1 ? quotient : remainder)(at, by);
      });
    return fc.record({
      loops: fc.constant(loops),
      positions: fc.array(position, { minLength: 1, maxLength: 3 }),
    });
  });

test('merged loops visit the same positions in the same order', () => {
  let fewer = 0;
  fc.assert(
    fc.property(nests, ({ loops, positions }) => {
      const merged = mergeLoops(loops, positions);
      expect(visited(merged.loops, positions.map(merged.replace))).toEqual(
        visited(loops, positions),
      );
      const wide = loops.filter((v) => v.size > 1).length;
      if (merged.loops.length < wide) fewer += 1;
      expect(new Set(merged.loops.map((v) => v.name)).size).toBe(merged.loops.length);
    }),
    { numRuns: runs(500) },
  );
  // Or the property would say nothing.
  expect(fewer).toBeGreaterThan(50);
});

test('what lies in one piece is one loop', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 5 }), (sizes) => {
      const loops = sizes.map((size, i) => loop(`i${i}`, size));
      const at = over(...loops);
      const merged = mergeLoops(loops, [at, plus(times(at, 3), fixed(7)), fixed(2)]);
      const size = sizes.reduce((n, d) => n * d, 1);
      expect(merged.loops.map((v) => v.size)).toEqual(size > 1 ? [size] : []);
    }),
    { numRuns: runs(50) },
  );
});

test.each<[string, Position[], number[]]>([
  ['rows with a gap after each', [plus(times(ofAtom(a), 24), over(b, c))], [3, 20]],
  ['a gap inside', [plus(times(over(a, b), 6), ofAtom(c))], [12, 5]],
  ['an operand that is the same for all rows', [over(a, b, c), ofAtom(c)], [12, 5]],
  ['an operand that is the same along the columns', [over(a, b, c), over(a, b)], [12, 5]],
  ['columns in front', [over(c, a, b)], [12, 5]],
  ['a quotient', [quotient(over(a, b, c), 7)], [3, 4, 5]],
  ['a remainder of the innermost', [over(a, b, c), remainder(ofAtom(c), 2)], [12, 5]],
  ['nothing at all', [fixed(3)], [60]],
])('%s', (_, positions, sizes) => {
  expect(mergeLoops([a, b, c], positions).loops.map((v) => v.size)).toEqual(sizes);
});

describe('replacing positions', () => {
  const key: KeyWords = [load(ofAtom(a)), load(plus(ofAtom(a), fixed(1)))];
  const shared = load(ofAtom(b));
  const word = (at: Position): Expression => ({ kind: 'randomWord', key, at });
  const drawn: Expression = { kind: 'randomNormal', key, at: ofAtom(b) };
  const fold: Expression = { kind: 'fold', fold: 'sum', loops: [c], body: load(over(b, c)) };
  const guard: Expression = {
    kind: 'guard',
    conditions: [{ at: ofAtom(b), low: 1, high: 3, step: 1 }],
    inside: shared,
    outside: number(0),
  };
  const gather: Expression = {
    kind: 'gather',
    buffer,
    row: load(ofAtom(a)),
    rows: 9,
    width: 4,
    at: ofAtom(b),
  };
  const derived: Expression = {
    kind: 'derivedWord',
    key,
    purpose: 1,
    data: shared,
    word: ofAtom(a),
  };
  const leaves = [shared, word(over(a, b)), word(ofAtom(c)), fold, guard, gather, derived, drawn];
  const body: Expression = {
    kind: 'apply',
    name: 'add',
    operands: [...leaves, { kind: 'position', at: ofAtom(c) }],
    dtype: 'float',
    from: 'float',
  };
  const operandsOf = (e: Expression) => (e as typeof body & { kind: 'apply' }).operands;

  test('by themselves gives the very same expression', () => {
    expect(mapPositions(body, (p) => p)).toBe(body);
  });

  test('changes those and nothing else; what was shared stays shared', () => {
    const isB = positionKey(ofAtom(b));
    const moved = mapPositions(body, (p) => (positionKey(p) === isB ? fixed(2) : p));
    const after = operandsOf(moved);
    expect(
      positionsOf(moved)
        .map(positionKey)
        .filter((k) => k === isB),
    ).toEqual([]);
    // Words, the fold and the position do not read at b alone.
    for (const i of [1, 2, 3, 8]) expect(after[i]).toBe(operandsOf(body)[i]);
    for (const i of [0, 4, 5, 6, 7]) expect(after[i]).not.toBe(operandsOf(body)[i]);
    expect((after[4] as typeof guard & { kind: 'guard' }).inside).toBe(after[0]);
    expect((after[6] as typeof derived & { kind: 'derivedWord' }).data).toBe(after[0]);
  });

  test('keeps the key of several words one key', () => {
    const moved = operandsOf(
      mapPositions(body, (p) => (positionKey(p) === positionKey(ofAtom(a)) ? fixed(4) : p)),
    );
    const keys = [moved[1], moved[2], moved[6], moved[7]].map((e) => (e as { key: KeyWords }).key);
    expect(keys[0]).not.toBe(key);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).toBe(keys[0]);
    expect(keys[3]).toBe(keys[0]);
    expect((keys[0] as KeyWords)[1]).toBe(key[1]);
  });

  test('every kind of position is replaced', () => {
    const every = mapPositions(body, (p) => plus(p, fixed(100)));
    expect(positionsOf(every).map((p) => p.constant)).toEqual(
      positionsOf(body).map((p) => p.constant + 100),
    );
  });
});

describe('folds', () => {
  const of = (kind: FoldOf['fold'], at: Position): Expression => ({
    kind: 'apply',
    name: 'neg',
    operands: [{ kind: 'fold', fold: kind, loops: [b, c], body: load(at) }],
    dtype: 'float',
    from: 'float',
  });
  const foldIn = (e: Expression): FoldOf =>
    (e as { operands: readonly FoldOf[] }).operands[0] as FoldOf;

  test.each(['sum', 'max'] as const)('a %s over one piece of memory is one loop', (kind) => {
    const at = plus(times(ofAtom(a), 40), over(b, c));
    const merged = foldIn(mergeFolds(of(kind, at)));
    expect(merged.loops.map((v) => v.size)).toEqual([20]);
    expect(visited([a, ...merged.loops], positionsOf(merged.body))).toEqual(
      visited([a, b, c], [at]),
    );
  });

  test('the place of the greatest element keeps its loops', () => {
    expect(foldIn(mergeFolds(of('argmax', over(b, c)))).loops).toEqual([b, c]);
  });

  test('a sum with gaps keeps its loops', () => {
    expect(foldIn(mergeFolds(of('sum', plus(times(ofAtom(b), 7), ofAtom(c))))).loops).toEqual([
      b,
      c,
    ]);
  });
});
