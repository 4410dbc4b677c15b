/**
 * The decompositions are held to what defines them: Q orthonormal, A = Q R, A v = λ v, A = U S Vᵀ,
 * P X + X Q = C; in float64 on the reference, in float32 on wasm.
 */
import fc from 'fast-check';
import {
  type HostArray,
  invertSymmetric,
  key,
  randomisedSvd,
  solveSylvester,
  solveSymmetric,
  symmetricEigen,
  symmetricFunction,
  thinQr,
  thinSvd,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  type Backend,
  evaluate,
  referenceBackend,
  wasmBackend,
} from '../../../src/kernels/index.js';
import { between, generator, integerBetween, seeds } from '../../support/draw.js';
import { floats, relativeError, toNumbers } from '../../support/numeric.js';
import { runs } from '../../tooling/property.js';
import {
  diagonalMatrix,
  distance,
  draw,
  eye,
  type Matrix,
  matricesOf,
  product,
  rowsOf,
  symmetrised,
  transposed,
} from './support.js';

const BACKENDS = [
  ['reference', async () => referenceBackend(), 1e-12],
  ['wasm', () => wasmBackend({ threads: 1 }), 1e-5],
] as const;

describe.each(BACKENDS)('decompositions on %s', (name, open, tolerance) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.dispose());

  const runAll = <T>(f: (...args: Value[]) => unknown, ...args: HostArray[]): Promise<T> =>
    evaluate(f as never, backend, ...(args as never[])) as unknown as Promise<T>;
  const examples = { numRuns: runs(name === 'reference' ? 15 : 6) };

  const orthonormal = (q: Matrix) =>
    distance(eye((q[0] as number[]).length), product(transposed(q), q));

  test('QR', async () => {
    const deficient = fc.boolean();
    await fc.assert(
      fc.asyncProperty(seeds, deficient, async (seed, dependent) => {
        const random = generator(seed);
        const n = integerBetween(random, 1, 6);
        const m = n + integerBetween(random, 0, 7);
        const a = draw(seed, [2, m, n], 10 ** between(random, -6, 6));
        // A column twice, and one of zeros.
        if (dependent && n > 2) {
          for (let l = 0; l < 2; l++) {
            for (let i = 0; i < m; i++) {
              a.set(l, i, 1, a.get(l, i, 0));
              a.set(l, i, 2, 0);
            }
          }
        }
        const { q, r } = await runAll<{ q: HostArray; r: HostArray }>(thinQr, a);
        matricesOf(a).forEach((matrix, l) => {
          const [ql, rl] = [matricesOf(q)[l] as Matrix, matricesOf(r)[l] as Matrix];
          expect(orthonormal(ql)).toBeLessThan(tolerance);
          expect(distance(matrix, product(ql, rl))).toBeLessThan(tolerance);
          rl.forEach((row, i) => {
            expect(row[i]).toBeGreaterThanOrEqual(0);
            expect(row.slice(0, i).every((x) => x === 0)).toBe(true);
          });
        });
      }),
      examples,
    );
  });

  test('symmetric eigenvalues', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 1, max: 9 }), async (seed, n) => {
        const size = 10 ** between(generator(seed), -8, 8);
        const a = symmetrised(draw(seed, [3, n, n], size), false);
        // Equal eigenvalues in the last one.
        for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a.set(2, i, j, i === j ? 2 : 1);
        const { values, vectors } = await runAll<Record<'values' | 'vectors', HostArray>>(
          (x) => symmetricEigen(x as Value),
          a,
        );
        matricesOf(a).forEach((matrix, l) => {
          const v = matricesOf(vectors)[l] as Matrix;
          const d = rowsOf(values)[l] as number[];
          expect(orthonormal(v)).toBeLessThan(tolerance);
          expect(
            distance(matrix, product(product(v, diagonalMatrix(d)), transposed(v))),
          ).toBeLessThan(tolerance);
          expect(d).toEqual([...d].sort((x, y) => y - x));
        });
      }),
      examples,
    );
  });

  test('singular values', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.boolean(), async (seed, dependent) => {
        const random = generator(seed);
        const [m, n] = [integerBetween(random, 1, 7), integerBetween(random, 1, 7)];
        const a = draw(seed, [2, m, n], 10 ** between(random, -8, 8));
        if (dependent) for (let j = 0; j < n; j++) a.set(0, m - 1, j, a.get(0, 0, j));
        const { u, s, v } = await runAll<Record<'u' | 's' | 'v', HostArray>>(
          (x) => thinSvd(x as Value),
          a,
        );
        matricesOf(a).forEach((matrix, l) => {
          const [ul, vl] = [matricesOf(u)[l] as Matrix, matricesOf(v)[l] as Matrix];
          const d = rowsOf(s)[l] as number[];
          expect(orthonormal(ul)).toBeLessThan(tolerance);
          expect(orthonormal(vl)).toBeLessThan(tolerance);
          expect(
            distance(matrix, product(product(ul, diagonalMatrix(d)), transposed(vl))),
          ).toBeLessThan(tolerance);
          expect(d).toEqual([...d].sort((x, y) => y - x));
          expect(Math.min(...d)).toBeGreaterThanOrEqual(0);
        });
      }),
      examples,
    );
  });

  test('linear equations, inverses, functions and Sylvester', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 1, max: 6 }), async (seed, n) => {
        const k = 1 + (seed % 4);
        const p = symmetrised(draw(seed, [2, n, n]), true);
        const q = symmetrised(draw(seed + 1, [2, k, k]), true);
        const c = draw(seed + 2, [2, n, k]);
        const out = await runAll<Record<string, HostArray>>(
          (a, b, right) => {
            const [left, other] = [symmetricEigen(a as Value), symmetricEigen(b as Value)];
            return {
              solution: solveSymmetric(a as Value, right as Value),
              damped: invertSymmetric(a as Value, { damping: 0.5 }),
              same: symmetricFunction(left, (x) => x),
              sylvester: solveSylvester({ left, right: other, constant: right as Value }),
            };
          },
          p,
          q,
          c,
        );
        const at = (part: string, l: number) => matricesOf(out[part] as HostArray)[l] as Matrix;
        const loose = 40 * tolerance; // eigenvalues reach down to 0.05
        for (const l of [0, 1]) {
          const [pl, ql, cl] = [p, q, c].map((x) => matricesOf(x)[l] as Matrix) as Matrix[] as [
            Matrix,
            Matrix,
            Matrix,
          ];
          expect(distance(cl, product(pl, at('solution', l)))).toBeLessThan(loose);
          const shifted = pl.map((row, i) => row.map((x, j) => x + (i === j ? 0.5 : 0)));
          expect(distance(eye(n), product(shifted, at('damped', l)))).toBeLessThan(loose);
          expect(distance(pl, at('same', l))).toBeLessThan(tolerance);
          const x = at('sylvester', l);
          const [px, xq] = [product(pl, x), product(x, ql)];
          const sum = px.map((row, i) => row.map((y, j) => y + ((xq[i] as number[])[j] as number)));
          expect(distance(cl, sum)).toBeLessThan(loose);
        }
      }),
      examples,
    );
  });

  test('the leading subspace of a matrix that falls off', async () => {
    // Singular values 1, 1/2, 1/4, …: after two power iterations the basis is right to about 2^(-5·4).
    const [m, n, rank] = [23, 14, 3];
    const [u, v] = await Promise.all(
      [m, n].map((rows, i) => runAll<HostArray>((x) => thinQr(x).q, draw(91 + i, [rows, n]))),
    );
    const powers = Array.from({ length: n }, (_, i) => 2 ** -i);
    const a = product(
      product(matricesOf(u as HostArray)[0] as Matrix, diagonalMatrix(powers)),
      transposed(matricesOf(v as HostArray)[0] as Matrix),
    );
    const given = floats(a.flat(), [m, n]);
    const out = await runAll<Record<'u' | 's' | 'v', HostArray>>(
      (x) => randomisedSvd(x as Value, key(3), { rank, oversampling: 4 }),
      given,
    );
    expect(relativeError(toNumbers(out.s), powers.slice(0, rank))).toBeLessThan(1e-5);
    const best = (basis: HostArray, from: HostArray) =>
      product(
        transposed(matricesOf(basis)[0] as Matrix),
        (matricesOf(from)[0] as Matrix).map((row) => row.slice(0, rank)),
      );
    for (const [basis, from] of [
      [out.u, u],
      [out.v, v],
    ] as const) {
      // Orthonormal bases of one space: the product is orthogonal, here the identity up to signs.
      const overlap = best(basis, from as HostArray).map((row) => row.map(Math.abs));
      expect(distance(eye(rank), overlap)).toBeLessThan(1e-4);
    }
  });

  test('a basis as large as the matrix is exact', async () => {
    const a = draw(17, [2, 9, 4]);
    const out = await runAll<Record<'u' | 's' | 'v', HostArray>>(
      (x) => ({
        ...randomisedSvd(x as Value, key(5), { rank: 4 }),
        exact: thinSvd(x as Value).s,
      }),
      a,
    );
    const { s, exact } = out as unknown as Record<string, HostArray>;
    expect(relativeError(toNumbers(s as HostArray), toNumbers(exact as HostArray))).toBeLessThan(
      tolerance,
    );
  });
});
