/** PiSSA, LoRA-GA and CorDA: NumPy's starts, their conditions, saving as plain LoRA, what is refused. */
import * as E from 'fp-ts/lib/Either.js';
import { floats, type HostArray, key, orThrow, toFloat } from '../../../src/autodiff/index.js';
import {
  type AdapterMethod,
  adapt,
  corda,
  type LayerAdapters,
  type LoraPart,
  loraGa,
  pissa,
  toPlainLora,
} from '../../../src/flatlora/index.js';
import { storeAs } from '../../../src/models/index.js';
import { numbers, relativeError, toNumbers } from '../../support/numeric.js';
import type { AnyLoss } from '../seenWeights.js';
import { type Batch, gaussian, networkLoss, seeded, trainingContext } from '../support.js';
import { base, batch, single, testMethodLaws, trainedFrom } from './laws.js';
import { byPath, golden, goldenBase, goldenOptions } from './startFixture.js';

type Method = AdapterMethod<LayerAdapters<LoraPart>>;

const [gradients, covariances] = [byPath(golden.gradients), byPath(golden.covariances)];
const methods: Readonly<Record<string, Method>> = {
  pissa: pissa(goldenOptions),
  'lora-ga official': loraGa({ ...goldenOptions, gradients, gamma: golden.attrs.gamma }),
  'lora-ga peft': loraGa({ ...goldenOptions, gradients, form: 'peft' }),
  'corda instruction': corda({ ...goldenOptions, covariances }),
  'corda knowledge': corda({ ...goldenOptions, covariances, mode: 'knowledge' }),
};
const LAYERS = ['first', 'second'] as const;

const abs = (x: HostArray) => toNumbers(x).map(Math.abs);
const messageOf = (result: E.Either<{ kind: string; message: string }, unknown>) =>
  E.isLeft(result) ? `${result.left.kind}: ${result.left.message}` : 'none';
const value = (frozen: unknown, method: Method, adapters: unknown) =>
  numbers(
    (p: never, b: Batch) =>
      (adapt(frozen, method)(networkLoss as AnyLoss) as AnyLoss)(p, b, trainingContext()),
    adapters,
    batch,
  );
const plain = (weights: unknown) =>
  numbers((w: never, b: Batch) => networkLoss(w, b, trainingContext()), weights, batch);

describe.each(Object.entries(methods))('%s', (name, method) => {
  test('the factors and the residual are NumPy’s', () => {
    const { adapters, base: residual } = orThrow(method.init(goldenBase, key(1)));
    for (const layer of LAYERS) {
      const expected = golden.starts[name]?.[layer];
      const { a, b } = adapters[`${layer}.weight`] as Record<LoraPart, HostArray>;
      expect(relativeError(abs(a), toNumbers(expected?.a as HostArray))).toBeLessThan(1e-10);
      expect(relativeError(abs(b), toNumbers(expected?.b as HostArray))).toBeLessThan(1e-10);
      if (expected?.residual !== undefined) {
        expect(
          relativeError(toNumbers(residual[layer].weight), toNumbers(expected.residual)),
        ).toBeLessThan(1e-10);
      }
      expect(residual[layer].bias).toEqual(goldenBase[layer].bias);
    }
  });

  test('residual and adapter are the base, in the precision that it is stored in', () => {
    for (const [frozen, tolerance] of [
      [base, 1e-14],
      [single(base), 2e-7],
      [storeAs('bfloat16')(base), 2e-7],
    ] as const) {
      const start = orThrow(method.init(frozen, key(1)));
      const merged = orThrow(method.merge(start.base, start.adapters));
      for (const layer of LAYERS) {
        const wide = toFloat(frozen[layer].weight);
        expect(relativeError(toNumbers(merged[layer].weight), toNumbers(wide))).toBeLessThan(
          tolerance,
        );
        expect(relativeError(toNumbers(start.base[layer].weight), toNumbers(wide))).toBeGreaterThan(
          1e-3,
        );
      }
      const adapted = value(start.base, method, start.adapters);
      expect(relativeError(adapted, plain(frozen))).toBeLessThan(10 * tolerance);
    }
  });

  const start = orThrow(method.init(base, key(1)));
  const trained = trainedFrom(start.adapters) as LayerAdapters<LoraPart>;
  testMethodLaws(method, start.base, trained);

  test('in float32, merged weights are those of the adapter', () => {
    const { adapters, base: residual } = orThrow(method.init(single(base), key(1)));
    const changed = single(trainedFrom(adapters)) as typeof adapters;
    const merged = orThrow(method.merge(residual, changed));
    expect(changed['first.weight']?.a.data).toBeInstanceOf(Float32Array);
    expect(relativeError(value(residual, method, changed), plain(merged))).toBeLessThan(1e-5);
  });

  test('as plain LoRA of twice the rank on the original base', () => {
    const { method: lora, adapters } = orThrow(toPlainLora(goldenOptions, start.adapters, trained));
    expect(adapters['first.weight']?.a.shape).toEqual([4, 11]);
    expect(adapters['first.weight']?.b.shape).toEqual([7, 4]);
    const ours = orThrow(method.merge(start.base, trained));
    const theirs = orThrow(lora.merge(base, adapters));
    for (const layer of LAYERS) {
      const [x, y] = [ours[layer].weight, theirs[layer].weight].map(toNumbers);
      expect(relativeError(x as number[], y as number[])).toBeLessThan(1e-13);
    }
  });

  test('unmerging gives the residual base', () => {
    const merged = orThrow(method.merge(start.base, trained));
    const back = orThrow(method.unmerge(merged, trained));
    expect(
      relativeError(toNumbers(back.first.weight), toNumbers(start.base.first.weight)),
    ).toBeLessThan(1e-13);
  });
});

test('PiSSA by the randomised SVD is near the exact one, and repeats', () => {
  const tall = { layer: { weight: gaussian(seeded(81), [60, 40]) } };
  const options = { rank: 4, alpha: 8, targetModules: ['layer'] };
  const from = (svd: 'exact' | { iterations: number }, seed = 1) =>
    orThrow(pissa({ ...options, svd }).init(tall, key(seed)));
  const exact = from('exact');
  const near = from({ iterations: 16 });
  const error = (x: typeof exact) =>
    relativeError(toNumbers(x.base.layer.weight), toNumbers(exact.base.layer.weight));
  expect(error(near)).toBeLessThan(1e-4);
  expect(error(from({ iterations: 0 }))).toBeGreaterThan(1e-2);
  expect(from({ iterations: 2 })).toEqual(from({ iterations: 2 }));
  expect(from({ iterations: 2 })).not.toEqual(from({ iterations: 2 }, 2));
});

test('the update of LoRA-GA’s first step is the best approximation of G of rank 2r', () => {
  // Theorem 3.1: to first order A and B move W by s²(B Bᵀ G + G AᵀA), here c·(the 2r first terms of G).
  const { adapters } = orThrow(methods['lora-ga official']?.init(goldenBase, key(1)) as never) as {
    adapters: LayerAdapters<LoraPart>;
  };
  const { a, b } = adapters['first.weight'] as Record<LoraPart, HostArray>;
  const matrix = (x: HostArray) => {
    const [m, n] = x.shape as [number, number];
    return { m, n, at: (i: number, j: number) => x.get(i, j) };
  };
  const [A, B, G] = [a, b, golden.gradients.first].map(matrix) as [
    ReturnType<typeof matrix>,
    ReturnType<typeof matrix>,
    ReturnType<typeof matrix>,
  ];
  const move = Array.from({ length: G.m * G.n }, (_, at) => {
    const [i, j] = [Math.floor(at / G.n), at % G.n];
    let sum = 0;
    for (let k = 0; k < A.m; k++) {
      for (let l = 0; l < G.m; l++) sum += B.at(i, k) * B.at(l, k) * G.at(l, j);
      for (let l = 0; l < G.n; l++) sum += G.at(i, l) * A.at(k, l) * A.at(k, j);
    }
    return sum / (Math.sqrt(G.m) / golden.attrs.gamma);
  });
  // What is left of G has the size of its other singular values; seven minus four of them.
  const rest = pissa({ rank: 4, alpha: 4, targetModules: ['first'] });
  const left = orThrow(rest.init({ first: { weight: golden.gradients.first } }, key(1))).base;
  const expected = toNumbers(left.first.weight);
  const given = toNumbers(golden.gradients.first).map((g, i) => g - (move[i] as number));
  expect(relativeError(given, expected)).toBeLessThan(1e-10);
});

test('CorDA takes a covariance of low rank, one not symmetric to the last bit, and one that is none', () => {
  const weight = gaussian(seeded(82), [4, 3]);
  const from = (c: readonly number[]) => {
    const method = corda({
      rank: 1,
      alpha: 1,
      targetModules: ['layer'],
      covariances: { 'layer.weight': floats(c, [3, 3]) },
    });
    const { adapters } = orThrow(method.init({ layer: { weight } }, key(1)));
    return [adapters['layer.weight']?.a, adapters['layer.weight']?.b].flatMap((x) =>
      toNumbers(x as HostArray),
    );
  };
  const low = from([1, 2, 0, 2, 4, 0, 0, 0, 0]);
  expect(low.every(Number.isFinite)).toBe(true);
  expect(relativeError(from([1, 2 + 1e-12, 0, 2, 4, 0, 0, 0, 0]), low)).toBeLessThan(1e-9);
  expect(from([1, 5, 0, 5, 1, 0, 0, 0, 1]).every(Number.isFinite)).toBe(true);
});

describe('refused, with the reason', () => {
  test.each<[Method, RegExp]>([
    [loraGa(goldenOptions), /argument: lora-ga: gradients has no "first.weight".*layerGradients/],
    [corda(goldenOptions), /argument: corda: covariances has no "first.weight".*layerCovariances/],
    [
      corda({ ...goldenOptions, covariances: gradients }),
      /shape: corda: covariances of "first.weight" is \[7,11\], expected \[11,11\]/,
    ],
    [
      loraGa({
        ...goldenOptions,
        gradients: { ...gradients, 'second.weight': floats(new Array(35).fill(0), [5, 7]) },
      }),
      /lora-ga: gradients of "second.weight" is zero throughout/,
    ],
    [
      loraGa({
        ...goldenOptions,
        gradients: { ...gradients, 'second.weight': floats(new Array(35).fill(NaN), [5, 7]) },
      }),
      /not-finite: lora-ga: gradients of "second.weight" has NaN/,
    ],
    [
      loraGa({ ...goldenOptions, gradients, rank: 3 }),
      /lora-ga: rank is 3, expected at most 2, half the smaller side of "second.weight" \[5,7\]/,
    ],
    [loraGa({ ...goldenOptions, gradients, gamma: 0 }), /gamma is 0, expected a number > 0/],
    [
      corda({
        ...goldenOptions,
        covariances: { ...covariances, 'first.weight': floats(new Array(121).fill(-1), [11, 11]) },
      }),
      /corda: covariances of "first.weight" has trace -11, expected a sum of squares > 0/,
    ],
    [pissa({ ...goldenOptions, rank: 9 }), /rank is 9/],
  ])('%#', (method, message) => {
    expect(messageOf(method.init(goldenBase, key(1)))).toMatch(message);
  });

  test('a weight that is not finite', () => {
    const weight = floats(
      toNumbers(base.first.weight).map((x, i) => (i === 3 ? NaN : x)),
      [7, 11],
    );
    const broken = { ...base, first: { ...base.first, weight } };
    expect(messageOf(pissa(goldenOptions).init(broken, key(1)))).toMatch(
      /not-finite: pissa: "first.weight" has NaN or infinity in it/,
    );
  });

  test('reading needs no calibration', () => {
    const { adapters } = orThrow(methods['lora-ga peft']?.init(base, key(1)) as never) as {
      adapters: LayerAdapters<LoraPart>;
    };
    const reader = loraGa(goldenOptions);
    expect(orThrow(reader.fromArrays(base, reader.toArrays(adapters)))).toEqual(adapters);
    expect(E.isRight(reader.effective(base))).toBe(true);
  });

  test('plain LoRA of adapters that do not belong together', () => {
    const { adapters } = orThrow(pissa(goldenOptions).init(base, key(1)));
    const { 'first.weight': first, ...rest } = adapters;
    expect(messageOf(toPlainLora(goldenOptions, adapters, rest))).toMatch(
      /"first.weight" is in one/,
    );
    const other = orThrow(pissa({ ...goldenOptions, rank: 1 }).init(base, key(1))).adapters;
    expect(messageOf(toPlainLora(goldenOptions, adapters, other))).toMatch(
      /trained "first.weight.a" is \[1,11\], expected the initial \[2,11\]/,
    );
    expect(first?.a.shape).toEqual([2, 11]);
  });
});
