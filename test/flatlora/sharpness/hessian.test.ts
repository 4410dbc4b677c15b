/** Lanczos and Hutchinson against exact Hessians of models with fewer than 500 parameters. */
import {
  add,
  key,
  type Loss,
  matmulTransposed,
  mean,
  mul,
  reduceSum,
  softplus,
  square,
  toFloat,
  toHalf,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  adapt,
  hessianTrace,
  hutchinsonTrace,
  lanczos,
  lora,
  topHessianEigenvalues,
  topOfTridiagonal,
} from '../../../src/flatlora/index.js';
import { type Backend, referenceBackend, wasmBackend } from '../../../src/kernels/index.js';
import { programRunner } from '../../../src/kernels/runner.js';
import { toNumbers } from '../../support/numeric.js';
import type { Matrix } from '../matrices.js';
import {
  gaussian,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  seeded,
} from '../support.js';
import { exactHessian, jacobiEigenvalues, productWith, traceOf } from './dense.js';

const backend = referenceBackend();
const runner = programRunner(backend);
afterEach(() => {
  expect(backend.memory().buffers).toBe(0);
});

type AnyLoss = Loss<never, never>;

interface Model {
  readonly name: string;
  readonly loss: AnyLoss;
  readonly weights: unknown;
  readonly batch: unknown;
}

/** Logistic loss of a two-layer classifier, 8 → 16 → 1: 161 parameters. */
interface Classifier<A> {
  readonly first: A;
  readonly bias: A;
  readonly second: A;
}
const logistic: Loss<Classifier<Value>, { x: Value; sign: Value }> = (w, { x, sign }) => {
  const hidden = softplus(add(matmulTransposed(x, w.first), w.bias));
  return mean(softplus(mul(sign, matmulTransposed(hidden, w.second))));
};
const classifier: Model = {
  name: 'classifier, 160 parameters',
  loss: logistic as AnyLoss,
  weights: {
    first: gaussian(seeded(201, 0), [16, 8], 0.5),
    bias: gaussian(seeded(201, 1), [16], 0.5),
    second: gaussian(seeded(201, 2), [1, 16], 0.5),
  },
  batch: {
    x: gaussian(seeded(201, 3), [12, 8]),
    sign: gaussian(seeded(201, 4), [12, 1]),
  },
};
const base = initNetwork(5);
const method = lora({ rank: 2, alpha: 3, targetModules: ['first', 'second'] });
const models: readonly Model[] = [
  {
    name: 'network, 131 parameters',
    loss: networkLoss as AnyLoss,
    weights: base,
    batch: makeBatch(6),
  },
  classifier,
  {
    name: "LoRA's factors, 60 parameters",
    loss: adapt(base, method)(networkLoss as AnyLoss) as AnyLoss,
    weights: randomAdapters(7),
    batch: makeBatch(6),
  },
];

const largest = (xs: readonly number[]) => xs.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

describe.each(models.map((model) => [model.name, model] as const))(
  'Lanczos agrees with the exact eigenvalues: %s',
  (_, { loss, weights, batch }) => {
    const exact = exactHessian(loss, weights, batch);
    const spectrum = jacobiEigenvalues(exact);

    test.each(['largest', 'smallest'] as const)('five at the %s end', async (end) => {
      const options = { key: key(3), count: 5, end, tolerance: 1e-7, maxIterations: 150 };
      const found = await topHessianEigenvalues(runner, loss, weights, [batch], options);
      const expected = end === 'largest' ? spectrum.slice(0, 5) : spectrum.slice(-5).reverse();
      expect(found.converged).toBe(true);
      found.eigenvalues.forEach((eigenvalue, i) => {
        expect(Math.abs(eigenvalue - (expected[i] as number))).toBeLessThan(
          1e-9 * largest(spectrum),
        );
      });
      // The eigenvectors are orthonormal, and their residuals are those that it states.
      const product = productWith(exact);
      for (const [i, y] of found.eigenvectors.entries()) {
        const image = await product(y);
        const residual = Math.hypot(
          ...image.map((x, j) => x - (found.eigenvalues[i] as number) * (y[j] as number)),
        );
        expect(residual).toBeLessThan(1.1e-7 * largest(found.eigenvalues));
        for (const [j, z] of found.eigenvectors.entries()) {
          const inner = y.reduce((sum, x, k) => sum + x * (z[k] as number), 0);
          expect(inner).toBeCloseTo(Number(i === j), 9);
        }
      }
      // The comparison could fail: neighbours differ by more than its tolerance.
      expect((expected[0] as number) - (expected[1] as number)).not.toBeCloseTo(0, 6);
    });
  },
);

test('on wasm, in float32', async () => {
  const fast: Backend = await wasmBackend({ threads: 1 });
  const spectrum = jacobiEigenvalues(
    exactHessian(classifier.loss, classifier.weights, classifier.batch),
  );
  const { eigenvalues } = await topHessianEigenvalues(
    programRunner(fast),
    classifier.loss,
    classifier.weights,
    [classifier.batch],
    { key: key(3), count: 3, tolerance: 1e-4 },
  );
  await fast.dispose();
  eigenvalues.forEach((x, i) => {
    expect(Math.abs(x - (spectrum[i] as number))).toBeLessThan(1e-4 * largest(spectrum));
  });
});

describe('Lanczos on matrices', () => {
  const diagonal = (entries: readonly number[]) =>
    productWith(entries.map((x, i) => entries.map((_, j) => (i === j ? x : 0))));
  const start = (size: number) => (k: number) =>
    Float64Array.from(toNumbers(gaussian(seeded(202, k), [size])));

  test('equal eigenvalues are all found when the space is exhausted', async () => {
    const entries = [5, 5, 5, 2, 2, -1];
    const { eigenvalues, converged } = await lanczos(diagonal(entries), start(6), { count: 6 });
    expect(converged).toBe(true);
    eigenvalues.forEach((x, i) => {
      expect(x).toBeCloseTo(entries[i] as number, 12);
    });
  });

  test('the zero operator', async () => {
    const { eigenvalues, converged } = await lanczos(diagonal([0, 0, 0]), start(3), { count: 2 });
    expect([eigenvalues, converged]).toEqual([[0, 0], true]);
  });

  test('what is not converged says so', async () => {
    const entries = Array.from({ length: 40 }, (_, i) => i);
    const found = await lanczos(diagonal(entries), start(40), { count: 3, maxIterations: 6 });
    expect(found).toMatchObject({ iterations: 6, converged: false });
    expect(Math.max(...found.residuals)).toBeGreaterThan(1e-3);
  });

  test('a tridiagonal matrix of 2 and −1: 2 − 2cos(kπ/(n+1)), sines', () => {
    const n = 9;
    const pairs = topOfTridiagonal(new Array(n).fill(2), new Array(n - 1).fill(-1), n);
    pairs.forEach(({ eigenvalue, eigenvector }, i) => {
      const k = n - i;
      expect(eigenvalue).toBeCloseTo(2 - 2 * Math.cos((k * Math.PI) / (n + 1)), 12);
      eigenvector.forEach((x, j) => {
        const expected = Math.sqrt(2 / (n + 1)) * Math.sin(((j + 1) * k * Math.PI) / (n + 1));
        expect(Math.abs(x)).toBeCloseTo(Math.abs(expected), 8);
      });
    });
  });

  test('small ones: one entry, a diagonal, equal entries', () => {
    expect(topOfTridiagonal([-3], [])[0]?.eigenvalue).toBeCloseTo(-3, 12);
    expect(topOfTridiagonal([1, 5], [0])[0]?.eigenvector[1]).toBeCloseTo(1, 12);
    const [a, b] = topOfTridiagonal([4, 4], [0], 2);
    expect([a?.eigenvalue, b?.eigenvalue].map((x) => Math.round(1e12 * (x ?? 0)) / 1e12)).toEqual([
      4, 4,
    ]);
    const inner = a?.eigenvector.reduce((sum, x, i) => sum + x * (b?.eigenvector[i] ?? 0), 0);
    expect(inner).toBeCloseTo(0, 12);
  });
});

describe('part of the weights', () => {
  test('targetModules: the block of the Hessian', async () => {
    const network = models[0] as Model;
    const exact = exactHessian(network.loss, network.weights, network.batch);
    // Leaves by sorted keys: first.bias 7, first.weight 77, scale 7, second.bias 5, second.weight 35.
    const block: Matrix = exact.slice(7, 84).map((row) => row.slice(7, 84));
    const { eigenvalues } = await topHessianEigenvalues(
      runner,
      network.loss,
      network.weights,
      [network.batch],
      { key: key(1), targetModules: ['first'], tolerance: 1e-8, maxIterations: 77 },
    );
    const expected = jacobiEigenvalues(block)[0] as number;
    expect(Math.abs((eigenvalues[0] as number) / expected - 1)).toBeLessThan(1e-10);
    expect(jacobiEigenvalues(exact)[0]).not.toBeCloseTo(expected, 4);
  });

  test('weights in half precision: the Hessian at the widened numbers', async () => {
    const loss: Loss<{ w: Value }, number> = ({ w }) => reduceSum(square(square(w)));
    const w = toHalf(gaussian(seeded(203), [3, 4]), 'bfloat16');
    const { eigenvalues } = await topHessianEigenvalues(runner, loss, { w }, [0], { key: key(1) });
    const wide = toNumbers(toFloat(w));
    expect(eigenvalues[0]).toBeCloseTo(Math.max(...wide.map((x) => 12 * x * x)), 5);
  });

  test('bad options', async () => {
    const { loss, weights, batch } = classifier;
    const call = (options: object, batches = [batch]) =>
      topHessianEigenvalues(runner, loss, weights, batches, { key: key(1), ...options });
    await expect(call({ count: 0 })).rejects.toThrow(/count is 0/);
    await expect(call({}, [])).rejects.toThrow(/no batches/);
    await expect(call({ targetModules: ['third'] })).rejects.toThrow(/names no weight matrix/);
    await expect(
      hessianTrace(runner, loss, weights, [batch], { key: key(1), samples: 1 }),
    ).rejects.toThrow(/samples is 1/);
  });
});

describe("Hutchinson's interval", () => {
  const { loss, weights, batch } = classifier;
  const exact = exactHessian(loss, weights, batch);

  // The interval of confidence 1 − 1e-9 covers with about that probability: vᵀHv is a sum of 160·159/2
  // products of signs, near to normal. False-positive rate well below 1e-6.
  test('covers the exact trace', async () => {
    const options = { key: key(5), samples: 256, confidence: 1 - 1e-9 };
    const found = await hessianTrace(runner, loss, weights, [batch, batch], options);
    const trace = traceOf(exact);
    expect(found.low).toBeLessThan(trace);
    expect(found.high).toBeGreaterThan(trace);
    expect(found.trace).toBeCloseTo((found.low + found.high) / 2, 10);
    // Not for being wide: it would not cover a trace that is wrong by half.
    expect(found.high).toBeLessThan(1.5 * trace);
    expect(found.low).toBeGreaterThan(0.5 * trace);
    expect(await hessianTrace(runner, loss, weights, [batch], options)).toEqual(found);
  });

  // 800 independent intervals of 95 % from 16 samples each. If the coverage is between 0.92 and 0.97,
  // the count is below 680 with probability < 1e-11 and 800 with probability 0.97^800 = 3e-11
  // (binomial); it is not exactly 0.95, because vᵀHv is not exactly normal.
  test('covers it about as often as it says', async () => {
    const factors = models[2] as Model;
    const small = exactHessian(factors.loss, factors.weights, factors.batch);
    const product = productWith(small);
    let [covered, narrow] = [0, 0];
    for (let k = 0; k < 800; k++) {
      const { trace, low, high } = await hutchinsonTrace(product, small.length, {
        key: seeded(204, k),
        samples: 16,
      });
      const error = Math.abs(trace - traceOf(small));
      covered += Number(low < traceOf(small) && traceOf(small) < high);
      narrow += Number(error < (high - low) / 4);
    }
    expect(covered).toBeGreaterThanOrEqual(680);
    expect(covered).toBeLessThan(800);
    // An interval of half the width would be found out.
    expect(narrow).toBeLessThan(680);
  });

  test('its standard error is that of the theory: 2(‖H‖² − Σ h_ii²) a sample', async () => {
    const { standardError } = await hutchinsonTrace(productWith(exact), exact.length, {
      key: key(6),
      samples: 2000,
    });
    const off = exact.flatMap((row, i) => row.filter((_, j) => i !== j));
    const expected = Math.sqrt((2 * off.reduce((sum, x) => sum + x * x, 0)) / 2000);
    // A standard deviation of 2,000 samples is within 1/√4000 = 1.6 % for a normal law; with a kurtosis
    // of up to 15 within 4.2 %. The bound is five of those.
    expect(Math.abs(standardError / expected - 1)).toBeLessThan(0.21);
  });
});
