/**
 * Mean and variance of the noise that `flat` injects in a cast, held to the exact law of a rounded
 * normal number.
 */
import {
  asOperator,
  constant,
  type HalfPrecision,
  halfBits,
  hostArray,
  key,
  type LossContext,
  numberOfHalf,
  range,
  roundToHalf,
  type Value,
} from '../../src/autodiff/index.js';
import {
  adapt,
  constantNoise,
  type FlatOptions,
  flat,
  fullFineTuning,
} from '../../src/flatlora/index.js';
import { numbers } from '../support/numeric.js';
import { normalDistribution } from '../support/statistics.js';
import type { AnyLoss } from './seenWeights.js';
import { trainingContext } from './support.js';

const FORMATS: readonly HalfPrecision[] = ['bfloat16', 'float16'];

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
