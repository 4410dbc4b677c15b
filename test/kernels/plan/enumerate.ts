/** Symbolic positions and loop nests, evaluated one value after another. */
import type { Expression } from '../../../src/kernels/plan/expression.js';
import type { Atom, LoopVariable, Position } from '../../../src/kernels/plan/position.js';

/** Values of loop variables by name. */
export type Point = ReadonlyMap<string, number>;

export const loop = (name: string, size: number): LoopVariable => ({ kind: 'loop', name, size });

/** What a position is where its loop variables have these values. */
export function valueAt({ constant, terms }: Position, point: Point): number {
  const atomAt = (atom: Atom): number => {
    if (atom.kind === 'loop') {
      const value = point.get(atom.name);
      if (value === undefined) throw new Error(`loop ${atom.name} is not open`);
      return value;
    }
    const inner = valueAt(atom.of, point);
    return atom.kind === 'quotient' ? Math.trunc(inner / atom.by) : inner % atom.by;
  };
  return terms.reduce((sum, t) => sum + t.coefficient * atomAt(t.atom), constant);
}

/** Every point that a loop nest passes, in its order. */
export const pointsOf = (loops: readonly LoopVariable[]): Point[] =>
  loops.reduce<Point[]>(
    (points, { name, size }) =>
      points.flatMap((p) => Array.from({ length: size }, (_, i) => new Map([...p, [name, i]]))),
    [new Map()],
  );

/** The values of some positions at every point of a loop nest, in its order. */
export const visited = (
  loops: readonly LoopVariable[],
  positions: readonly Position[],
): readonly (readonly number[])[] =>
  pointsOf(loops).map((point) => positions.map((p) => valueAt(p, point)));

export type FoldOf = Extract<Expression, { kind: 'fold' }>;
