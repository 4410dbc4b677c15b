/** `flat` with a precision: what the model sees is round(W′ + ε), its derivative goes straight through. */
import {
  asOperator,
  constant,
  flatData,
  floats,
  grad,
  type HalfPrecision,
  type HostArray,
  hostArray,
  hvp,
  identityHooks,
  isValue,
  type LossContext,
  range,
  roundTo,
  roundToHalf,
  simplify,
  trace,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import { adapt, type FlatOptions, flat, fullFineTuning, lora } from '../../src/flatlora/index.js';
import { evaluate } from '../../src/kernels/index.js';
import { testBackends } from '../support/backends.js';
import { relativeError, run, toNumbers } from '../support/numeric.js';
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
import { type Batch, networkLoss, randomAdapters, trainingContext } from './support.js';

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
    expect(simplify(tape).equations.some((e) => e.primitive.name === 'randomNormal')).toBe(false);
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

  test('first and second derivatives are those of the rounded dense matrix', () => {
    const transformer = flat({ sigma: 0.3, precision });
    // The same weights with every derivative through the m × n matrix.
    const dense: AnyLoss = (p, b, context) =>
      flat({ sigma: 0.3 })(((q: never, x: Batch, inner: LossContext) =>
        plain(q, x, {
          ...inner,
          weight: (w, name, role) =>
            roundTo(asOperator(inner.weight(w, name, role)).dense(), precision),
        })) as AnyLoss)(p, b, context);
    const derivatives = (loss: AnyLoss) =>
      run(
        (p: never, v: never, b: Batch) => {
          const f = (q: never) => loss(q, b, trainingContext());
          return [grad(f)(p), hvp(f)(v, p)];
        },
        adapters,
        randomAdapters(23),
        batch,
      ).flatMap(toNumbers);
    const [given, expected] = [derivatives(transformer(plain)), derivatives(dense)];
    expect(relativeError(given, expected)).toBeLessThan(1e-12);
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

test.each([false, true])(
  'an outer one rounds first, and noise is added to that (recompute: %s)',
  (recompute) => {
    const [first, second] = [
      flat({ sigma: 0.2, recompute }),
      flat({ sigma: 0.3, precision: 'float16', recompute }),
    ];
    const unrounded = flat({ sigma: 0.3, recompute });
    const noiseOfFirst = differences(
      seenWeights((loss) => unrounded(first(loss))),
      seenWeights(unrounded),
    );
    const seen = seenWeights((loss) => second(first(loss)));
    for (const name of MATRICES) {
      const rounded = (seenWeights(second)[name] as number[]).map(
        (x, i) => x + (noiseOfFirst[name]?.[i] as number),
      );
      expect(relativeError(seen[name] as number[], rounded)).toBeLessThan(1e-14);
    }
    // Rounded twice, the second time to the coarser format.
    const coarser = flat({ sigma: 0, precision: 'bfloat16', recompute });
    expect(seenWeights((loss) => second(coarser(loss)))).toEqual(
      roundAll(seenWeights(second), 'bfloat16', MATRICES),
    );
  },
);

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

const backends = testBackends().map((b) => [b.name, b] as const);

test.each(backends)(
  'a step of Flat-LoRA with a precision on %s',
  async (_, { open, tolerance }) => {
    // Sums in another order could round a weight to its neighbour: here, with this key, none does.
    const backend = await open();
    const loss = flat({ sigma: 0.3, precision: 'bfloat16' })(plain);
    const step = (p: never, b: Batch) => [
      loss(p, b, trainingContext()),
      grad((q: never) => loss(q, b, trainingContext()))(p),
    ];
    const given = await evaluate(step, backend, adapters as never, batch as never);
    const numbersOf = treeLeaves<HostArray>(given).flatMap((x) => toNumbers(x));
    expect(relativeError(numbersOf, valueAndGradient(loss).flat())).toBeLessThan(10 * tolerance);
    await backend.dispose();
  },
);

test.each(backends)('the same bits on %s', async (_, { open }) => {
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
