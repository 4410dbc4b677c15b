/** Linear algebra on every backend, on odd matrices and stacks; sweeps, keys, refusals. */
import {
  foldIn,
  type HostArray,
  invertSymmetric,
  key,
  randomisedSvd,
  rangeFinder,
  solveSymmetric,
  symmetricEigen,
  thinQr,
  thinSvd,
  type Value,
} from '../../../src/autodiff/index.js';
import { evaluate } from '../../../src/kernels/index.js';
import { testBackends } from '../../support/backends.js';
import { floats, relativeError, run, toNumbers } from '../../support/numeric.js';
import {
  diagonalMatrix,
  distance,
  draw,
  type Matrix,
  matricesOf,
  product,
  symmetrised,
} from './support.js';

describe('every backend', () => {
  const x = draw(1, [2, 4, 3]);
  const y = floats([4, 1, 0.5, 1, 3, 0.25, 0.5, 0.25, 2], [3, 3]);
  const all = (a: Value, b: Value) => [
    thinQr(a).r,
    thinSvd(a).s,
    symmetricEigen(b).values,
    solveSymmetric(b, b),
  ];
  test.each(testBackends().map((b) => [b.name, b] as const))('%s', async (_, b) => {
    const backend = await b.open();
    const out = (await evaluate(all as never, backend, x as never, y as never)) as unknown;
    await backend.dispose();
    const given = (out as HostArray[]).flatMap(toNumbers);
    expect(relativeError(given, run(all, x, y).flatMap(toNumbers))).toBeLessThan(b.tolerance);
  });
});

describe('sweeps', () => {
  test.each([2, 8, 17, 24])('are enough for matrices of %i rows', (n) => {
    const a = symmetrised(draw(n, [1, n, n]), false);
    const residual = (sweeps?: number) => {
      const [values, vectors] = run((x: Value) => {
        const eigen = symmetricEigen(x, sweeps === undefined ? {} : { sweeps });
        return [eigen.values, eigen.vectors];
      }, a) as [HostArray, HostArray];
      const v = matricesOf(vectors)[0] as Matrix;
      const scaled = product(v, diagonalMatrix(toNumbers(values)));
      return distance(scaled, product(matricesOf(a)[0] as Matrix, v));
    };
    expect(residual()).toBeLessThan(1e-13);
    // Two are not, from some size on: the test can see what is missing.
    if (n >= 8) expect(residual(2)).toBeGreaterThan(1e-6);
  });
});

describe('zero matrices', () => {
  test('give finite decompositions', () => {
    const zero = floats(new Float64Array(2 * 5 * 3), [2, 5, 3]);
    const square = floats(new Float64Array(9), [3, 3]);
    const out = run(
      (x: Value, y: Value) => [
        thinQr(x),
        thinSvd(x),
        symmetricEigen(y),
        rangeFinder(x, key(1), { size: 2 }),
        invertSymmetric(y, { damping: 2 }),
      ],
      zero,
      square,
    );
    expect(out.flatMap(toNumbers).every(Number.isFinite)).toBe(true);
  });
});

describe('stacks', () => {
  test('leading axes are kept, and matrices do not mix', () => {
    const a = draw(5, [2, 3, 6, 4]);
    const [u, s, v] = run((x: Value) => {
      const svd = thinSvd(x);
      return [svd.u, svd.s, svd.v];
    }, a) as [HostArray, HostArray, HostArray];
    expect([u.shape, s.shape, v.shape]).toEqual([
      [2, 3, 6, 4],
      [2, 3, 4],
      [2, 3, 4, 4],
    ]);
    const one = floats((matricesOf(a)[4] as Matrix).flat(), [6, 4]);
    const [alone] = run((x: Value) => thinSvd(x).s, one) as [HostArray];
    expect(relativeError(toNumbers(s).slice(16, 20), toNumbers(alone))).toBeLessThan(1e-13);
  });
});

describe('what does not fit', () => {
  const a = draw(1, [2, 3, 4]);
  test.each([
    [() => thinQr(a), 'thinQr: matrices are [3,4], expected at least as many rows as columns'],
    [() => symmetricEigen(a), 'symmetricEigen: matrices are [3,4], expected square ones'],
    [() => symmetricEigen(draw(1, [4])), 'symmetricEigen: operand is float[4]'],
    [() => symmetricEigen(draw(1, [2, 2]), { sweeps: 0 }), 'symmetricEigen: sweeps is 0'],
    [() => rangeFinder(a, key(1), { size: 4 }), 'rangeFinder: size is 4, expected an integer from'],
    [() => randomisedSvd(a, key(1), { rank: 0 }), 'randomisedSvd: rank is 0'],
    [
      () => solveSymmetric(draw(1, [2, 3, 3]), draw(1, [2, 4, 1])),
      'solveSymmetric: right sides are [2,4,1], expected [2,3,k]',
    ],
  ])('%#', (f, message) => {
    expect(f).toThrow(message);
  });
});

// Other draws than those of the engine's own keys.
test('keys give other random vectors, and the same key the same ones', () => {
  const a = draw(8, [12, 9]);
  const basis = (k: number) =>
    toNumbers(
      run(
        (x: Value) => rangeFinder(x, foldIn(key(2), k), { size: 2, powerIterations: 0 }),
        a,
      )[0] as HostArray,
    );
  expect(basis(0)).toEqual(basis(0));
  expect(relativeError(basis(0), basis(1))).toBeGreaterThan(1e-3);
});
