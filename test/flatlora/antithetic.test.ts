/** Several draws of ε a step, antithetic pairs, and the noise of LPF-SGD. */
import {
  asOperator,
  grad,
  type HostArray,
  key,
  type Loss,
  mul,
  reduceSum,
  square,
  sub,
  type Value,
} from '../../src/autodiff/index.js';
import {
  adapt,
  constantNoise,
  fifteenfold,
  flat,
  fullFineTuning,
  lpfSgd,
} from '../../src/flatlora/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { adapters, batch, differences, plain, same, seenWeights } from './seenWeights.js';
import { chiSquareBound, meanSquare } from './statistics.js';
import { type Batch, gaussian, seeded, trainingContext } from './support.js';

// biome-ignore lint/suspicious/noExplicitAny: the parameters' type plays no part here.
type AnyLoss = Loss<any, any>;

const SIDE = 64;
const wide = {
  layer: { weight: gaussian(seeded(91), [SIDE, SIDE]) },
  bias: gaussian(seeded(92), [SIDE]),
};
const direction = gaussian(seeded(93), [SIDE, SIDE]);
const asLoss = (f: (w: Value) => Value) =>
  adapt(
    wide,
    fullFineTuning({ targetModules: ['layer'] }),
  )((weights: { layer: { weight: Value } }) =>
    f(asOperator(weights.layer.weight).dense()),
  ) as AnyLoss;
const linear = asLoss((w) => reduceSum(mul(w, direction)));
const quadratic = asLoss((w) => reduceSum(square(w)));

const lossAt = (loss: AnyLoss) =>
  numbers((p: never) => loss(p, {}, trainingContext()), wide)[0] as number;
const gradientAt = (loss: AnyLoss) =>
  toNumbers(
    run((p: never) => grad((q: never) => loss(q, {}, trainingContext()))(p), wide).find(
      (g) => g.shape.length === 2,
    ) as HostArray,
  );

/** What the model sees of the layer at each evaluation of one step, minus the weight itself. */
function noises(transform: (loss: AnyLoss) => AnyLoss, step = key(1), progress = 1): number[][] {
  const seen: Value[] = [];
  const spied = asLoss((w) => {
    seen.push(sub(w, wide.layer.weight));
    return reduceSum(w);
  });
  return run((p: never) => {
    transform(spied)(p, {}, trainingContext({ step: step as never, progress }));
    return seen;
  }, wide).map(toNumbers);
}

const pairs = (samples?: number) =>
  flat({ sigma: 0.5, antithetic: true, ...(samples && { samples }) });

describe('antithetic pairs', () => {
  test('come as ε and −ε, two by default; another pair has another ε', () => {
    const [first, second, ...rest] = noises(pairs()) as [number[], number[]];
    expect(rest).toEqual([]);
    expect(
      relativeError(
        second,
        first.map((x) => -x),
      ),
    ).toBeLessThan(1e-14);
    const four = noises(pairs(4));
    expect(four).toHaveLength(4);
    expect(
      relativeError(
        four[3] as number[],
        (four[2] as number[]).map((x) => -x),
      ),
    ).toBeLessThan(1e-14);
    expect(four[2]).not.toEqual(four[0]);
  });

  // 4,096 normal numbers over their deviations: χ² at rate 1e-7.
  test('each half has the law of Eq. 7', () => {
    for (const noise of noises(pairs(4))) {
      const weight = toNumbers(wide.layer.weight);
      const standard = noise.map((e, k) => {
        const i = Math.floor(k / SIDE);
        const row = weight.slice(i * SIDE, (i + 1) * SIDE);
        return e / (0.5 * Math.sqrt(row.reduce((s, w) => s + w * w, 0) / SIDE));
      });
      expect(Math.abs(meanSquare(standard) - 1)).toBeLessThan(chiSquareBound(SIDE * SIDE, 1e-7));
    }
  });

  test('the first order cancels: a linear loss and a quadratic gradient are as without noise', () => {
    expect(relativeError([lossAt(pairs()(linear))], [lossAt(linear)])).toBeLessThan(1e-12);
    expect(
      Math.abs(lossAt(flat({ sigma: 0.5, samples: 2 })(linear)) - lossAt(linear)),
    ).toBeGreaterThan(1);
    expect(relativeError(gradientAt(pairs()(quadratic)), gradientAt(quadratic))).toBeLessThan(
      1e-12,
    );
    // What is left of the loss is ½·εᵀHε: Σε² here.
    const [epsilon] = noises(pairs()) as [number[]];
    const expected = epsilon.reduce((s, e) => s + e * e, 0);
    const rise = lossAt(pairs()(quadratic)) - lossAt(quadratic);
    expect(relativeError([rise], [expected])).toBeLessThan(1e-10);
  });

  test('a flat inside draws the same ε in both of a pair', () => {
    const inside: number[][] = noises((loss) => pairs()(flat({ sigma: 0.2 })(loss)));
    const outer = noises(pairs())[0] as number[];
    const own = (k: number, sign: number) =>
      (inside[k] as number[]).map((x, i) => x - sign * (outer[i] as number));
    expect(relativeError(own(0, 1), own(1, -1))).toBeLessThan(1e-12);
    expect(meanSquare(own(0, 1))).toBeGreaterThan(0);
  });

  test('vectors too, where all is perturbed; factors', () => {
    const lossOf = (transform: (loss: AnyLoss) => AnyLoss) =>
      numbers(
        (p: never, b: Batch) => transform(plain)(p, b, trainingContext()),
        adapters,
        batch,
      )[0] as number;
    const rise = (on: 'all' | 'factors', antithetic: boolean) =>
      Math.abs(lossOf(flat({ sigma: 1e-4, on, antithetic })) - lossOf(same));
    // First order in σ against second.
    for (const on of ['all', 'factors'] as const) {
      expect(rise(on, true)).toBeLessThan(0.01 * rise(on, false));
    }
  });

  test('an odd number of samples is an error', () => {
    expect(() => flat({ antithetic: true, samples: 3 })).toThrow(/samples is 3, expected an even/);
  });
});

describe('LPF-SGD', () => {
  test('is Eq. 7 without 1/√n', () => {
    const constant = { schedule: constantNoise };
    const [given] = noises(lpfSgd({ gamma: 0.01, ...constant })) as [number[]];
    const [expected] = noises(flat({ sigma: 0.01 * Math.sqrt(SIDE), ...constant })) as [number[]];
    expect(relativeError(given, expected)).toBeLessThan(1e-14);
  });

  test('γ grows from γ₀ to 15 γ₀ along a cosine', () => {
    const at = (t: number) => numbers((x: Value) => fifteenfold(x), floats([t], []))[0];
    expect([0, 0.5, 1].map(at).map((x) => Math.round((x as number) * 1e9) / 1e9)).toEqual([
      1, 8, 15,
    ]);
    const [start, end] = [0, 1].map((t) => noises(lpfSgd({ gamma: 0.01 }), key(1), t)[0]) as [
      number[],
      number[],
    ];
    expect(
      relativeError(
        end,
        start.map((e) => 15 * e),
      ),
    ).toBeLessThan(1e-12);
  });

  test('vectors are one filter each, where all is perturbed', () => {
    const noise = differences(
      seenWeights(lpfSgd({ gamma: 0.1, on: 'all', schedule: constantNoise }) as never),
      seenWeights(same),
    );
    const other = differences(
      seenWeights(flat({ sigma: 0.1, on: 'all', schedule: constantNoise }) as never),
      seenWeights(same),
    );
    const bias = seenWeights(same)['first.bias'] as number[];
    const norm = Math.sqrt(bias.reduce((s, x) => s + x * x, 0));
    const expected = (other['first.bias'] as number[]).map(
      (e, i) => (e / Math.abs(bias[i] as number)) * norm,
    );
    expect(relativeError(noise['first.bias'] as number[], expected)).toBeLessThan(1e-12);
  });

  test('options out of range are errors; γ = 0 and evaluation are the loss', () => {
    expect(() => lpfSgd({ gamma: -1 })).toThrow(/lpfSgd: gamma is -1/);
    expect(() => lpfSgd({ samples: 0 })).toThrow(/lpfSgd: samples is 0/);
    expect(lpfSgd({ gamma: 0 })(linear)).toBe(linear);
    const evaluated = (loss: AnyLoss) =>
      numbers((p: never) => loss(p, {}, { ...trainingContext(), training: false }), wide);
    expect(evaluated(lpfSgd()(linear))).toEqual(evaluated(linear));
  });
});
