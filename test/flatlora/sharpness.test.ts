/** Sharpness tools against quadratic losses, whose answers are known. */
import {
  add,
  dot,
  type HostArray,
  floats as hostFloats,
  key,
  type Loss,
  lift,
  mul,
  reduceSum,
  square,
  type Value,
} from '../../src/autodiff/index.js';
import {
  filterNormalisedDirection,
  lossSurface,
  meanLossRise,
  topHessianEigenvalue,
} from '../../src/flatlora/index.js';
import { referenceBackend } from '../../src/kernels/reference/backend.js';
import { programRunner } from '../../src/kernels/runner.js';
import { floats, relativeError, toNumbers } from '../support/numeric.js';
import { gaussian, initNetwork, makeBatch, networkLoss, seeded } from './support.js';

const backend = referenceBackend();
const runner = programRunner(backend);
afterEach(() => {
  expect(backend.memory().buffers).toBe(0);
});

describe('expected sharpness', () => {
  // L(W) = Σ c_i·‖W_i‖²: L(W + ε) − L(W) has mean Σ c_i·n·σ²/n·‖W_i‖² = σ²·L(W).
  const c = [1, 4, 0.5];
  const weights = { layer: { weight: gaussian(seeded(101), [3, 40]) }, bias: floats([1, 2]) };
  const loss: Loss<typeof weights, number> = (w) =>
    reduceSum(mul(floats(c, [3, 1]), square(w.layer.weight as unknown as Value)));
  const sigma = 0.3;

  // The mean of 64 draws, compared in its own standard errors: a t statistic with 63 degrees of
  // freedom, P(|t| > 6.5) = 1.5e-8; the draws are sums of 120 terms, near to normal.
  const statistic = async (used: number) => {
    const result = await meanLossRise(runner, loss, weights, [0], {
      sigma: used,
      samples: 64,
      key: key(5),
    });
    return { t: Math.abs(result.rise - sigma ** 2 * result.loss) / result.standardError, result };
  };
  test('a quadratic loss rises by σ² of itself', async () => {
    const { t, result } = await statistic(sigma);
    expect(t).toBeLessThan(6.5);
    expect(result.loss).toBeCloseTo(
      c.reduce(
        (s, ci, i) =>
          s +
          ci *
            toNumbers(weights.layer.weight)
              .slice(40 * i, 40 * i + 40)
              .reduce((a, x) => a + x * x, 0),
        0,
      ),
      8,
    );
    expect((await statistic(sigma)).result).toEqual(result);
    expect((await statistic(2 * sigma)).t).toBeGreaterThan(6.5);
  });

  test('bad options', async () => {
    const call = (options: { sigma: number; samples?: number }, batches: unknown[] = [0]) =>
      meanLossRise(runner, loss, weights, batches, { key: key(1), ...options });
    await expect(call({ sigma: 0 })).rejects.toThrow(/sigma is 0/);
    await expect(call({ sigma: 1, samples: 1 })).rejects.toThrow(/1 samples/);
    await expect(call({ sigma: 1 }, [])).rejects.toThrow(/of 0 batches/);
  });
});

describe('top Hessian eigenvalue', () => {
  // L(w) = ½ wᵀ Q diag(λ) Qᵀ w in two leaves.
  const size = 30;
  const quadratic = (lambda: readonly number[]) => {
    // Q: a Householder reflection I − 2uuᵀ.
    const raw = toNumbers(gaussian(seeded(111), [size]));
    const norm = Math.sqrt(raw.reduce((s, x) => s + x * x, 0));
    const u = raw.map((x) => x / norm);
    const reflect = (v: readonly number[]) => {
      const p = 2 * v.reduce((s, x, i) => s + x * (u[i] as number), 0);
      return v.map((x, i) => x - p * (u[i] as number));
    };
    const H: number[] = [];
    for (let i = 0; i < size; i++) {
      const e = Array.from({ length: size }, (_, j) => Number(i === j));
      H.push(...reflect(reflect(e).map((x, j) => x * (lambda[j] as number))));
    }
    const matrix = hostFloats(H, [size, size]);
    const loss: Loss<{ a: Value; b: Value }, number> = ({ a, b }) => {
      const top = hostFloats(H.slice(0, 12 * size), [12, size]);
      const bottom = hostFloats(H.slice(12 * size), [size - 12, size]);
      const pieces = (x: Value, y: Value, m: HostArray, from: number, to: number) => {
        const part = hostFloats(
          Array.from({ length: (m.shape[0] as number) * (to - from) }, (_, k) =>
            m.get(Math.floor(k / (to - from)), from + (k % (to - from))),
          ),
          [m.shape[0] as number, to - from],
        );
        const product = dot(x, lift(part), { contract: [[0], [0]], batch: [[], []] });
        return reduceSum(mul(product, y));
      };
      const sum = [
        pieces(a, a, top, 0, 12),
        pieces(a, b, top, 12, size),
        pieces(b, a, bottom, 0, 12),
        pieces(b, b, bottom, 12, size),
      ];
      return mul(
        0.5,
        sum.reduce((x, y) => add(x, y)),
      );
    };
    return { loss, matrix };
  };
  const weights = { a: gaussian(seeded(112), [12]), b: gaussian(seeded(113), [18]) };
  const lambda = Array.from({ length: size }, (_, i) => (i === 0 ? 7.5 : -9 + i * 0.5));

  test('is the largest with its sign, with residual and iterations', async () => {
    const { loss } = quadratic(lambda);
    const options = { key: key(3), tolerance: 1e-8 };
    const top = await topHessianEigenvalue(runner, loss, weights, [0, 0], options);
    expect(top.eigenvalue).toBeCloseTo(7.5, 10);
    expect(top.converged).toBe(true);
    expect(top.residual).toBeLessThan(1e-8);
    expect(top.iterations).toBeLessThanOrEqual(size);
    expect(await topHessianEigenvalue(runner, loss, weights, [0, 0], options)).toEqual(top);
    const loose = await topHessianEigenvalue(runner, loss, weights, [0], {
      key: key(3),
      tolerance: 0.1,
    });
    expect(loose.iterations).toBeLessThan(top.iterations);
    expect(loose.residual).toBeLessThanOrEqual(0.1);
  });

  test('says when it has not converged', async () => {
    const { loss } = quadratic(lambda);
    const top = await topHessianEigenvalue(runner, loss, weights, [0], {
      key: key(3),
      maxIterations: 2,
    });
    expect(top).toMatchObject({ iterations: 2, converged: false });
  });

  test('a network: the residual is that of its Hessian', async () => {
    const network = initNetwork(5);
    const top = await topHessianEigenvalue(runner, networkLoss as never, network, [makeBatch(6)], {
      key: key(3),
      tolerance: 1e-6,
    });
    expect(top.converged).toBe(true);
    expect(top.eigenvalue).toBeGreaterThan(0);
    expect(Math.sqrt(top.eigenvector.reduce((s, x) => s + x * x, 0))).toBeCloseTo(1, 8);
  });
});

describe('landscape', () => {
  const weights = {
    layer: { weight: gaussian(seeded(121), [4, 9]) },
    bias: gaussian(seeded(122), [4]),
  };

  test('directions have the rows’ norms; vectors do not move', () => {
    const d = filterNormalisedDirection(weights, key(1));
    for (let i = 0; i < 4; i++) {
      const norm = (x: HostArray) =>
        Math.sqrt(
          toNumbers(x)
            .slice(9 * i, 9 * i + 9)
            .reduce((s, v) => s + v * v, 0),
        );
      expect(norm(d.layer.weight)).toBeCloseTo(norm(weights.layer.weight), 12);
    }
    expect(toNumbers(d.bias)).toEqual([0, 0, 0, 0]);
    expect(toNumbers(filterNormalisedDirection(weights, key(2)).layer.weight)).not.toEqual(
      toNumbers(d.layer.weight),
    );
  });

  test('the surface of a quadratic loss', async () => {
    const loss: Loss<typeof weights, Value> = (w, b) =>
      mul(b, reduceSum(square(w.layer.weight as unknown as Value)));
    const d = [1, 2].map((k) => filterNormalisedDirection(weights, key(k)));
    const surface = await lossSurface(runner, loss, weights, [1, 3], [d[0], d[1]], {
      range: 0.5,
      points: 5,
    });
    expect(surface.coordinates).toEqual([-0.5, -0.25, 0, 0.25, 0.5]);
    const flat = (w: HostArray) => toNumbers(w);
    const [w0, d1, d2] = [
      weights.layer.weight,
      d[0]?.layer.weight as HostArray,
      d[1]?.layer.weight as HostArray,
    ].map(flat) as [number[], number[], number[]];
    surface.coordinates.forEach((x, i) => {
      surface.coordinates.forEach((y, j) => {
        const expected =
          2 *
          w0.reduce((s, w, k) => s + (w + x * (d1[k] as number) + y * (d2[k] as number)) ** 2, 0);
        expect(relativeError([surface.losses[i]?.[j] as number], [expected])).toBeLessThan(1e-12);
      });
    });
  });
});
