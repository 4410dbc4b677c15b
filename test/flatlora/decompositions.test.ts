/** Decompositions on the host. */
import { type HostArray, key } from '../../src/autodiff/index.js';
import {
  firstComponents,
  hostProduct,
  orthonormalBasis,
  positiveDefiniteSolver,
  randomisedSvd,
  type Svd,
  thinSvd,
} from '../../src/flatlora/decompositions.js';
import { floats, relativeError, toNumbers } from '../support/numeric.js';
import { gaussian, seeded } from './support.js';

const transposed = (x: HostArray): HostArray => {
  const [m, n] = x.shape as [number, number];
  return floats(
    Array.from({ length: m * n }, (_, i) => x.get(i % m, Math.floor(i / m))),
    [n, m],
  );
};
const identity = (n: number): HostArray =>
  floats(
    Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
    [n, n],
  );
const error = (x: HostArray, y: HostArray) => relativeError(toNumbers(x), toNumbers(y));
/** U·diag(s)·Vᵀ */
const product = ({ u, s, v }: Svd): HostArray => {
  const scaled = floats(
    toNumbers(u).map((x, i) => x * (s[i % s.length] as number)),
    u.shape,
  );
  return hostProduct(scaled, transposed(v));
};
const isOrthonormal = (x: HostArray) => {
  expect(error(hostProduct(transposed(x), x), identity(x.shape[1] as number))).toBeLessThan(1e-13);
};

/** A matrix with singular values `s`. */
const withSingularValues = (m: number, n: number, s: readonly number[], seed = 91): HostArray => {
  const basis = (rows: number, part: number) =>
    orthonormalBasis(gaussian(seeded(seed, part), [rows, s.length]));
  return product({ u: basis(m, 0), s, v: basis(n, 1) });
};

test.each<[number, number, readonly number[]]>([
  [9, 5, [5, 4, 3, 2, 1]],
  [5, 9, [5, 4, 3, 2, 1]],
  [6, 6, [7, 7, 7, 1e-3, 1e-6, 0]], // equal values, and rank five
  [4, 1, [2]],
  [1, 4, [2]],
])('thin SVD of [%i, %i] with singular values %j', (m, n, s) => {
  const matrix = withSingularValues(m, n, s);
  const found = thinSvd(matrix);
  expect([found.u.shape, found.v.shape]).toEqual([
    [m, s.length],
    [n, s.length],
  ]);
  expect(relativeError(found.s, s)).toBeLessThan(1e-13);
  isOrthonormal(found.u);
  isOrthonormal(found.v);
  expect(error(product(found), matrix)).toBeLessThan(1e-13);
  for (let k = 0; k < s.length; k++) {
    const column = Array.from({ length: m }, (_, i) => found.u.get(i, k));
    expect(Math.max(...column)).toBe(Math.max(...column.map(Math.abs)));
  }
});

test('zero has singular values zero', () => {
  expect(thinSvd(floats(new Array(6).fill(0), [2, 3])).s).toEqual([0, 0]);
});

describe('randomised SVD', () => {
  const s = Array.from({ length: 30 }, (_, k) => 2 ** -k);
  const matrix = withSingularValues(80, 50, s);
  const exact = firstComponents(matrix, 5, 'exact', key(1));

  test('has the first components', () => {
    for (const x of [matrix, transposed(matrix)]) {
      const found = randomisedSvd(x, 5, key(1));
      expect([found.u.shape[1], found.v.shape[1]]).toEqual([5, 5]);
      expect(relativeError(found.s, s.slice(0, 5))).toBeLessThan(1e-12);
      isOrthonormal(found.u);
      expect(
        error(product(found), x === matrix ? product(exact) : transposed(product(exact))),
      ).toBeLessThan(1e-12);
    }
  });

  test('iterations and oversampling make it better', () => {
    const far = (iterations: number, oversampling: number) =>
      error(
        product(randomisedSvd(matrix, 5, key(1), { iterations, oversampling })),
        product(exact),
      );
    expect(far(0, 0)).toBeGreaterThan(10 * far(4, 0));
    expect(far(0, 0)).toBeGreaterThan(10 * far(0, 10));
  });

  test('with all directions it is exact, whatever the iterations', () => {
    const small = gaussian(seeded(92), [6, 4]);
    const found = randomisedSvd(small, 2, key(1), { iterations: 0 });
    expect(error(found.u, firstComponents(small, 2, 'exact', key(1)).u)).toBeLessThan(1e-12);
  });
});

test('equations with a positive definite matrix, and only with one', () => {
  const root = gaussian(seeded(93), [12, 12]);
  const matrix = hostProduct(root, transposed(root));
  const b = gaussian(seeded(94), [12, 3]);
  const x = positiveDefiniteSolver(matrix)?.(b) as HostArray;
  expect(error(hostProduct(matrix, x), b)).toBeLessThan(1e-9);
  expect(positiveDefiniteSolver(floats([1, 2, 2, 1], [2, 2]))).toBeUndefined();
});

test('what is refused', () => {
  expect(() => thinSvd(floats([1, Number.NaN], [1, 2]))).toThrow(/NaN or infinity/);
  expect(() => thinSvd(floats([1, 2]))).toThrow(/array is \[2\], expected \[m,n\]/);
});
