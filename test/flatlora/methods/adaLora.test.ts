/** AdaLoRA as a method: laws, starts, penalty, names. */
import {
  flatten,
  grad,
  type HostArray,
  hostArray,
  key,
  type Loss,
  orThrow,
} from '../../../src/autodiff/index.js';
import { adaLora, adapt } from '../../../src/flatlora/index.js';
import { orthogonalityPenalty } from '../../../src/flatlora/methods/adaLora.js';
import { floats, numbers, relativeError, run, toNumbers } from '../../support/numeric.js';
import { type Batch, networkLoss, trainingContext } from '../support.js';
import { base, batch, testMethodLaws, trainedFrom } from './laws.js';

// biome-ignore lint/suspicious/noExplicitAny: the adapters' type plays no part here.
type AnyLoss = Loss<any, any>;

const options = { rank: 2, initialRank: 3, alpha: 6, targetModules: ['first', 'second'] };
const free = adaLora({ ...options, orthogonality: 0 });
const method = adaLora(options);
const started = orThrow(method.init(base, key(5)));

describe('laws', () => {
  // Saved arrays are float32 at the start only; laws are about any adapters.
  testMethodLaws(free, base, trainedFrom(started.adapters));
});

const lossAt = (loss: AnyLoss, params: unknown) =>
  numbers((p: never, b: Batch) => loss(p, b, trainingContext()), params, batch)[0] as number;

describe('start', () => {
  test('at the base: E is 0, so the adapted loss is the base loss, exactly', () => {
    const adapted = adapt(base, free)(networkLoss as AnyLoss) as AnyLoss;
    expect(lossAt(adapted, started.adapters)).toBe(lossAt(networkLoss as AnyLoss, base));
    expect(started.base).toEqual(base);
  });

  test('A and B are N(0, 0.02²)', () => {
    const wide = { layer: { weight: hostArray(new Float32Array(4096), [64, 64]) } };
    const { adapters } = orThrow(
      adaLora({ rank: 32, initialRank: 32, targetModules: ['layer'] }).init(wide, key(6)),
    );
    const { a, b } = adapters['layer.weight'] as Record<'a' | 'b' | 'e', HostArray>;
    const draws = [...toNumbers(a), ...toNumbers(b)].map((x) => x / 0.02);
    // χ² of 4,096 numbers: at rate 1e-7 its mean is within 0.135 of 1 (Laurent and Massart).
    const meanSquare = draws.reduce((s, x) => s + x * x, 0) / draws.length;
    expect(Math.abs(meanSquare - 1)).toBeLessThan(0.135);
    expect(toNumbers(a)).not.toEqual(toNumbers(b));
  });
});

describe('orthogonality', () => {
  test('is w times the mean of ‖AAᵀ − I‖ and ‖BᵀB − I‖, in training alone', () => {
    const adapters = trainedFrom(started.adapters) as typeof started.adapters;
    const distance = (x: HostArray, ofColumns: boolean) => {
      const [rows, columns] = x.shape as [number, number];
      const [r, n] = ofColumns ? [columns, rows] : [rows, columns];
      const at = (i: number, j: number) => (ofColumns ? x.get(j, i) : x.get(i, j));
      let sum = 0;
      for (let i = 0; i < r; i++) {
        for (let k = 0; k < r; k++) {
          let dot = i === k ? -1 : 0;
          for (let j = 0; j < n; j++) dot += at(i, j) * at(k, j);
          sum += dot * dot;
        }
      }
      return Math.sqrt(sum);
    };
    const all = Object.values(adapters).flatMap(({ a, b }) => [
      distance(a, false),
      distance(b, true),
    ]);
    const expected = (0.5 * all.reduce((s, d) => s + d, 0)) / all.length;
    const [withIt, without] = [method, free].map(
      (m) => adapt(base, m)(networkLoss as AnyLoss) as AnyLoss,
    ) as [AnyLoss, AnyLoss];
    const difference = lossAt(withIt, adapters) - lossAt(without, adapters);
    expect(relativeError([difference], [expected])).toBeLessThan(1e-12);
    const evaluated = (loss: AnyLoss) =>
      numbers(
        (p: never, b: Batch) => loss(p, b, { ...trainingContext(), training: false }),
        adapters,
        batch,
      );
    expect(evaluated(withIt)).toEqual(evaluated(without));
  });

  test('has derivative 0, not NaN, where A and B are orthogonal', () => {
    const identity = floats([1, 0, 0, 1], [2, 2]);
    const gradient = run((p: never) => grad((q: never) => orthogonalityPenalty(q))(p), {
      layer: { a: identity, b: identity, e: floats([1, 1], [2, 1]) },
    });
    expect(gradient.flatMap(toNumbers)).toEqual(new Array(10).fill(0));
  });
});

test("saved under PEFT's names", () => {
  const names = Object.keys(method.toArrays(started.adapters)).sort();
  expect(names.slice(0, 3)).toEqual(
    ['A', 'B', 'E'].map((part) => `base_model.model.first.lora_${part}`),
  );
  expect(flatten(started.adapters).paths).toHaveLength(names.length);
});

test('options out of range are errors', () => {
  expect(() => adaLora({ ...options, rank: 4 })).toThrow(/initialRank = 3/);
  expect(() => adaLora({ ...options, beta1: 1 })).toThrow(/beta1 is 1/);
  expect(() => adaLora({ ...options, orthogonality: -1 })).toThrow(/orthogonality is -1/);
});
