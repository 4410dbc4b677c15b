/** Gradients of layers and covariances of their inputs, against PyTorch's. */
import {
  add,
  asOperator,
  checkpoint,
  type HostArray,
  type Loss,
  reduceSum,
  type Value,
  type Weight,
} from '../../../src/autodiff/index.js';
import { layerCovariances, layerGradients } from '../../../src/flatlora/index.js';
import { programRunner, referenceBackend, wasmBackend } from '../../../src/kernels/index.js';
import { storeAs } from '../../../src/models/index.js';
import { floats, relativeError, toNumbers } from '../../support/numeric.js';
import { byPath, golden, goldenBase, goldenOptions } from '../methods/startFixture.js';
import type { AnyLoss } from '../seenWeights.js';
import { networkLoss } from '../support.js';

const { targetModules } = goldenOptions;
const loss = networkLoss as AnyLoss;

const worst = (
  found: Readonly<Record<string, HostArray>>,
  expected: Readonly<Record<string, HostArray>>,
) => {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  return Math.max(
    ...Object.entries(expected).map(([path, x]) =>
      relativeError(toNumbers(found[path] as HostArray), toNumbers(x)),
    ),
  );
};

test.each([
  ['reference', async () => referenceBackend(), 1e-10],
  ['wasm', () => wasmBackend(), 1e-6],
] as const)(
  'on %s they are PyTorch’s, and nothing is left on the device',
  async (_, open, tolerance) => {
    const backend = await open();
    const { buffers } = backend.memory();
    const runner = programRunner(backend);
    const gradients = await layerGradients(runner, loss, goldenBase, targetModules, golden.batches);
    expect(worst(gradients, byPath(golden.gradients))).toBeLessThan(tolerance);
    const covariances = await layerCovariances(
      runner,
      loss,
      goldenBase,
      targetModules,
      golden.batches,
    );
    expect(worst(covariances, byPath(golden.covariances))).toBeLessThan(tolerance);
    expect(backend.memory().buffers).toBe(buffers);
    await backend.dispose();
  },
);

const runner = programRunner(referenceBackend());

test('targets alone are measured, on half precision too', async () => {
  // The golden weights are multiples of 1/64, so bfloat16 holds them as they are.
  const half = storeAs('bfloat16')(goldenBase);
  const found = await layerGradients(runner, loss, half, ['second'], golden.batches);
  expect(worst(found, { 'second.weight': golden.gradients.second })).toBeLessThan(1e-10);
  const seen = await layerCovariances(runner, loss, half, ['second'], golden.batches);
  expect(worst(seen, { 'second.weight': golden.covariances.second })).toBeLessThan(1e-10);
});

describe('covariances', () => {
  type Layer = { readonly layer: { readonly weight: Weight } };
  const weights = { layer: { weight: floats([1, 2, 3, 4], [2, 2]) } };
  const apply = (w: Layer, x: Value) => asOperator(w.layer.weight).apply(x);

  test('a layer that is passed twice counts twice, and positions of a batch are rows', async () => {
    const twice: Loss<Layer, Value> = (w, x) => reduceSum(add(apply(w, x), apply(w, x)));
    const x = floats([1, 0, -4, 2, 0, 0, 3, 1], [2, 2, 2]);
    const { 'layer.weight': c } = await layerCovariances(runner, twice, weights, ['layer'], [x]);
    // Rows (1,0), (−4,2), (0,0), (3,1) over the greatest size, 4.
    expect(toNumbers(c as HostArray)).toEqual([26, -5, -5, 5].map((v) => (2 * v) / 16));
  });

  test('a batch of zeros has covariance zero', async () => {
    const once: Loss<Layer, Value> = (w, x) => reduceSum(apply(w, x));
    const zero = floats([0, 0], [1, 2]);
    const { 'layer.weight': c } = await layerCovariances(runner, once, weights, ['layer'], [zero]);
    expect(toNumbers(c as HostArray)).toEqual([0, 0, 0, 0]);
  });

  test('what is refused', async () => {
    const unused: Loss<Layer, Value> = (_, x) => reduceSum(x);
    const measure = (l: Loss<Layer, Value>, batches: unknown[]) =>
      layerCovariances(runner, l, weights, ['layer'], batches);
    const x = floats([1, 2], [1, 2]);
    await expect(measure(unused, [x])).rejects.toThrow(/"layer.weight" is applied to nothing/);
    await expect(measure(unused, [])).rejects.toThrow(/no batches given/);
    const hidden: Loss<Layer, Value> = (w, v) =>
      checkpoint((inner: Value) => reduceSum(apply(w, inner)))(v);
    await expect(measure(hidden, [x])).rejects.toThrow(/a value of another traced function/);
  });
});
