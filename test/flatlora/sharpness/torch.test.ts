/** Sharpness tools against PyTorch's Hessian and numpy's eigenvalues (scripts/fixtures/sharpness.py). */
import {
  add,
  type HostArray,
  key,
  type Loss,
  matmulTransposed,
  tanh,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  hessianTrace,
  interpolate,
  topHessianEigenvalues,
  worstCaseRise,
} from '../../../src/flatlora/index.js';
import {
  type Backend,
  programRunner,
  referenceBackend,
  wasmBackend,
} from '../../../src/kernels/index.js';
import { softmaxCrossEntropy } from '../../../src/models/index.js';
import { readTorchFixture } from '../../support/torchFixtures.js';

interface Weights<A> {
  readonly bias: A;
  readonly first: A;
  readonly second: A;
}
interface SharpnessCase {
  readonly inputs: {
    readonly weights: Weights<HostArray>;
    readonly other: Weights<HostArray>;
    readonly x: HostArray;
    readonly labels: HostArray;
  };
  readonly rho: number;
  readonly largest: readonly number[];
  readonly smallest: readonly number[];
  readonly trace: number;
  readonly sam: number;
  readonly path: readonly number[];
}

const loss: Loss<Weights<Value>, { x: Value; labels: Value }> = (w, { x, labels }) => {
  const hidden = tanh(add(matmulTransposed(x, w.first), w.bias));
  return softmaxCrossEntropy(matmulTransposed(hidden, w.second), labels);
};

const [golden] = readTorchFixture<SharpnessCase>('sharpness').cases;
if (golden === undefined) throw new Error('the fixture has a case');
const { weights, other, x, labels } = golden.inputs;
const batches = [{ x, labels }];

const backends: readonly [string, number, () => Promise<Backend>][] = [
  ['reference', 1e-9, async () => referenceBackend()],
  ['wasm', 2e-5, () => wasmBackend({ threads: 1 })],
];

describe.each(backends)('PyTorch: sharpness, %s', (_, tolerance, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(async () => {
    await backend.dispose();
  });
  const close = (given: readonly number[], expected: readonly number[]) => {
    expect(given).toHaveLength(expected.length);
    given.forEach((value, i) => {
      const error = Math.abs(value - (expected[i] as number));
      expect(error / Math.max(1, Math.abs(expected[i] as number))).toBeLessThan(tolerance);
    });
  };

  test('eigenvalues at both ends', async () => {
    const runner = programRunner(backend);
    // All 54 dimensions: nothing is left to convergence.
    const options = { key: key(1), tolerance: 1e-12, maxIterations: 54 };
    for (const end of ['largest', 'smallest'] as const) {
      const expected = golden[end];
      const found = await topHessianEigenvalues(runner, loss, weights, batches, {
        ...options,
        end,
        count: expected.length,
      });
      close(found.eigenvalues, expected);
    }
  });

  test('the trace is within its interval of confidence 1 − 1e-9', async () => {
    const { low, high } = await hessianTrace(programRunner(backend), loss, weights, batches, {
      key: key(2),
      samples: 128,
      confidence: 1 - 1e-9,
    });
    expect(low).toBeLessThan(golden.trace);
    expect(high).toBeGreaterThan(golden.trace);
    expect(high - low).toBeLessThan(2 * Math.abs(golden.trace));
  });

  test("SAM's rise, and losses on the way to other weights", async () => {
    const runner = programRunner(backend);
    const { rise } = await worstCaseRise(runner, loss, weights, batches, { rho: golden.rho });
    close([rise], [golden.sam]);
    const path = await interpolate(runner, loss, weights, other, batches, { points: 5 });
    close(path.losses, golden.path);
  });
});
