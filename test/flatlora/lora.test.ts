/** LoRA: options, targets, initialisation, merging, saving, PyTorch's numbers. */
import * as E from 'fp-ts/lib/Either.js';
import {
  add,
  asOperator,
  flatten,
  type HostArray,
  type Key,
  key,
  orThrow,
  printTape,
  trace,
  type Value,
  type Weight,
} from '../../src/autodiff/index.js';
import {
  adapt,
  editDistance,
  fullFineTuning,
  type LoraOptions,
  lora,
  mergeTraced,
  nearMatches,
  selectTargets,
} from '../../src/flatlora/index.js';
import { referenceBackend } from '../../src/kernels/reference/backend.js';
import { sgd } from '../../src/optimisers/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { testTorchFixture } from '../support/torchFixtures.js';
import {
  type Batch,
  gaussian,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  seeded,
  trainingContext,
} from './support.js';

const base = initNetwork(7);
const batch = makeBatch(8);
const options: LoraOptions = { rank: 2, alpha: 3, targetModules: ['first', 'second'] };
const method = lora(options);
const adapters = randomAdapters(9);

const problemOf = (result: E.Either<{ kind: string; message: string }, unknown>) =>
  E.isLeft(result) ? `${result.left.kind}: ${result.left.message}` : 'none';
const problem = (changed: Partial<LoraOptions>) =>
  problemOf(lora({ ...options, ...changed }).targets(base));

describe('options', () => {
  test.each<[Partial<LoraOptions>, RegExp]>([
    [{ rank: 0 }, /argument: lora: rank is 0, expected an integer from 1 to 7, .*"first.weight"/],
    [{ rank: 6 }, /rank is 6, expected an integer from 1 to 5, .*"second.weight" \[5,7\]/],
    [{ rank: 1.5 }, /rank is 1.5/],
    [{ rank: Number.NaN }, /rank is NaN/],
    [{ alpha: 0 }, /alpha is 0, expected a number > 0/],
    [{ dropout: 1 }, /dropout is 1, expected 0 ≤ dropout < 1/],
    [{ targetModules: [] }, /target-modules: targetModules: none given/],
    [{ targetModules: undefined as never }, /target-modules: targetModules: none given/],
    [
      { targetModules: ['secnod'] },
      /target-modules: .*"secnod" names no weight matrix; near matches: second/,
    ],
    [{ targetModules: [/third/] }, /\/third\/ names no weight matrix; there are: first, second/],
    [{ targetModules: ['scale'] }, /"scale" names "scale", which is no matrix/],
  ])('%j', (changed, message) => {
    expect(problem(changed)).toMatch(message);
    expect(problem(changed)).not.toContain('\n');
    expect(() => adapt(base, lora({ ...options, ...changed }))).toThrow(
      message.source.includes(':') ? Error : message,
    );
  });
});

test('targets: whole names, endings at dots, regular expressions', () => {
  const matrix = floats([1], [1, 1]);
  const tree = {
    blocks: [
      { query: { weight: matrix, bias: floats([1]) }, subquery: { weight: matrix } },
      { query: { weight: matrix, bias: floats([1]) }, subquery: { weight: matrix } },
    ],
  };
  const select = (...targets: (string | RegExp)[]) => orThrow(selectTargets(tree, targets));
  const both = ['blocks.0.query.weight', 'blocks.1.query.weight'];
  expect(select('query')).toEqual(both);
  expect(select('query.weight')).toEqual(both);
  expect(select('blocks.1.query')).toEqual(both.slice(1));
  expect(select(/^blocks\.0/g, 'blocks.1.subquery')).toEqual([
    'blocks.0.query.weight',
    'blocks.0.subquery.weight',
    'blocks.1.subquery.weight',
  ]);
});

test('edit distance', () => {
  expect([
    editDistance('kitten', 'sitting'),
    editDistance('', 'abc'),
    editDistance('a', 'a'),
  ]).toEqual([3, 3, 0]);
  expect(nearMatches('qeury', ['value', 'query', 'key', 'query'], 2)).toEqual(['query', 'key']);
});

describe('initialisation', () => {
  const wide = { layer: { weight: gaussian(seeded(1), [64, 400]) } };
  const start = (from: Key, changed: Partial<LoraOptions> = {}) =>
    orThrow(lora({ rank: 16, targetModules: ['layer'], ...changed }).init(wide, from)).adapters[
      'layer.weight'
    ] as { a: HostArray; b: HostArray };

  // 6,400 uniform numbers: all in [−1/20, 1/20); Hoeffding: |mean square·3·400 − 1| ≤ t with
  // probability 1 − 2exp(−2·6400·t²/9): t = 0.11 gives 7e-8 (the square of a U(±1) lies in [0,1], mean ⅓).
  test('A is Kaiming-uniform, B is zero', () => {
    const { a, b } = start(key(3));
    const values = toNumbers(a);
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(1 / 20);
    const meanSquare = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(meanSquare * 1200 - 1)).toBeLessThan(0.11);
    expect(toNumbers(b).every((x) => x === 0)).toBe(true);
    expect([a.shape, b.shape]).toEqual([
      [16, 400],
      [64, 16],
    ]);
  });

  // χ²_6400: 2√(x/d) + 2x/d with x = ln(2e7) = 16.8 is 0.108, rate 1e-7.
  test('gaussian: variance 1/r²', () => {
    const values = toNumbers(start(key(3), { initialisation: 'gaussian' }).a);
    const meanSquare = values.reduce((sum, x) => sum + x * x, 0) / values.length;
    expect(Math.abs(meanSquare * 256 - 1)).toBeLessThan(0.11);
  });

  test('the same key gives the same adapters, layers differ', () => {
    expect(toNumbers(start(key(3)).a)).toEqual(toNumbers(start(key(3)).a));
    expect(toNumbers(start(key(4)).a)).not.toEqual(toNumbers(start(key(3)).a));
    const twins = {
      p: { weight: gaussian(key(1), [8, 8]) },
      q: { weight: gaussian(key(1), [8, 8]) },
    };
    const made = orThrow(lora({ rank: 2, targetModules: ['p', 'q'] }).init(twins, key(3))).adapters;
    expect(toNumbers(made['p.weight']?.a as HostArray)).not.toEqual(
      toNumbers(made['q.weight']?.a as HostArray),
    );
  });

  test('training starts at the pre-trained model', () => {
    const made = orThrow(method.init(base, key(5))).adapters;
    const adapted = adapt(base, method)(networkLoss);
    expect(numbers((p: never, b: Batch) => adapted(p, b, trainingContext()), made, batch)).toEqual(
      numbers((w: never, b: Batch) => networkLoss(w, b, trainingContext()), base, batch),
    );
  });
});

describe('merge', () => {
  const merged = orThrow(method.merge(base, adapters));

  test('on the host, in a program, and unmerged again', () => {
    const traced = run((p: never) => mergeTraced(base, method)(p), adapters);
    const host = flatten<HostArray>(merged).leaves;
    expect(host).toHaveLength(traced.length);
    host.forEach((leaf, i) => {
      expect(relativeError(toNumbers(leaf), toNumbers(traced[i] as HostArray))).toBeLessThan(1e-12);
    });
    const back = flatten<HostArray>(orThrow(method.unmerge(merged, adapters))).leaves;
    flatten<HostArray>(base).leaves.forEach((leaf, i) => {
      expect(relativeError(toNumbers(leaf), toNumbers(back[i] as HostArray))).toBeLessThan(1e-12);
    });
    expect(
      relativeError(toNumbers(merged.first.weight), toNumbers(base.first.weight)),
    ).toBeGreaterThan(0.1);
  });

  test('gives the loss of the adapted model', () => {
    const adapted = adapt(base, method)(networkLoss);
    expect(
      relativeError(
        numbers((p: never, b: Batch) => adapted(p, b, trainingContext()), adapters, batch),
        numbers((w: never, b: Batch) => networkLoss(w, b, trainingContext()), merged, batch),
      ),
    ).toBeLessThan(1e-12);
  });

  test('adapters of another model are refused', () => {
    const { 'first.weight': first } = adapters;
    expect(problemOf(method.merge(base, { 'first.weight': first }))).toMatch(
      /tree: lora: adapter "second.weight.a" is missing, expected \[2,7\]/,
    );
    expect(problemOf(method.merge(base, { ...adapters, third: first }))).toMatch(
      /"third" stands on no target/,
    );
    expect(problemOf(method.merge(base, { ...adapters, 'second.weight': first }))).toMatch(
      /shape: lora: adapter "second.weight.a" is \[2,11\], expected \[2,7\]/,
    );
  });
});

test('saving: PEFT names, and back', () => {
  const arrays = method.toArrays(adapters);
  expect(Object.keys(arrays).sort()).toEqual([
    'base_model.model.first.lora_A.weight',
    'base_model.model.first.lora_B.weight',
    'base_model.model.second.lora_A.weight',
    'base_model.model.second.lora_B.weight',
  ]);
  expect(orThrow(method.fromArrays(base, arrays))).toEqual(adapters);
  expect(
    problemOf(
      method.fromArrays(base, {
        ...arrays,
        odd: arrays[Object.keys(arrays)[0] as string] as HostArray,
      }),
    ),
  ).toMatch(/checkpoint: lora: array "odd" belongs to no target module/);
  const { 'base_model.model.first.lora_A.weight': _, ...fewer } = arrays;
  expect(problemOf(method.fromArrays(base, fewer))).toMatch(/"first.weight.a" is missing/);
});

test('LoRA leaves the optimiser as it is', () => {
  const optimiser = sgd({ learningRate: 1 });
  expect(method.optimiser(optimiser, { totalSteps: 1 })).toBe(optimiser);
});

describe('full fine-tuning', () => {
  const full = fullFineTuning<typeof base>();

  test('is the loss itself', () => {
    const loss = adapt(base, full)(networkLoss);
    const tapeOf = (f: typeof networkLoss) =>
      printTape(trace((w: never, b: Batch) => f(w, b, trainingContext()), base, batch));
    expect(tapeOf(loss as never)).toBe(tapeOf(networkLoss));
    expect(orThrow(full.init(base, key(1))).adapters).toBe(base);
  });

  test('saves and reads its weights', () => {
    const arrays = full.toArrays(base);
    expect(Object.keys(arrays)).toContain('first.bias');
    expect(orThrow(full.fromArrays(base, arrays))).toEqual(base);
    expect(problemOf(full.fromArrays(base, { ...arrays, scale: floats([1]) }))).toMatch(
      /"scale" is \[1\], expected \[7\]/,
    );
  });
});

testTorchFixture(
  'lora',
  ({ x, W, bias, A, B }, attrs) => {
    const layer = { layer: { weight: W as Value, bias: bias as Value } };
    const forward = (w: { layer: { weight: Weight; bias: Value } }) =>
      add(asOperator(w.layer.weight).apply(x as Value), w.layer.bias);
    const scaled = lora({
      rank: attrs.r,
      alpha: attrs.scaling * attrs.r,
      targetModules: ['layer'],
    });
    const effective = orThrow(scaled.effective(layer))(
      { 'layer.weight': { a: A as Value, b: B as Value } },
      trainingContext(),
    );
    return { y: forward(effective as never) };
  },
  { backends: [{ name: 'reference', tolerance: 1e-10, open: async () => referenceBackend() }] },
);
