/** `flat` with a precision: what the model sees is round(W′ + ε), its derivative goes straight through. */
import {
  asOperator,
  constant,
  flatData,
  floats,
  grad,
  type HalfPrecision,
  type HostArray,
  halfBits,
  hostArray,
  identityHooks,
  isValue,
  key,
  type LossContext,
  numberOfHalf,
  range,
  roundToHalf,
  simplify,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import {
  adapt,
  constantNoise,
  type FlatOptions,
  flat,
  fullFineTuning,
  lora,
} from '../../src/flatlora/index.js';
import { evaluate } from '../../src/kernels/index.js';
import { testBackends } from '../support/backends.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { normalDistribution } from '../support/statistics.js';
import {
  type AnyLoss,
  adapters,
  base,
  batch,
  differences,
  plain,
  same,
  seenWeights,
} from './seenWeights.js';
import { type Batch, networkLoss, trainingContext } from './support.js';

const FORMATS: readonly HalfPrecision[] = ['bfloat16', 'float16'];

const roundAll = (weights: Record<string, number[]>, precision: HalfPrecision, names: string[]) =>
  Object.fromEntries(
    Object.entries(weights).map(([name, xs]) => [
      name,
      names.includes(name) ? xs.map((x) => roundToHalf(x, precision)) : xs,
    ]),
  );
const MATRICES = ['first.weight', 'second.weight'];

const valueAndGradient = (loss: AnyLoss, params: unknown = adapters) =>
  run(
    (p: never, b: Batch) => [
      loss(p, b, trainingContext()),
      grad((q: never) => loss(q, b, trainingContext()))(p),
    ],
    params,
    batch,
  ).map(toNumbers);

describe.each(FORMATS)('%s', (precision) => {
  test('the model sees round(W′ + ε), bit for bit', () => {
    const seen = seenWeights(flat({ sigma: 0.3, precision }));
    expect(seen).toEqual(roundAll(seenWeights(flat({ sigma: 0.3 })), precision, MATRICES));
    expect(seen).not.toEqual(seenWeights(flat({ sigma: 0.3 })));
  });

  test('σ = 0: the merged weights are rounded and there is no noise', () => {
    const seen = seenWeights(flat({ sigma: 0, precision }));
    expect(seen).toEqual(roundAll(seenWeights(same), precision, MATRICES));
    const tape = trace(
      (p: never, b: Batch) => flat({ sigma: 0, precision })(plain)(p, b, trainingContext()),
      adapters,
      batch,
    );
    expect(simplify(tape).equations.some((e) => e.primitive.name === 'bitsToNormal')).toBe(false);
  });

  test('all: vectors too; factors: A and B themselves', () => {
    const all = [...MATRICES, 'first.bias', 'scale', 'second.bias'];
    expect(seenWeights(flat({ sigma: 0.3, on: 'all', precision }))).toEqual(
      roundAll(seenWeights(flat({ sigma: 0.3, on: 'all' })), precision, all),
    );
    const factors = (options: FlatOptions) =>
      run(
        (p: never, b: Batch) => {
          let seen: unknown;
          flat({ sigma: 0.2, on: 'factors', ...options })((q: never, x: Batch, context) => {
            seen = q;
            return plain(q, x, context);
          })(p, b, trainingContext());
          return seen;
        },
        adapters,
        batch,
      ).map(toNumbers);
    expect(factors({ precision })).toEqual(
      factors({}).map((xs) => xs.map((x) => roundToHalf(x, precision))),
    );
  });

  test('gradient: that of A and B at the rounded weights', () => {
    const transformer = flat({ sigma: 0.3, precision });
    const delta = differences(seenWeights(transformer), seenWeights(same));
    const shifted: AnyLoss = (p, b, context) =>
      plain(p, b, {
        ...context,
        ...identityHooks,
        weight: (w, name) =>
          isValue(w) ? w : w.plus(constant(floats(delta[name] as number[], w.shape))),
      });
    const [given, expected] = [valueAndGradient(transformer(plain)), valueAndGradient(shifted)];
    expect(relativeError(given.flat(), expected.flat())).toBeLessThan(1e-12);
    const unrounded = valueAndGradient(flat({ sigma: 0.3 })(plain));
    expect(relativeError(given.flat(), unrounded.flat())).toBeGreaterThan(1e-6);
  });

  test('drawing ε again in the backward pass gives the same bits', () => {
    const kept = valueAndGradient(flat({ sigma: 0.3, precision })(plain));
    expect(valueAndGradient(flat({ sigma: 0.3, precision, recompute: true })(plain))).toEqual(kept);
  });

  test('full fine-tuning: plain mixed precision, the gradient straight through', () => {
    const loss: AnyLoss = adapt(base, fullFineTuning())(networkLoss as AnyLoss);
    const from = { loss, params: base };
    const rounded = seenWeights(flat({ sigma: 0, precision }), trainingContext, from);
    expect(rounded).toEqual(
      roundAll(seenWeights(same, trainingContext, from), precision, MATRICES),
    );
    const there = {
      ...base,
      first: { ...base.first, weight: floats(rounded['first.weight'] as number[], [7, 11]) },
      second: { ...base.second, weight: floats(rounded['second.weight'] as number[], [5, 7]) },
    };
    expect(valueAndGradient(flat({ sigma: 0, precision })(loss), base)).toEqual(
      valueAndGradient(loss, there),
    );
  });
});

test('no gradient of the shape of a weight is formed: one such product a layer, the merged weight', () => {
  const tape = simplify(
    trace(
      grad((p: never, b: Batch) =>
        flat({ sigma: 0.3, precision: 'bfloat16' })(plain)(p, b, trainingContext()),
      ),
      adapters,
      batch,
    ),
  );
  const products = tape.equations.filter((e) => e.primitive.name === 'dot');
  const ofShape = (m: number, n: number) =>
    products.filter((e) => [`${m},${n}`, `${n},${m}`].includes(`${e.outputs[0]?.shape}`)).length;
  expect([ofShape(7, 11), ofShape(5, 7)]).toEqual([1, 1]);
});

test('composed: the innermost flat rounds what all have added', () => {
  const [first, second] = [flat({ sigma: 0.2 }), flat({ sigma: 0.3 })];
  const inner = flat({ sigma: 0.2, precision: 'bfloat16' });
  const both = seenWeights((loss) => second(first(loss)));
  expect(seenWeights((loss) => second(inner(loss)))).toEqual(roundAll(both, 'bfloat16', MATRICES));
});

test('outside training nothing is rounded', () => {
  const evaluation = () => ({ ...trainingContext(), training: false });
  expect(seenWeights(flat({ precision: 'float16' }), evaluation)).toEqual(
    seenWeights(same, evaluation),
  );
});

test("LoRA's dropout has no place in a merged weight: an error, not silence", () => {
  const method = lora({ rank: 2, alpha: 3, dropout: 0.5, targetModules: ['first', 'second'] });
  const loss = flat({ precision: 'bfloat16' })(adapt(base, method)(networkLoss as AnyLoss));
  expect(() => valueAndGradient(loss)).toThrow("turn the adapter's dropout off");
});

/**
 * The law of round(c + τZ), Z standard normal: the probability of each number of the format is that
 * of the interval that is rounded to it, by Φ; moments are sums over the format's numbers.
 */
function momentsOfRounded(c: number, tau: number, precision: HalfPrecision) {
  const first = halfBits(c - 9 * tau, precision);
  const values = range(halfBits(c + 9 * tau, precision) - first + 1).map((i) =>
    numberOfHalf(first + i, precision),
  );
  const below = (i: number): number =>
    i <= 0
      ? 0
      : i >= values.length
        ? 1
        : normalDistribution((((values[i - 1] as number) + (values[i] as number)) / 2 - c) / tau);
  const chance = values.map((_, i) => below(i + 1) - below(i));
  const expectation = (f: (x: number) => number) =>
    values.reduce((sum, x, i) => sum + f(x) * (chance[i] as number), 0);
  const mean = expectation((x) => x);
  const variance = expectation((x) => (x - mean) ** 2);
  return { mean, variance, fourth: expectation((x) => (x - mean) ** 4) };
}

/**
 * Mean and variance of a sample in standard errors. For a fair sample of 65,536 both are normal to a
 * good approximation (Berry–Esseen), so |score| > 5.5 has a chance of 4·10⁻⁸; the four scores of the
 * test below together stay under 10⁻⁶.
 */
function scores(
  sample: readonly number[],
  { mean, variance, fourth }: ReturnType<typeof momentsOfRounded>,
) {
  const n = sample.length;
  const average = sample.reduce((sum, x) => sum + x, 0) / n;
  const spread = sample.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n;
  return [
    Math.abs(average - mean) / Math.sqrt(variance / n),
    Math.abs(spread - variance) / Math.sqrt((fourth - variance ** 2) / n),
  ];
}
const BOUND = 5.5;

describe.each(FORMATS)('%s: mean and variance of the injected noise', (precision) => {
  const [m, n] = [16, 4096];
  const c = 1.3713;
  // Noise of half a step of the format: where rounding matters most.
  const step = precision === 'bfloat16' ? 2 ** -7 : 2 ** -10;
  const tau = step / 2;
  const law = momentsOfRounded(c, tau, precision);
  // Equal elements in a row: by Eq. 7 each has the deviation σ·c.
  const weights = { linear: { weight: hostArray(new Float64Array(m * n).fill(c), [m, n]) } };
  const seen = (options: FlatOptions): number[] =>
    numbers((w: never) => {
      let weight: Value | undefined;
      const loss: AnyLoss = adapt(
        weights,
        fullFineTuning(),
      )((p: never) => {
        weight = asOperator((p as { linear: { weight: Value } }).linear.weight).dense();
        return weight;
      }) as AnyLoss;
      const context: LossContext = trainingContext({ step: constant(key(2024)) });
      flat({ sigma: tau / c, schedule: constantNoise, ...options })(loss)(
        w,
        undefined as never,
        context,
      );
      return weight;
    }, weights);

  test('are those of round(W′ + ε)', () => {
    expect(Math.max(...scores(seen({ precision }), law))).toBeLessThan(BOUND);
  });

  test('and would not be with the usual mistakes', () => {
    const noisy = seen({});
    const truncated = noisy.map((x) => Math.floor(x / step) * step);
    const roundedBefore = noisy.map((x) => x - c + roundToHalf(c, precision));
    const [meanOfTruncated] = scores(truncated, law);
    expect(meanOfTruncated).toBeGreaterThan(BOUND);
    expect(Math.max(...scores(noisy, law))).toBeGreaterThan(BOUND);
    expect(Math.max(...scores(roundedBefore, law))).toBeGreaterThan(BOUND);
    const tooStrong = seen({ precision, sigma: (1.05 * tau) / c });
    expect(Math.max(...scores(tooStrong, law))).toBeGreaterThan(BOUND);
  });
});

test.each(testBackends().map((b) => [b.name, b] as const))('%s', async (_, { open }) => {
  // Weights that are float32 already, no adapters, no noise: every backend rounds the same numbers.
  const backend = await open();
  const weights = {
    linear: {
      weight: hostArray(
        Float32Array.from(range(35), (i) => Math.sin(i) / 3),
        [5, 7],
      ),
    },
  };
  for (const precision of FORMATS) {
    const given = await evaluate(
      (w: typeof weights) => {
        let weight: Value | undefined;
        const loss: AnyLoss = adapt(
          weights,
          fullFineTuning(),
        )((p: never) => {
          weight = (p as { linear: { weight: Value } }).linear.weight;
          return weight;
        }) as AnyLoss;
        flat({ sigma: 0, precision })(loss)(w as never, undefined as never, trainingContext());
        return weight as Value;
      },
      backend,
      weights,
    );
    expect(Array.from(flatData(given as unknown as HostArray))).toEqual(
      Array.from(weights.linear.weight.data, (x) => roundToHalf(x, precision)),
    );
  }
  await backend.dispose();
});
