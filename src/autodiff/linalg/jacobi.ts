/**
 * The plane rotations of Jacobi's method, many at once.
 *
 * In each round the columns are paired off, and every pair is turned by the angle that makes its two
 * columns orthogonal (or its off-diagonal element zero). The pairs of a round have no column in
 * common, so a round is a few elementwise kernels, whatever the size; after n − 1 rounds (n even) each
 * pair has met once, a *sweep*. The off-diagonal part shrinks quadratically from sweep to sweep.
 *
 * Arrays here are [n, n, L]: the stack of matrices is the last axis, along which kernels run, and a
 * round's partners are rows, fetched by `gather` with constant indices.
 *
 * Reference: Golub & Van Loan, "Matrix Computations" (4th ed.), sections 8.5.1–8.5.5 and 8.6.3.
 */
import { range } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { floats, ints } from '../core/host.js';
import type { Value } from '../core/value.js';
import { abs, add, div, equal, mul, select, sign, sqrt, sub } from '../primitives/elementwise.js';
import { gather } from '../primitives/indexing.js';
import { constant } from '../primitives/source.js';
import { reshape } from '../primitives/structural.js';
import { atLeastTiny } from './batch.js';

/** By column: the column that it is paired with; itself where the number is odd and it sits out. */
export type Partners = readonly number[];

/** The rounds of one sweep, by the circle method of round-robin tournaments. */
export function rounds(n: number): readonly Partners[] {
  const seats = n + (n % 2);
  return range(Math.max(0, seats - 1)).map((round) => {
    // Seat 0 stays, the others move on by one seat a round.
    const circle = [0, ...range(seats - 1).map((i) => 1 + ((i + round) % (seats - 1)))];
    const partners = range(n);
    circle.forEach((a, i) => {
      const b = circle[seats - 1 - i] as number;
      if (a < n && b < n) partners[a] = b;
    });
    return partners;
  });
}

/**
 * Sweeps unless told otherwise: ⌈log₂ n⌉ + 3, so 6 for n = 8 and 8 for n = 32. Random matrices are
 * done in float64 after one less, in float32 after two less.
 */
const usualSweeps = (n: number): number => Math.ceil(Math.log2(Math.max(2, n))) + 3;

/** All rounds of some sweeps, in order. */
export function sweeping(
  name: string,
  n: number,
  sweeps: number = usualSweeps(n),
): readonly Partners[] {
  if (!Number.isInteger(sweeps) || sweeps < 1) {
    throw new FlatloraError(
      'argument',
      `${name}: sweeps is ${sweeps}, expected a positive integer`,
    );
  }
  return range(sweeps).flatMap(() => rounds(n));
}

/** Cosine and sine of each column's rotation, [n, L]; a column's partner has the opposite sine. */
export interface Rotations {
  readonly cosine: Value;
  readonly sine: Value;
}

/** Rows of [n, rest…] in the order of `partners`. */
const partnersOf = (x: Value, partners: Partners): Value => gather(x, constant(ints(partners)));

/**
 * The rotations that diagonalise [[p, e], [e, q]] for each pair, by the smaller of the two angles.
 * @param diagonal p of each column, [n, L].
 * @param coupling e of each column and its partner, [n, L], equal for both.
 */
export function rotations(diagonal: Value, coupling: Value, partners: Partners): Rotations {
  const gap = sub(partnersOf(diagonal, partners), diagonal);
  // Where both are equal the turn is 45°, in opposite senses for the two; none without a partner.
  const sense = floats(
    partners.map((p, i) => Math.sign(p - i)),
    [partners.length, 1],
  );
  const direction = select(equal(gap, 0), sense, sign(gap));
  const twice = mul(2, coupling);
  const reach = add(abs(gap), sqrt(add(mul(gap, gap), mul(twice, twice))));
  const tangent = div(mul(direction, twice), atLeastTiny(reach));
  const cosine = div(1, sqrt(add(1, mul(tangent, tangent))));
  return { cosine, sine: mul(tangent, cosine) };
}

/** The columns of [p, n, L], each in the place of its partner. */
export function partnerColumns(x: Value, partners: Partners): Value {
  const [p, n, count] = x.shape as readonly [number, number, number];
  const index = range(p).flatMap((i) => partners.map((k) => i * n + k));
  return gather(reshape(x, [p * n, count]), constant(ints(index, [p, n])));
}

/** x J: the columns of [p, n, L] turned, column j and its partner k to c·xⱼ − s·xₖ. */
export function turnColumns(x: Value, { cosine, sine }: Rotations, partners: Partners): Value {
  const columns = [1, ...cosine.shape];
  const other = partnerColumns(x, partners);
  return sub(mul(x, reshape(cosine, columns)), mul(other, reshape(sine, columns)));
}

/** Jᵀ x J for x [n, n, L]. */
export function turnBoth(x: Value, { cosine, sine }: Rotations, partners: Partners): Value {
  const [n, , count] = x.shape as readonly [number, number, number];
  const flat = reshape(x, [n * n, count]);
  const at = (row: (i: number) => number, column: (j: number) => number): Value =>
    gather(
      flat,
      constant(
        ints(
          range(n).flatMap((i) => range(n).map((j) => row(i) * n + column(j))),
          [n, n],
        ),
      ),
    );
  const own = (i: number) => i;
  const other = (i: number) => partners[i] as number;
  const [cRow, sRow] = [reshape(cosine, [n, 1, count]), reshape(sine, [n, 1, count])];
  const [cColumn, sColumn] = [reshape(cosine, [1, n, count]), reshape(sine, [1, n, count])];
  const turned = (same: Value, swapped: Value) => sub(mul(same, cColumn), mul(swapped, sColumn));
  return sub(
    mul(turned(x, at(own, other)), cRow),
    mul(turned(at(other, own), at(other, other)), sRow),
  );
}
