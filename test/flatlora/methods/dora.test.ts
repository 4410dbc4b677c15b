/** DoRA: PyTorch's numbers, its start, and what it cannot do. */
import * as E from 'fp-ts/lib/Either.js';
import {
  add,
  asOperator,
  grad,
  type HostArray,
  key,
  orThrow,
  simplify,
  sizeOf,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { adapt, dora, flat } from '../../../src/flatlora/index.js';
import { outputsOf, planTape } from '../../../src/kernels/plan/plan.js';
import { storeAs } from '../../../src/models/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../../support/numeric.js';
import { testTorchFixture } from '../../support/torchFixtures.js';
import type { AnyLoss } from '../seenWeights.js';
import { type Batch, gaussian, networkLoss, seeded, trainingContext } from '../support.js';
import { base, batch, single, testMethodLaws, trainedFrom } from './laws.js';

const options = { rank: 2, alpha: 3, targetModules: ['first', 'second'] };
const method = dora(options);
const start = orThrow(method.init(base, key(1)));
const trained = trainedFrom(start.adapters) as typeof start.adapters;
const lossOf = (frozen: unknown, m = method) => adapt(frozen, m)(networkLoss as AnyLoss) as AnyLoss;
const value = (loss: AnyLoss, params: unknown) =>
  numbers((p: never, b: Batch) => loss(p, b, trainingContext()), params, batch);

testTorchFixture('dora', ({ x, W, bias, A, B, m }, attrs) => {
  const effective = orThrow(
    dora({
      rank: attrs.r,
      alpha: attrs.alpha,
      normDetached: attrs.norm_detached,
      targetModules: ['layer'],
    }).effective({ layer: { weight: W } }),
  );
  const adapters = { 'layer.weight': { a: A, b: B, magnitude: m } } as never;
  const { layer } = effective(adapters, trainingContext()) as { layer: { weight: Value } };
  return { y: add(asOperator(layer.weight).apply(x as Value), bias as Value) };
});

describe('norm detached', () => {
  testMethodLaws(method, base, trained, { differentiable: false });
});
describe('norm differentiated', () => {
  testMethodLaws(dora({ ...options, normDetached: false }), base, trained);
});

test('the start: B = 0, lengths of the rows, the base function', () => {
  const { a, b, magnitude } = start.adapters['first.weight'] as Record<string, HostArray>;
  expect([a, b, magnitude].map((x) => x?.shape)).toEqual([[2, 11], [7, 2], [7]]);
  expect(toNumbers(b as HostArray).every((x) => x === 0)).toBe(true);
  const rows = toNumbers(base.first.weight);
  expect(toNumbers(magnitude as HostArray)[3]).toBeCloseTo(Math.hypot(...rows.slice(33, 44)), 12);
  const [adapted, plain] = [
    value(lossOf(base), start.adapters),
    value(networkLoss as AnyLoss, base),
  ];
  expect(relativeError(adapted, plain)).toBeLessThan(1e-14);
  expect(start.base).toEqual(base);
});

test('in float32 and on half precision', () => {
  for (const frozen of [single(base), storeAs('bfloat16')(base)]) {
    const { adapters } = orThrow(method.init(frozen, key(1)));
    expect(adapters['first.weight']?.magnitude.data).toBeInstanceOf(Float32Array);
    const changed = single(trainedFrom(adapters)) as typeof adapters;
    const merged = orThrow(method.merge(frozen, changed));
    expect(merged.first.weight.data).toBeInstanceOf(Float32Array);
    const [adapted, plain] = [
      value(lossOf(frozen), changed),
      value(networkLoss as AnyLoss, merged),
    ];
    expect(relativeError(adapted, plain)).toBeLessThan(1e-5);
  }
});

test('a row of zeros stays one, and its gradients are finite', () => {
  const weight = toNumbers(base.first.weight).map((x, i) => (i < 11 ? 0 : x));
  const frozen = { ...base, first: { ...base.first, weight: floats(weight, [7, 11]) } };
  for (const normDetached of [true, false]) {
    const m = dora({ ...options, normDetached });
    const { adapters } = orThrow(m.init(frozen, key(1)));
    const gradient = run(
      (p: never, b: Batch) =>
        grad((q: never) => flat({ sigma: 0.1 })(lossOf(frozen, m))(q, b, trainingContext()))(p),
      adapters,
      batch,
    );
    expect(gradient.flatMap(toNumbers).every(Number.isFinite)).toBe(true);
    expect(toNumbers(orThrow(m.merge(frozen, adapters)).first.weight).slice(0, 11)).toEqual(
      new Array(11).fill(0),
    );
  }
});

test('names of PEFT; unmerging is refused', () => {
  expect(Object.keys(method.toArrays(trained))).toContain(
    'base_model.model.first.lora_magnitude_vector',
  );
  const merged = orThrow(method.merge(base, trained));
  const back = method.unmerge(merged, trained);
  expect(E.isLeft(back) && back.left.message).toMatch(/dora: the base cannot be found again/);
});

test('dropout is on the input of A alone', () => {
  const dropping = dora({ ...options, dropout: 0.5 });
  expect(value(lossOf(base, dropping), start.adapters)).toEqual(
    value(lossOf(base), start.adapters),
  );
  expect(value(lossOf(base, dropping), trained)).not.toEqual(value(lossOf(base), trained));
});

test('rounded under flat: the model sees half-precision numbers of the effective weight', () => {
  const rounded = flat({ sigma: 0, precision: 'bfloat16' })(lossOf(base));
  const merged = storeAs('bfloat16')(orThrow(method.merge(base, trained)));
  const [seen, expected] = [value(rounded, trained), value(networkLoss as AnyLoss, merged)];
  expect(relativeError(seen, expected)).toBeLessThan(1e-12);
  expect(seen).not.toEqual(value(lossOf(base), trained));
});

test('no array of the size of a weight is in memory in a step, with noise or without', () => {
  const limits = { maxReads: 24, operandCost: 30 }; // those of wasm
  for (const transformer of [
    (loss: AnyLoss) => loss,
    flat({ sigma: 0.1 }) as (loss: AnyLoss) => AnyLoss,
    flat({ sigma: 0.1, recompute: true }) as (loss: AnyLoss) => AnyLoss,
  ]) {
    const step = (p: never, b: Batch) =>
      grad((q: never) => transformer(lossOf(base))(q, b, trainingContext()))(p);
    const { kernels } = planTape(simplify(trace(step, trained, batch)), limits);
    const sizes = kernels.flatMap((kernel) => outputsOf(kernel).map((v) => sizeOf(v.shape)));
    expect(sizes.length).toBeGreaterThan(10);
    expect(sizes.filter((size) => size === 7 * 11 || size === 5 * 7)).toEqual([]);
  }
});

test('gaussian start of A is LoRA’s', () => {
  const { adapters } = orThrow(
    dora({ ...options, initialisation: 'gaussian' }).init(
      { first: { weight: gaussian(seeded(1), [7, 11]) }, second: base.second },
      key(1),
    ),
  );
  expect(toNumbers(adapters['first.weight']?.a as HostArray)).not.toEqual(
    toNumbers(start.adapters['first.weight']?.a as HostArray),
  );
});
