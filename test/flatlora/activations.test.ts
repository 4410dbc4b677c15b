/** What the perturbation does to activations: Eq. 9, Proposition 3.2, and depth. */
import {
  add,
  asOperator,
  concat,
  denseOperator,
  div,
  mean,
  mul,
  normal,
  reduceSum,
  reshape,
  sqrt,
  square,
  sub,
  type Value,
} from '../../src/autodiff/index.js';
import { layerKey, perturb } from '../../src/flatlora/index.js';
import { floats, numbers, toNumbers } from '../support/numeric.js';
import { average, chiSquareBound, largest, meanSquare, variance } from './statistics.js';
import { gaussian, seeded } from './support.js';

type Perturbation = (w: Value, key: Value, sigma: number) => Value;

const tooStrong =
  (factor: (w: Value) => number): Perturbation =>
  (w, key, sigma) =>
    perturb(w, key, sigma * factor(w));

describe('Eq. 9: var[(W′+ε)_j x] = (1+σ²)‖W′_j‖² var x + σ²‖W′_j‖² E²x', () => {
  const [SAMPLES, N] = [8192, 48];
  const row = toNumbers(gaussian(seeded(71), [N]));
  const repeated = floats(
    Array.from({ length: SAMPLES * N }, (_, k) => row[k % N] as number),
    [SAMPLES, N],
  );
  const normSquared = meanSquare(row) * N;

  /** Sample variance of (w+ε)·x over independent x and ε, x_i ~ N(μ, v), over ‖w‖². */
  const measured = (perturbation: Perturbation, sigma: number, mu: number, v: number) =>
    variance(
      numbers(
        (w: Value, kx: Value, ke: Value) => {
          const x = add(mu, mul(Math.sqrt(v), normal(kx, [SAMPLES, N])));
          return reduceSum(mul(perturbation(w, ke, sigma), x), -1);
        },
        repeated,
        seeded(72),
        seeded(73),
      ),
    ) / normSquared;
  const predicted = (sigma: number, mu: number, v: number) =>
    (1 + sigma ** 2) * v + sigma ** 2 * mu ** 2;

  // 8,192 independent draws. Given x the output is normal with a variance that itself varies by less
  // than 30 %, so its kurtosis is below 3·(1 + 0.3²) < 3.3 and the sample variance has relative
  // standard error √(2.3/8192) = 0.017. The bound is 7 of them: 2.6e-12 for a normal mean, which
  // leaves the error of the normal approximation five orders of magnitude to 1e-6.
  const BOUND = 7 * Math.sqrt(2.3 / SAMPLES);
  const error = (perturbation: Perturbation, sigma: number, mu: number, v: number) =>
    Math.abs(measured(perturbation, sigma, mu, v) / predicted(sigma, mu, v) - 1);

  test.each([
    [0.5, 2, 0.25],
    [0.3, -1, 1],
    [1, 0, 1],
  ])('σ = %d, E x = %d, var x = %d', (sigma, mu, v) => {
    expect(error(perturb, sigma, mu, v)).toBeLessThan(BOUND);
  });

  test('fails for wrong noise, and without the term of the mean', () => {
    expect(
      error(
        tooStrong(() => 0.5),
        0.5,
        2,
        0.25,
      ),
    ).toBeGreaterThan(BOUND);
    expect(
      error(
        tooStrong(() => Math.SQRT2),
        0.3,
        -1,
        1,
      ),
    ).toBeGreaterThan(BOUND);
    const withoutMean = measured(perturb, 0.5, 2, 0.25) / (1.25 * 0.25);
    expect(Math.abs(withoutMean - 1)).toBeGreaterThan(BOUND);
  });
});

describe('Proposition 3.2: the added variance does not depend on the input dimension n', () => {
  const ROWS = 512;
  const SIGMA = 0.5;
  const SIZES = [8, 64, 512, 4096];

  /** Σ over rows of (ε_j x)² / (σ²‖w‖²‖x‖²/n), which is χ²_512, over 512. */
  const ratio = (perturbation: Perturbation, n: number) => {
    const row = toNumbers(gaussian(seeded(81, n), [n]));
    const w = floats(
      Array.from({ length: ROWS * n }, (_, k) => row[k % n] as number),
      [ROWS, n],
    );
    const x = floats(
      toNumbers(gaussian(seeded(82, n), [1, n])).map((g) => 1 + g),
      [1, n],
    );
    const noisy = numbers(
      (a: Value, b: Value, k: Value) =>
        sub(asOperator(perturbation(a, k, SIGMA)).apply(b), asOperator(a).apply(b)),
      w,
      x,
      seeded(83, n),
    );
    const expected = SIGMA ** 2 * meanSquare(row) * n * meanSquare(toNumbers(x));
    return meanSquare(noisy) / expected;
  };

  // Four statistics with 512 degrees of freedom, rate 1e-7/4 each → t = 0.45: from n = 8 to 4096 the
  // added variance stays within ±45 %, where a missing 1/n would change it 512-fold.
  const BOUND = chiSquareBound(ROWS, 1e-7 / SIZES.length);
  const worst = (perturbation: Perturbation, sizes: readonly number[]) =>
    largest(sizes.map((n) => Math.abs(ratio(perturbation, n) - 1)));

  test('n from 8 to 4096', () => {
    expect(BOUND).toBeLessThan(0.46);
    expect(worst(perturb, SIZES)).toBeLessThan(BOUND);
  });

  test('fails with m for n, and without 1/n', () => {
    expect(
      worst(
        tooStrong((w) => Math.sqrt((w.shape[1] as number) / ROWS)),
        [8, 64],
      ),
    ).toBeGreaterThan(BOUND);
    expect(
      worst(
        tooStrong((w) => Math.sqrt(w.shape[1] as number)),
        [8, 64],
      ),
    ).toBeGreaterThan(BOUND);
  });
});

describe('depth: layer normalisation keeps the variance from growing (remark after Prop. 3.2)', () => {
  const [WIDTH, SIGMA, DRAWS] = [64, 0.5, 20];
  const DEPTHS = [1, 4, 8, 16, 24];
  const weights = Array.from({ length: 24 }, (_, l) =>
    gaussian(seeded(91, l), [WIDTH, WIDTH], 1 / Math.sqrt(WIDTH)),
  );
  const start = gaussian(seeded(92), [1, WIDTH]);

  const layerNorm = (h: Value) => {
    const centred = sub(h, mean(h, -1, { keepAxes: true }));
    return div(centred, sqrt(mean(square(centred), -1, { keepAxes: true })));
  };

  /** ‖h_L‖² with noise over ‖h_L‖² without, for one draw and every depth. */
  const growth = (normed: boolean, draw: number): number[] => {
    const norms = numbers(
      (x: Value, key: Value, ...ws: Value[]) => {
        const outputs = (sigma: number) => {
          let h = x;
          return ws.map((w, l) => {
            const input = normed ? layerNorm(h) : h;
            h = perturb(denseOperator(w), layerKey(key, `layer.${l}`), sigma).apply(input);
            return reduceSum(square(h));
          });
        };
        return concat(
          [...outputs(SIGMA), ...outputs(0)].map((v) => reshape(v, [1])),
          0,
        );
      },
      start,
      seeded(93, draw),
      ...weights,
    );
    return DEPTHS.map((depth) => (norms[depth - 1] as number) / (norms[depth + 23] as number));
  };
  const draws = (normed: boolean) => Array.from({ length: DRAWS }, (_, k) => growth(normed, k));

  // With normed inputs (‖x‖² = 64) one layer gives E‖(W+ε)x‖² = ‖Wx‖² + σ²‖W‖_F² ≈ (1 + σ²)·64 at any
  // depth, and a draw's relative deviation is about √(2/64) = 0.18, twice that with the denominator's
  // own: the mean of 20 draws is 1.25 within ±0.6 at more than 6 standard errors, at all five depths.
  test('with layer norm the growth is that of one layer', () => {
    const runs = draws(true);
    DEPTHS.forEach((_, i) => {
      const mean20 = average(runs.map((r) => r[i] as number));
      expect(mean20).toBeGreaterThan(0.65);
      expect(mean20).toBeLessThan(1.85);
    });
  });

  // Without it E‖h‖² gains a factor 1 + σ² = 1.25 per layer: 1.25²⁴ = 211. The logarithm of a draw has
  // mean above 24·(ln 1.25 − 2/64) = 4.6 and deviation below √(24·2·2/64) = 1.2, so the mean logarithm
  // of 20 draws is above ln 10 = 2.3 with more than 8 standard errors.
  test('without it the growth is exponential', () => {
    const logs = draws(false).map((r) => Math.log(r.at(-1) as number));
    expect(average(logs)).toBeGreaterThan(Math.log(10));
  });
});
