import {
  constant,
  grad,
  type HostArray,
  identityHooks,
  isValue,
  key,
  type LossContext,
  orThrow,
  printTape,
  simplify,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import {
  adapt,
  constantNoise,
  cosineIncreasing,
  type FlatOptions,
  flat,
  lora,
  sam,
} from '../../src/flatlora/index.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import {
  type AnyLoss,
  adapters,
  base,
  batch,
  differences,
  method,
  plain,
  same,
  seenWeights,
} from './seenWeights.js';
import { type Batch, gaussian, networkLoss, trainingContext } from './support.js';

const tapeOf = (loss: AnyLoss, context: () => LossContext = trainingContext) =>
  printTape(
    simplify(
      trace(
        grad((p: never, b: Batch) => loss(p, b, context())),
        adapters,
        batch,
      ),
    ),
  );
const lossOf = (loss: AnyLoss, context: () => LossContext = trainingContext) =>
  numbers((p: never, b: Batch) => loss(p, b, context()), adapters, batch)[0] as number;
const gradientOf = (loss: AnyLoss, context: () => LossContext = trainingContext) =>
  run(
    (p: never, b: Batch) => grad((q: never) => loss(q, b, context()))(p),
    adapters,
    batch,
  ).flatMap(toNumbers);

describe('identity', () => {
  test('σ = 0 is LoRA bit for bit: the same tape', () => {
    expect(tapeOf(flat({ sigma: 0 })(plain))).toBe(tapeOf(plain));
    expect(gradientOf(flat({ sigma: 0 })(plain))).toEqual(gradientOf(plain));
    expect(tapeOf(flat({ sigma: 0.05 })(plain))).not.toBe(tapeOf(plain));
  });

  test('outside training it is the loss', () => {
    const evaluation = () => ({ ...trainingContext(), training: false });
    for (const on of ['adapted', 'all', 'factors'] as const) {
      expect(tapeOf(flat({ sigma: 0.3, on })(plain), evaluation)).toBe(tapeOf(plain, evaluation));
    }
    expect(tapeOf(sam({ over: 'weights' })(plain), evaluation)).toBe(tapeOf(plain, evaluation));
  });

  test.each([-0.1, Number.NaN, Number.POSITIVE_INFINITY])('σ = %d is refused', (sigma) => {
    expect(() => flat({ sigma })).toThrow(`flat: sigma is ${sigma}, expected a number ≥ 0`);
  });
  test.each([0, -1, 1.5])('samples = %d is refused', (samples) => {
    expect(() => flat({ samples })).toThrow(`flat: samples is ${samples}, expected an integer ≥ 1`);
  });

  test('a loss without weights to perturb is an error, not silence', () => {
    const bare: AnyLoss = (p, b, context) => networkLoss(p, b, context);
    const traced = (options: FlatOptions) => () =>
      trace(
        (p: never, b: Batch) => flat({ sigma: 0.1, ...options })(bare)(p, b, trainingContext()),
        base,
        batch,
      );
    expect(traced({ on: 'adapted' })).toThrow(/put adapt\(base, method\) before flat/);
    expect(traced({ on: 'all' })).toThrow(/put adapt/);
  });
});

describe('schedule', () => {
  const at = (schedule: typeof cosineIncreasing, t: number) => numbers(() => schedule(t))[0];
  test('cosine-increasing: 0, ½, 1', () => {
    expect([0, 1].map((t) => at(cosineIncreasing, t))).toEqual([0, 1]);
    expect(at(cosineIncreasing, 0.5)).toBeCloseTo(0.5, 15);
    expect(at(cosineIncreasing, 0.25)).toBeCloseTo((1 - Math.SQRT1_2) / 2, 15);
    expect(at(constantNoise, 0.3)).toBe(1);
  });

  test('scales the noise by progress', () => {
    const noiseAt = (progress: number) =>
      differences(
        seenWeights(flat({ sigma: 0.3 }), () => trainingContext({ progress })),
        seenWeights(same),
      )['first.weight'] as number[];
    const [half, full] = [noiseAt(0.5), noiseAt(1)];
    expect(
      relativeError(
        half.map((x) => 2 * x),
        full,
      ),
    ).toBeLessThan(1e-14);
    expect(noiseAt(0).every((x) => x === 0)).toBe(true);
  });
});

describe('keys', () => {
  const noiseOf = (context: Parameters<typeof trainingContext>[0]) =>
    seenWeights(flat({ sigma: 0.2 }), () => trainingContext(context));

  test('one ε per optimisation step: the same across micro-batches, another at the next step', () => {
    const first = noiseOf({ step: constant(key(5)), sample: constant(key(6)) });
    const second = noiseOf({ step: constant(key(5)), sample: constant(key(7)) });
    const next = noiseOf({ step: constant(key(8)), sample: constant(key(6)) });
    expect(second).toEqual(first);
    expect(next).not.toEqual(first);
  });

  test('depends on the layer name, not on which other layers are adapted', () => {
    const alone = adapt(base, lora({ rank: 2, alpha: 3, targetModules: ['second'] }))(networkLoss);
    const both = noiseOf({});
    const one = seenWeights(flat({ sigma: 0.2 }), trainingContext, {
      loss: alone,
      params: { 'second.weight': adapters['second.weight'] },
    });
    expect(one['second.weight']).toEqual(both['second.weight']);
  });
});

describe('what is perturbed', () => {
  const perturbedNames = (options: FlatOptions, from?: { loss: AnyLoss; params: unknown }) => {
    const noise = differences(
      seenWeights(flat({ sigma: 0.2, ...options }), trainingContext, from),
      seenWeights(same, trainingContext, from),
    );
    return Object.keys(noise).filter((name) => noise[name]?.some((x) => x !== 0));
  };
  const one = {
    loss: adapt(
      base,
      lora({ rank: 2, alpha: 3, targetModules: ['second'] }),
    )(networkLoss) as AnyLoss,
    params: { 'second.weight': adapters['second.weight'] },
  };

  test('adapted: the adapted layers alone', () => {
    expect(perturbedNames({}, one)).toEqual(['second.weight']);
  });

  test('all: every parameter (Appendix C)', () => {
    expect(perturbedNames({ on: 'all' }, one)).toEqual([
      'first.bias',
      'first.weight',
      'scale',
      'second.bias',
      'second.weight',
    ]);
  });

  test('factors: the loss at perturbed A and B (Table 6), the base untouched', () => {
    const noisyParams = run(
      (p: never, b: Batch) => {
        let seen: unknown;
        flat({ sigma: 0.2, on: 'factors' })((q: never, x: Batch, context) => {
          seen = q;
          return plain(q, x, context);
        })(p, b, trainingContext());
        return seen;
      },
      adapters,
      batch,
    );
    expect(noisyParams).toHaveLength(4);
    const merged = orThrow(
      method.merge(base, {
        'first.weight': { a: noisyParams[0] as HostArray, b: noisyParams[1] as HostArray },
        'second.weight': { a: noisyParams[2] as HostArray, b: noisyParams[3] as HostArray },
      }),
    );
    const there = numbers(
      (w: never, b: Batch) => networkLoss(w, b, trainingContext()),
      merged,
      batch,
    );
    expect(relativeError([lossOf(flat({ sigma: 0.2, on: 'factors' })(plain))], there)).toBeLessThan(
      1e-12,
    );
    expect(
      relativeError(toNumbers(noisyParams[0] as HostArray), toNumbers(adapters['first.weight'].a)),
    ).toBeGreaterThan(1e-3);
  });

  test('gradient: that of A and B at W′ + ε, with the norms constant', () => {
    const seen = seenWeights(flat({ sigma: 0.4 }));
    const epsilon = differences(seen, seenWeights(same));
    const shifted: AnyLoss = (p, b, context) =>
      plain(p, b, {
        ...context,
        ...identityHooks,
        weight: (w, name) => {
          if (isValue(w)) return w;
          const delta = { shape: w.shape, values: epsilon[name] as number[] };
          return w.plus(constant(hostMatrix(delta.values, delta.shape)));
        },
      });
    expect(
      relativeError(gradientOf(flat({ sigma: 0.4 })(plain)), gradientOf(shifted)),
    ).toBeLessThan(1e-12);
    expect(relativeError(gradientOf(plain), gradientOf(shifted))).toBeGreaterThan(1e-3);
  });
});

function hostMatrix(values: readonly number[], shape: readonly number[]): HostArray {
  const out = gaussian(key(0), shape);
  values.forEach((x, i) => {
    out.data[i] = x;
  });
  return out;
}

test('base weights are bitwise unchanged after training steps', () => {
  const copy = (w: HostArray) => Array.from(new Uint32Array(new Float64Array(toNumbers(w)).buffer));
  const before = [base.first.weight, base.second.weight].map(copy);
  let params: unknown = adapters;
  const step = (p: never, b: Batch, k: Value) => {
    const loss = flat({ sigma: 0.3 })(plain);
    const context = trainingContext({ step: k });
    return grad((q: never) => loss(q, b, context))(p);
  };
  const start = lossOf(plain);
  for (let t = 0; t < 20; t++) {
    const g = run(step, params, batch, key(t));
    const current = Object.values(params as typeof adapters).flatMap(({ a, b }) => [a, b]);
    const [a1, b1, a2, b2] = current.map((x, i) =>
      hostMatrix(
        toNumbers(x).map((v, j) => v - 0.1 * (toNumbers(g[i] as HostArray)[j] as number)),
        x.shape,
      ),
    );
    params = { 'first.weight': { a: a1, b: b1 }, 'second.weight': { a: a2, b: b2 } };
  }
  expect(
    numbers((p: never, b: Batch) => plain(p, b, trainingContext()), params, batch)[0],
  ).toBeLessThan(start);
  expect([base.first.weight, base.second.weight].map(copy)).toEqual(before);
});
