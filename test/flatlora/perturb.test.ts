/** The perturbation against Eq. 7, its derivative, and where its random numbers come from. */
import {
  add,
  asOperator,
  denseOperator,
  foldIn,
  grad,
  type HostArray,
  type Key,
  lift,
  lowRankSum,
  mul,
  normal,
  reduceSum,
  reshape,
  sin,
  sqrt,
  square,
  sub,
  uniform,
  type Value,
  vjp,
} from '../../src/autodiff/index.js';
import {
  distinctLayerIds,
  layerId,
  layerKey,
  perturb,
  vectorNoise,
} from '../../src/flatlora/index.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import {
  average,
  chiSquareBound,
  correlationBound,
  dotMean,
  kolmogorovBound,
  kolmogorovDistance,
  largest,
  meanSquare,
  normalBound,
  rowsOf,
} from './statistics.js';
import { gaussian, seeded } from './support.js';

const M = 16;
const N = 4096;
const SIGMA = 0.3;
const RATE = 1e-7;

/** A weight whose rows have norms from about 6 to 1,000. */
const weight = ((): HostArray => {
  const w = gaussian(seeded(41), [M, N]);
  toNumbers(w).forEach((x, k) => {
    w.set(Math.floor(k / N), k % N, x * 1.4 ** Math.floor(k / N) * 0.1);
  });
  return w;
})();
const rowNorms = rowsOf(toNumbers(weight), N).map((row) => Math.sqrt(meanSquare(row) * N));

type Perturbation = (w: Value, key: Value, sigma: number) => Value;

/** ε / (σ‖W_i‖/√n): independent standard normal numbers if Eq. 7 holds. */
function standardised(perturbation: Perturbation, key: Key): number[][] {
  const epsilon = numbers((w: Value, k: Value) => sub(perturbation(w, k, SIGMA), w), weight, key);
  return rowsOf(epsilon, N).map((row, i) => {
    const deviation = (SIGMA * (rowNorms[i] as number)) / Math.sqrt(N);
    return row.map((e) => e / deviation);
  });
}

/** Wrong perturbations, one per clause of Eq. 7. */
const rowNormsOf = (w: Value) => sqrt(reduceSum(square(w), -1, { keepAxes: true }));
const mutants: Readonly<Record<string, Perturbation>> = {
  'σ² for σ': (w, key, sigma) => perturb(w, key, sigma * sigma),
  'm for n': (w, key, sigma) =>
    add(w, mul(normal(key, w.shape), mul(rowNormsOf(w), sigma / Math.sqrt(M)))),
  'one norm for all rows': (w, key, sigma) =>
    add(w, mul(normal(key, w.shape), mul(sqrt(reduceSum(square(w))), sigma / Math.sqrt(N * M)))),
  '|z| for z': (w, key, sigma) => {
    const epsilon = sub(perturb(w, key, sigma), w);
    return add(w, sqrt(square(epsilon)));
  },
  'uniform of the same variance': (w, key, sigma) => {
    const u = mul(Math.sqrt(12), sub(uniform(key, w.shape), 0.5));
    return add(w, mul(u, mul(rowNormsOf(w), sigma / Math.sqrt(N))));
  },
  'one z for all rows': (w, key, sigma) =>
    add(w, mul(reshape(normal(key, [N]), [1, N]), mul(rowNormsOf(w), sigma / Math.sqrt(N)))),
};

/** max over rows of |mean square − 1|; each row's sum of squares is χ²_4096. */
const varianceError = (z: readonly number[][]) =>
  largest(z.map((row) => Math.abs(meanSquare(row) - 1)));
/** max over rows of |mean|·√n; each is the absolute value of a standard normal number. */
const meanError = (z: readonly number[][]) =>
  largest(z.map((row) => Math.abs(average(row)) * Math.sqrt(N)));
/** Kolmogorov's distance of all m·n numbers from Φ. */
const shapeError = (z: readonly number[][]) => kolmogorovDistance(z.flat());
/** max over pairs of rows of their mean product. */
const rowCorrelation = (z: readonly number[][]) =>
  largest(z.flatMap((x, i) => z.slice(i + 1).map((y) => Math.abs(dotMean(x, y)))));

describe('Eq. 7 (m = 16 rows of n = 4096, false-positive rate 1e-7 each)', () => {
  const z = standardised(perturb, seeded(42));
  const of = (name: string) => standardised(mutants[name] as Perturbation, seeded(42));

  // 16 rows, each with n = 4096 degrees of freedom: union bound, rate 1e-7/16 per row → t = 0.150.
  test('variance of each row is σ²‖W_i‖²/n', () => {
    const bound = chiSquareBound(N, RATE / M);
    expect(bound).toBeLessThan(0.16);
    expect(varianceError(z)).toBeLessThan(bound);
    expect(varianceError(of('σ² for σ'))).toBeGreaterThan(bound);
    expect(varianceError(of('m for n'))).toBeGreaterThan(bound);
    expect(varianceError(of('one norm for all rows'))).toBeGreaterThan(bound);
  });

  // 16 standard normal numbers, rate 1e-7/16 each → t = 6.3.
  test('mean is zero', () => {
    const bound = normalBound(RATE / M);
    expect(meanError(z)).toBeLessThan(bound);
    expect(meanError(of('|z| for z'))).toBeGreaterThan(bound);
  });

  // 65,536 numbers → t = 0.0113; the generator's own distance from Φ, below 1e-6, is added.
  test('distribution is normal', () => {
    const bound = kolmogorovBound(M * N, RATE) + 1e-6;
    expect(shapeError(z)).toBeLessThan(bound);
    expect(shapeError(of('uniform of the same variance'))).toBeGreaterThan(bound);
  });

  // 120 pairs of rows of length 4096, rate 1e-7/120 each → t = 0.16.
  test('rows are independent', () => {
    const bound = correlationBound(N, RATE / 120);
    expect(bound).toBeLessThan(0.17);
    expect(rowCorrelation(z)).toBeLessThan(bound);
    expect(rowCorrelation(of('one z for all rows'))).toBeGreaterThan(bound);
  });

  // 4 streams of 65,536 numbers, 6 pairs, rate 1e-7/6 each → t = 0.035.
  test('layers and steps are independent', () => {
    type KeyOf = (stepKey: Key, name: string) => Key;
    const streams = (keyOf: KeyOf) =>
      [1, 2].flatMap((step) =>
        ['blocks.0.query', 'blocks.1.query'].map((name) =>
          standardised(perturb, keyOf(foldIn(seeded(43), step), name)).flat(),
        ),
      );
    const bound = correlationBound(M * N, RATE / 6);
    const right: KeyOf = (stepKey, name) => run((k: Value) => layerKey(k, name), stepKey)[0] as Key;
    expect(rowCorrelation(streams(right))).toBeLessThan(bound);
    expect(rowCorrelation(streams((stepKey) => stepKey))).toBeGreaterThan(bound);
    expect(rowCorrelation(streams((_, name) => foldIn(seeded(43), layerId(name))))).toBeGreaterThan(
      bound,
    );
  });

  // Appendix C: ε_i ~ N(0, σ²w_i²); 4096 elements, one χ²_4096 statistic → t = 0.13.
  test('vectors get noise of their own size', () => {
    const w = gaussian(seeded(44), [N], 3);
    const statistic = (values: readonly number[]) =>
      Math.abs(meanSquare(values.map((e, i) => e / (SIGMA * (w.get(i) as number)))) - 1);
    const bound = chiSquareBound(N, RATE);
    const epsilon = numbers((x: Value, k: Value) => vectorNoise(x, k, SIGMA), w, seeded(45));
    expect(statistic(epsilon)).toBeLessThan(bound);
    const wrong = numbers((x: Value, k: Value) => vectorNoise(x, k, SIGMA ** 2), w, seeded(45));
    expect(statistic(wrong)).toBeGreaterThan(bound);
    const signs = epsilon.map((e, i) => e / (w.get(i) as number));
    expect(Math.abs(average(signs)) * Math.sqrt(N)).toBeLessThan(SIGMA * normalBound(RATE));
  });
});

describe('a perturbed weight as a value', () => {
  const w = gaussian(seeded(51), [5, 8]);
  const g = gaussian(seeded(52), [5, 8]);
  const key = seeded(53);

  test('its derivative with respect to W is the identity: the norms are constants', () => {
    const pullback = (f: Perturbation) =>
      numbers(
        (x: Value, k: Value, c: Value) => vjp((v: Value) => f(v, k, 0.7), x).pullback(c)[0],
        w,
        key,
        g,
      );
    expect(pullback(perturb)).toEqual(toNumbers(g));
    const notStopped: Perturbation = (v, k, sigma) =>
      add(v, mul(normal(k, v.shape), mul(rowNormsOf(v), sigma / Math.sqrt(8))));
    expect(relativeError(pullback(notStopped), toNumbers(g))).toBeGreaterThan(0.1);
  });

  test('its gradient is the gradient of the loss at the explicit W + ε', () => {
    const loss = (x: Value) => reduceSum(mul(sin(x), x));
    const explicit = run((x: Value, k: Value) => perturb(x, k, 0.7), w, key)[0] as HostArray;
    const here = numbers(
      (x: Value, k: Value) => grad((v: Value) => loss(perturb(v, k, 0.7)))(x),
      w,
      key,
    );
    expect(here).toEqual(numbers(grad(loss), explicit));
  });

  test('an operator is perturbed as its matrix is, without being formed', () => {
    const [a, b, x] = [
      gaussian(seeded(54), [2, 8]),
      gaussian(seeded(55), [5, 2]),
      gaussian(seeded(56), [3, 8]),
    ];
    const parts = (values: readonly Value[]) => {
      const [base, da, db] = values as [Value, Value, Value];
      return lowRankSum(denseOperator(base), { a: da, b: db, scale: 1.7 });
    };
    const applied = numbers(
      (k: Value, y: Value, ...v: Value[]) => perturb(parts(v), k, 0.7).apply(y),
      key,
      x,
      w,
      a,
      b,
    );
    const dense = numbers(
      (k: Value, y: Value, ...v: Value[]) =>
        denseOperator(perturb(parts(v).dense(), k, 0.7)).apply(y),
      key,
      x,
      w,
      a,
      b,
    );
    expect(relativeError(applied, dense)).toBeLessThan(1e-12);
    const twice = (make: (k: Value, v: readonly Value[]) => Value) =>
      numbers((k: Value, ...v: Value[]) => make(k, v), key, w, a, b);
    const sum = twice((k, v) =>
      perturb(perturb(parts(v), k, 0.7), layerKey(k, 'again'), 0.1).dense(),
    );
    const matrix = twice((k, v) => perturb(parts(v), k, 0.7).dense());
    expect(relativeError(sum, matrix)).toBeGreaterThan(1e-3);
  });

  test('row norms of W + s·B·A without the sum agree with those of the merged matrix', () => {
    for (const [seed, scale] of [
      [60, 0.5],
      [61, 2],
      [62, -3],
    ] as const) {
      const leaves = [
        gaussian(seeded(seed, 0), [9, 13]),
        gaussian(seeded(seed, 1), [3, 13]),
        gaussian(seeded(seed, 2), [9, 3]),
      ];
      const operator = (base: Value, a: Value, b: Value) =>
        lowRankSum(denseOperator(base), { a, b, scale });
      const formula = numbers(
        (...v: [Value, Value, Value]) => operator(...v).rowNormsSquared(),
        ...leaves,
      );
      const merged = numbers(
        (...v: [Value, Value, Value]) => asOperator(operator(...v).dense()).rowNormsSquared(),
        ...leaves,
      );
      expect(relativeError(formula, merged)).toBeLessThan(1e-12);
    }
  });

  test('a vector is refused', () => {
    expect(() => perturb(lift(gaussian(key, [5])), lift(key), 1)).toThrow(
      /\[5\], expected a matrix/,
    );
  });
});

describe('layer ids', () => {
  test('are FNV-1a: known answers', () => {
    // From the reference code's test vectors.
    expect([layerId(''), layerId('a'), layerId('foobar')]).toEqual([
      0x811c9dc5, 0xe40c292c, 0xbf9cf968,
    ]);
  });

  test('names with one id are refused', () => {
    // "costarring" and "liquid" are a known collision of 32-bit FNV-1a.
    expect(layerId('costarring')).toBe(layerId('liquid'));
    expect(distinctLayerIds(['a', 'costarring', 'liquid'])).toMatchObject({
      _tag: 'Left',
      left: { message: expect.stringMatching(/"costarring" and "liquid"/) },
    });
    expect(distinctLayerIds(['a', 'b', 'a'])).toMatchObject({ _tag: 'Right' });
  });
});
