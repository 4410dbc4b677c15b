/** `flat` composed: quadrature, samples, the laws of a monoid. */
import * as fc from 'fast-check';
import {
  add,
  asOperator,
  type HostArray,
  type LossContext,
  type LossTransformer,
  lossTransformerMonoid,
  printTape,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import { adapt, flat, fullFineTuning, sam } from '../../src/flatlora/index.js';
import { numbers, run } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import {
  type AnyLoss,
  adapters,
  batch,
  differences,
  plain,
  same,
  seenWeights,
} from './seenWeights.js';
import { chiSquareBound, correlationBound, dotMean, meanSquare } from './statistics.js';
import { type Batch, gaussian, seeded, trainingContext } from './support.js';

const lossOf = (loss: AnyLoss, context: () => LossContext = trainingContext) =>
  numbers((p: never, b: Batch) => loss(p, b, context()), adapters, batch)[0] as number;

describe('composition', () => {
  // Two matrices with 4,096 elements and rows of norm one: each noise divided by σ/√n is standard
  // normal. χ²_4096 at rate 1e-7: ±0.135; the correlation bound is of the same size.
  const wide = { layer: { weight: unitRows(64, 64) } };
  const wideLoss: AnyLoss = (weights) => asOperator(weights.layer.weight).dense();
  const wideNoise = (...transformers: ((loss: AnyLoss) => AnyLoss)[]) => {
    const from = { loss: adapt(wide, fullFineTuning())(wideLoss) as AnyLoss, params: wide };
    const composed = (loss: AnyLoss) => transformers.reduce((l, t) => t(l), loss);
    const noise = differences(
      seenWeights(composed, trainingContext, from),
      seenWeights(same, trainingContext, from),
    );
    return (noise['layer.weight'] as number[]).map((e) => e * Math.sqrt(64));
  };
  function unitRows(m: number, n: number): HostArray {
    const w = gaussian(seeded(61), [m, n]);
    for (let i = 0; i < m; i++) {
      let norm = 0;
      for (let j = 0; j < n; j++) norm += w.get(i, j) ** 2;
      for (let j = 0; j < n; j++) w.set(i, j, w.get(i, j) / Math.sqrt(norm));
    }
    return w;
  }
  const bound = chiSquareBound(4096, 1e-7);

  test('two flats are independent and add in quadrature', () => {
    const [inner, outer] = [0.3, 0.4];
    const both = wideNoise(flat({ sigma: inner }), flat({ sigma: outer }));
    expect(Math.abs(meanSquare(both) / 0.25 - 1)).toBeLessThan(bound);
    // A composition that reused the key would give (0.3 + 0.4)² = 0.49: 96 % too much.
    const reused = wideNoise(flat({ sigma: inner + outer }));
    expect(Math.abs(meanSquare(reused) / 0.25 - 1)).toBeGreaterThan(bound);
    const first = wideNoise(flat({ sigma: outer }));
    const rest = both.map((x, i) => x - (first[i] as number));
    expect(Math.abs(meanSquare(rest) / inner ** 2 - 1)).toBeLessThan(bound);
    expect(Math.abs(dotMean(rest, first)) / (inner * outer)).toBeLessThan(bound);
  });

  // 4,096 products of the noises of two layers of one shape: correlation bound 0.14 at rate 1e-7.
  test('layers of one step get independent noises', () => {
    const twins = { p: { weight: wide.layer.weight }, q: { weight: wide.layer.weight } };
    const loss: AnyLoss = (weights) =>
      add(asOperator(weights.p.weight).dense(), asOperator(weights.q.weight).dense());
    const from = { loss: adapt(twins, fullFineTuning())(loss) as AnyLoss, params: twins };
    const noise = differences(
      seenWeights(flat({ sigma: 1 }), trainingContext, from),
      seenWeights(same, trainingContext, from),
    );
    const [p, q] = ['p.weight', 'q.weight'].map((name) =>
      (noise[name] as number[]).map((e) => e * Math.sqrt(64)),
    ) as [number[], number[]];
    expect(Math.abs(meanSquare(q) - 1)).toBeLessThan(bound);
    expect(Math.abs(dotMean(p, q))).toBeLessThan(correlationBound(4096, 1e-7));
    expect(Math.abs(dotMean(p, p))).toBeGreaterThan(correlationBound(4096, 1e-7));
  });

  test('samples average losses at independent noises', () => {
    const values = (samples: number) => lossOf(flat({ sigma: 0.3, samples })(plain));
    expect(values(2)).not.toBe(values(1));
    const draws = run(
      (p: never, b: Batch) => {
        const seen: Value[] = [];
        flat({ sigma: 0.3, samples: 3 })((q: never, x: Batch, context) => {
          const value = plain(q, x, context);
          seen.push(value);
          return value;
        })(p, b, trainingContext());
        return seen;
      },
      adapters,
      batch,
    ).map((x) => x.get());
    expect(new Set(draws).size).toBe(3);
    expect(values(3)).toBeCloseTo(draws.reduce((sum, x) => sum + x, 0) / 3, 12);
  });

  test('transformers form a monoid (same tapes)', () => {
    const monoid = lossTransformerMonoid<never, Batch>();
    const transformer = fc.oneof(
      fc.constantFrom(0, 0.05, 0.2).map((sigma) => flat({ sigma })),
      fc.constantFrom('all', 'factors').map((on) => flat({ sigma: 0.1, on: on as 'all' })),
      fc.constant(sam({ over: 'factors', rho: 0.1 })),
    ) as unknown as fc.Arbitrary<LossTransformer<never, Batch>>;
    fc.assert(
      fc.property(transformer, transformer, transformer, (f, g, h) => {
        const tape = (t: LossTransformer<never, Batch>) =>
          printTape(
            trace((p: never, b: Batch) => t(plain)(p, b, trainingContext()), adapters, batch),
          );
        expect(tape(monoid.concat(monoid.concat(f, g), h))).toBe(
          tape(monoid.concat(f, monoid.concat(g, h))),
        );
        expect(tape(monoid.concat(f, monoid.empty))).toBe(tape(f));
        expect(tape(monoid.concat(monoid.empty, f))).toBe(tape(f));
      }),
      { numRuns: runs(15) },
    );
  });
});
