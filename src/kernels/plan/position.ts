/**
 * Symbolic positions: integer expressions in the loop variables of a kernel, kept as
 *
 *     constant + Σ coefficient · atom
 *
 * where an atom is a loop variable, or a quotient or remainder of another position. Broadcast,
 * transpose, slice and reshape only rewrite positions, so that they cost nothing at run time; a
 * reshape's divisions mostly cancel here (⌊(w·i + j) / w⌋ = i for 0 ≤ j < w).
 */

/** A loop variable: takes the values 0 … size − 1. */
export interface LoopVariable {
  readonly kind: 'loop';
  readonly name: string;
  readonly size: number;
}

/** An integer that is no sum of others. */
export type Atom =
  | LoopVariable
  | { readonly kind: 'quotient'; readonly of: Position; readonly by: number; readonly size: number }
  | {
      readonly kind: 'remainder';
      readonly of: Position;
      readonly by: number;
      readonly size: number;
    };

interface Term {
  readonly atom: Atom;
  readonly coefficient: number;
}

export interface Position {
  readonly constant: number;
  readonly terms: readonly Term[];
}

export const fixed = (constant: number): Position => ({ constant, terms: [] });

export const ofAtom = (atom: Atom): Position =>
  atom.size === 1 ? fixed(0) : { constant: 0, terms: [{ atom, coefficient: 1 }] };

/** Text that is equal for equal positions. */
export const positionKey = ({ constant, terms }: Position): string =>
  [constant, ...terms.map((t) => `${t.coefficient}*${atomKey(t.atom)}`).sort()].join('+');

const atomKey = (atom: Atom): string =>
  atom.kind === 'loop' ? atom.name : `${atom.kind[0]}(${positionKey(atom.of)},${atom.by})`;

export function plus(a: Position, b: Position): Position {
  const terms = new Map<string, Term>();
  for (const term of [...a.terms, ...b.terms]) {
    const key = atomKey(term.atom);
    const coefficient = (terms.get(key)?.coefficient ?? 0) + term.coefficient;
    terms.set(key, { atom: term.atom, coefficient });
  }
  return {
    constant: a.constant + b.constant,
    terms: [...terms.values()].filter((t) => t.coefficient !== 0),
  };
}

export const times = (a: Position, factor: number): Position =>
  factor === 0
    ? fixed(0)
    : {
        constant: a.constant * factor,
        terms: a.terms.map((t) => ({ ...t, coefficient: t.coefficient * factor })),
      };

/**
 * The least and greatest value of an atom. Where a guard's other side is taken, a quotient or
 * remainder may be asked of a negative position; like JavaScript's they then round towards zero.
 */
function atomBounds(atom: Atom): readonly [number, number] {
  if (atom.kind === 'loop') return [0, atom.size - 1];
  const [low, high] = bounds(atom.of);
  return atom.kind === 'quotient'
    ? [Math.trunc(low / atom.by), Math.trunc(high / atom.by)]
    : [low < 0 ? 1 - atom.by : 0, high > 0 ? atom.by - 1 : 0];
}

/** The least and greatest value, or a wider range. */
export function bounds({ constant, terms }: Position): readonly [number, number] {
  return terms.reduce<readonly [number, number]>(
    ([low, high], { atom, coefficient }) => {
      const [a, b] = atomBounds(atom).map((end) => coefficient * end) as [number, number];
      return [low + Math.min(a, b), high + Math.max(a, b)];
    },
    [constant, constant],
  );
}

/** Splits a non-negative position into q · by + r with the part r as small as the terms allow. */
function splitBy(a: Position, by: number): { readonly whole: Position; readonly rest: Position } {
  const wholeTerms = a.terms.filter((t) => t.coefficient % by === 0);
  const restTerms = a.terms.filter((t) => t.coefficient % by !== 0);
  const restConstant = ((a.constant % by) + by) % by;
  // Divided, not multiplied by 1/by: 49 · (1/49) is less than 1 in floating point.
  const divided = wholeTerms.map((t) => ({ ...t, coefficient: t.coefficient / by }));
  return {
    whole: { constant: (a.constant - restConstant) / by, terms: divided },
    rest: { constant: restConstant, terms: restTerms },
  };
}

const sits = (a: Position, below: number): boolean => {
  const [low, high] = bounds(a);
  return low >= 0 && high < below;
};

/** ⌊a / by⌋ for a ≥ 0. */
export function quotient(a: Position, by: number): Position {
  if (by === 1) return a;
  const { whole, rest } = splitBy(a, by);
  if (sits(rest, by)) return whole;
  const [low, high] = bounds(rest);
  // ⌊⌊p / u⌋ / v⌋ = ⌊p / (u·v)⌋
  const [only] = rest.terms;
  if (rest.terms.length === 1 && rest.constant === 0 && only?.coefficient === 1) {
    const { atom } = only;
    if (atom.kind === 'quotient') return plus(whole, quotient(atom.of, atom.by * by));
  }
  const source = low < 0 ? a : rest;
  const added = low < 0 ? fixed(0) : whole;
  const size = Math.floor((low < 0 ? bounds(a)[1] : high) / by) + 1;
  return plus(added, ofAtom({ kind: 'quotient', of: source, by, size }));
}

/** a mod by for a ≥ 0. */
export function remainder(a: Position, by: number): Position {
  if (by === 1) return fixed(0);
  const { rest } = splitBy(a, by);
  if (sits(rest, by)) return rest;
  const [low] = bounds(rest);
  return ofAtom({ kind: 'remainder', of: low < 0 ? a : rest, by, size: by });
}

/** The row-major position of coordinates in a shape. */
export const flatten = (shape: readonly number[], coordinates: readonly Position[]): Position =>
  shape.reduce<Position>(
    (sum, d, axis) => plus(times(sum, d), coordinates[axis] as Position),
    fixed(0),
  );

/** The coordinates in a shape of a row-major position. */
export function unflatten(shape: readonly number[], position: Position): readonly Position[] {
  const coordinates = new Array<Position>(shape.length);
  let rest = position;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const d = shape[axis] as number;
    coordinates[axis] = d === 1 ? fixed(0) : axis === 0 ? rest : remainder(rest, d);
    rest = quotient(rest, d);
  }
  return coordinates;
}

/** The least number of leading axes, one at least of each, that hold equally many elements. */
function leadingGroup(a: readonly number[], b: readonly number[]): readonly [number, number] {
  let [i, j] = [1, 1];
  let [left, right] = [a[0] ?? 1, b[0] ?? 1];
  while (left !== right && (i < a.length || j < b.length)) {
    if (j >= b.length || (left < right && i < a.length)) left *= a[i++] as number;
    else right *= b[j++] as number;
  }
  return [i, j];
}

/**
 * The coordinates in the shape `to` of what has these coordinates in the shape `from`, as a reshape
 * moves it. Axes are regrouped as few at a time as possible: a coordinate that only a guard keeps in
 * range (that of a concatenation's other part, say) then asks no division of its neighbours.
 */
export function regroup(
  from: readonly number[],
  to: readonly number[],
  coordinates: readonly Position[],
): readonly Position[] {
  if (from.length === 0 || to.length === 0) return unflatten(to, flatten(from, coordinates));
  const [i, j] = leadingGroup(from, to);
  const group = unflatten(to.slice(0, j), flatten(from.slice(0, i), coordinates.slice(0, i)));
  return [...group, ...regroup(from.slice(i), to.slice(j), coordinates.slice(i))];
}

/**
 * How a loop should be cut in two so that a position needs no division by its variable alone: the
 * name of the variable and the size of the inner part, which divides the loop's.
 */
export function wantedCut({ terms }: Position): { name: string; inner: number } | undefined {
  for (const { atom } of terms) {
    if (atom.kind === 'loop') continue;
    const [only] = atom.of.terms;
    const alone = atom.of.terms.length === 1 && atom.of.constant === 0 && only?.coefficient === 1;
    if (
      alone &&
      only?.atom.kind === 'loop' &&
      only.atom.size > atom.by &&
      only.atom.size % atom.by === 0
    ) {
      return { name: only.atom.name, inner: atom.by };
    }
    const deeper = wantedCut(atom.of);
    if (deeper !== undefined) return deeper;
  }
  return undefined;
}

/** Whether a position needs a division at run time. */
export const hasDivision = ({ terms }: Position): boolean =>
  terms.some(({ atom }) => atom.kind !== 'loop');
