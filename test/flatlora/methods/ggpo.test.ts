/** GGPO's noise: its law, its independence, its derivative. */
import {
  asOperator,
  flatten,
  type HostArray,
  key,
  orThrow,
  type Value,
} from '../../../src/autodiff/index.js';
import { adapt, flat, ggpo, lora } from '../../../src/flatlora/index.js';
import { moved, numbers, relativeError, run, toNumbers } from '../../support/numeric.js';
import { chiSquareBound, correlationBound, dotMean, meanSquare } from '../statistics.js';
import { type Batch, gaussian, networkLoss, seeded, trainingContext } from '../support.js';
import {
  type AnyLoss,
  type AnyMethod,
  adaptedBy,
  gradientAt,
  options,
  startOf,
  type Tree,
  withoutAuxiliary,
} from './auxiliarySupport.js';
import { base, batch, trainedFrom } from './laws.js';

describe("GGPO's noise", () => {
  const side = 64;
  const wide = { layer: { weight: gaussian(seeded(81), [side, side]) } };
  const weight = toNumbers(wide.layer.weight);
  const norms = gaussian(seeded(82), [side]);

  /** The weight that the model sees under GGPO and a transformer around it. */
  function seen(
    { sigma, beta }: { sigma: number; beta: number },
    transform: (loss: AnyLoss) => AnyLoss,
    step = key(1),
  ): number[] {
    const method = ggpo({ rank: 2, sigma, beta, targetModules: ['layer'] });
    const start = orThrow(method.init(wide, key(3))).adapters as unknown as Tree;
    const adapters = { 'layer.weight': { ...start['layer.weight'], auxiliaryNorms: norms } };
    const dense = ((w: { layer: { weight: Value } }) =>
      asOperator(w.layer.weight).dense()) as AnyLoss;
    const loss = transform(adapt(wide, method)(dense) as AnyLoss);
    return numbers((p: never) => loss(p, {}, trainingContext({ step: step as never })), adapters);
  }

  /** Each element of the noise over the deviation that it should have. */
  const standardised = (noisy: readonly number[], sigmaSquared: number, betaSquared: number) =>
    noisy.map((x, k) => {
      const i = Math.floor(k / side);
      const row = weight.slice(i * side, (i + 1) * side);
      const normSquared = row.reduce((s, w) => s + w * w, 0);
      const variance = (sigmaSquared * normSquared + betaSquared * norms.get(i) ** 2) / side;
      return (x - (weight[k] as number)) / Math.sqrt(variance);
    });

  // 4,096 standard normal numbers; rates of the bounds 1e-7. Both terms are of one size.
  test('has variance (σ²‖W′_i‖² + β²‖Ĝ_i‖²)/n, anew at each step', () => {
    const options = { sigma: 0.3, beta: 3 };
    const [first, second] = [key(1), key(2)].map((k) =>
      standardised(
        seen(options, (l) => l, k),
        0.09,
        9,
      ),
    ) as [number[], number[]];
    expect(Math.abs(meanSquare(first) - 1)).toBeLessThan(chiSquareBound(side * side, 1e-7));
    expect(Math.abs(dotMean(first, second))).toBeLessThan(correlationBound(side * side, 1e-7));
  });

  test('has no derivative: the gradient is that of LoRA on a base with the noise in it', () => {
    const method = ggpo({ ...options, sigma: 0.5, beta: 1 });
    const trained = trainedFrom(startOf(method)) as Tree;
    const seenWeights = (m: AnyMethod, params: Tree) =>
      run(
        (p: never, b: Batch) => {
          const weights: Record<string, Value> = {};
          adaptedBy(m)(p, b, {
            ...trainingContext(),
            weight: (w, layer) => {
              weights[layer] = asOperator(w).dense();
              return w;
            },
          });
          return weights;
        },
        params,
        batch,
      );
    const plain = withoutAuxiliary(trained);
    const [noisy, clean] = [seenWeights(method, trained), seenWeights(lora(options), plain)];
    const moveBy = (w: HostArray, i: number) =>
      moved(moved(w, noisy[i] as HostArray, 1), clean[i] as HostArray, -1);
    const withNoise = {
      ...base,
      first: { ...base.first, weight: moveBy(base.first.weight, 0) },
      second: { ...base.second, weight: moveBy(base.second.weight, 1) },
    };
    const expected = gradientAt(
      adapt(withNoise, lora(options))(networkLoss as AnyLoss) as AnyLoss,
      plain,
    );
    const { paths } = flatten(trained);
    const given = gradientAt(adaptedBy(method), trained).filter(
      (_, i) => !(paths[i] as string).includes('auxiliary'),
    );
    given.forEach((g, i) => {
      expect(relativeError(toNumbers(g), toNumbers(expected[i] as HostArray))).toBeLessThan(1e-12);
    });
  });

  test('adds to that of a flat around it, which goes by W′ alone', () => {
    const options = { sigma: 1.5, beta: 1e-6 };
    const both = standardised(seen(options, flat({ sigma: 1 })), 3.25, 0);
    expect(Math.abs(meanSquare(both) - 1)).toBeLessThan(chiSquareBound(side * side, 1e-7));
  });
});
