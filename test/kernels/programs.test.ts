/** Fused programs on every backend, against the reference to 2e-5 relative to max(1, |reference|). */
import fc from 'fast-check';
import {
  add,
  aval,
  concat,
  constant,
  dot,
  exp,
  flatData,
  floats,
  grad,
  type HostArray,
  hostArray,
  hostPermutation,
  input,
  ints,
  key,
  matmul,
  mul,
  normal,
  permutation,
  randomBits,
  range,
  reduceMax,
  reduceSum,
  simplify,
  softmax,
  splitTraced,
  square,
  type Traceable,
  tanh,
  trace,
  traceAt,
  treeLeaves,
  treeMap,
  uniform,
  type Value,
} from '../../src/autodiff/index.js';
import { inlineTape } from '../../src/kernels/index.js';
import {
  attention,
  initAttention,
  initVisionTransformer,
  layerNorm,
  softmaxCrossEntropy,
  visionTransformer,
} from '../../src/models/index.js';
import { adamW } from '../../src/optimisers/index.js';
import { initialState, trainStep } from '../../src/training/index.js';
import { generator, seeds, uniformArray } from '../support/draw.js';
import { runs } from '../tooling/property.js';
import { randomProgram } from './randomPrograms.js';
import { checkTape, expected, onEachBackend, requireEqual, runTape } from './support.js';

const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);

/** Traces, simplifies, runs and compares. */
const check = (
  backend: Parameters<typeof checkTape>[0],
  f: (...xs: never[]) => unknown,
  ...args: unknown[]
) =>
  checkTape(
    backend,
    simplify(trace(f as (...xs: unknown[]) => unknown, ...args)),
    treeLeaves<HostArray>(args),
    f.name || 'program',
  );

const PROGRAMS: Readonly<Record<string, number>> = {
  'gpujs-cpu': 80,
  'gpujs-webasm': 80,
  'gpujs-webgpu': 12,
  webgpu: 15,
};

onEachBackend((backend, name) => {
  test('random programs and their gradients', async () => {
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 2, max: 9 }), async (seed, length) => {
        const { f, inputs, note } = randomProgram(seed, length);
        await checkTape(backend(), simplify(trace(f, ...inputs)), inputs, note);
        const loss = (...xs: Value[]) => f(...xs).at(-1) as Value;
        const gradient = trace(
          (x: Value, y: Value) => grad((v: Value) => loss(v, y))(x),
          ...inputs,
        );
        await checkTape(backend(), simplify(gradient), inputs, `gradient, ${note}`, 5e-5);
      }),
      { numRuns: runs(PROGRAMS[name] as number) },
    );
  });

  describe('parts of models', () => {
    test('softmax', () => check(backend(), (x: Value) => softmax(x), array(1, 7, 33)));
    test('layer norm and its gradient', async () => {
      const weights = { scale: array(1, 24), bias: array(2, 24) };
      await check(backend(), layerNorm, weights, array(3, 5, 24));
      const loss = (w: never, x: Value) => reduceSum(square(layerNorm(w, x)));
      await check(backend(), (w: never, x: Value) => grad(loss)(w, x), weights, array(3, 5, 24));
    });
    test('attention with a causal mask, and its gradient', async () => {
      const config = {
        width: 12,
        heads: 3,
        keyValueHeads: 3,
        headWidth: 4,
        biases: true,
        attentionDropout: 0,
      };
      const weights = treeMap(
        (x: HostArray, path) => (x.shape.length === 1 ? array(path.length, ...x.shape) : x),
        initAttention(config, key(3)),
      );
      const f = (w: never, x: Value) => attention(config, w, x, { causal: true });
      await check(backend(), f, weights, array(4, 2, 7, 12));
      const loss = (w: never, x: Value) => reduceSum(square(f(w, x)));
      await check(backend(), (w: never, x: Value) => grad(loss)(w, x), weights, array(4, 2, 7, 12));
    });
    test('a whole training step of a ViT, twice', async () => {
      const config = { imageSize: 8, patchSize: 4, width: 16, depth: 2, heads: 2, classes: 3 };
      const model = visionTransformer(config);
      const optimiser = adamW({ learningRate: 1e-3, weightDecay: 0.1, epsilon: 1e-3 });
      const step = trainStep(
        (w: never, { images, labels }: { images: Value; labels: Value }) =>
          softmaxCrossEntropy(model(w, images), labels),
        optimiser,
        { totalSteps: 10 },
      );
      const state = initialState(initVisionTransformer(config, key(1)), optimiser);
      const batch = { images: array(5, 4, 8, 8), labels: ints([0, 1, 2, 1]) };
      const args = [state, batch, key(9)];
      const next = (...xs: Parameters<typeof step>) => step(...xs).state;
      const tape = simplify(trace(next as Traceable, ...args));
      const inputs = treeLeaves<HostArray>(args);
      await checkTape(backend(), tape, inputs, 'first step');
      const after = expected(tape, inputs);
      await checkTape(backend(), tape, [...after, ...inputs.slice(after.length)], 'second step');
    });
  });

  describe('sizes', () => {
    test('a million elements', () =>
      check(backend(), (x: Value) => add(mul(x, 2), tanh(x)), array(1, 1_048_577)));
    test('the sum of a hundred thousand elements, of a prime number of them, and of rows', async () => {
      await check(backend(), (x: Value) => reduceSum(square(x)), array(2, 100_000));
      await check(backend(), (x: Value) => reduceSum(x), array(3, 100_003));
      await check(backend(), (x: Value) => reduceSum(x, 1), array(4, 3, 10_007));
      await check(backend(), (x: Value) => reduceSum(mul(x, 0.1), 1), array(4, 300, 9_001));
      await check(backend(), (x: Value) => reduceMax(x), array(5, 100_003));
    });
    test.each([1, 15, 16, 17, 64, 65, 127, 1000])('products over %i terms', async (k) => {
      await check(backend(), matmul, array(k, 5, k), array(k + 1, k, 6));
      const both = (x: Value, y: Value) => dot(x, y, { contract: [[1], [1]], batch: [[], []] });
      await check(backend(), both, array(k, 5, k), array(k + 1, 6, k));
      const twoAxes = (x: Value, y: Value) =>
        dot(x, y, {
          contract: [
            [0, 2],
            [1, 2],
          ],
          batch: [[], []],
        });
      await check(backend(), twoAxes, array(k, 3, 2, k), array(k + 1, 4, 3, k));
    });
    test('an expression of more arrays than a kernel may read', async () => {
      const many = range(30).map((i) => array(i, 9));
      const product = (...xs: Value[]) => xs.reduce((sum, x, i) => add(mul(sum, 0.5 + i / 60), x));
      await check(backend(), product, ...many);
      // Each operand is used again by all later ones.
      const shared = (...xs: Value[]) =>
        xs.map((_, i) => xs.slice(0, i + 1).reduce((sum, x) => tanh(add(sum, x))));
      await check(backend(), shared, ...many.slice(0, 16));
    });
    test('twenty arrays joined', async () => {
      const many = range(20).map((i) => array(i, 2, 1 + (i % 3)));
      await check(
        backend(),
        (...xs: Value[]) =>
          concat(
            xs.map((x) => tanh(x)),
            1,
          ),
        ...many,
      );
      const rows = range(20).map((i) => array(i, i % 4, 3));
      await check(backend(), (...xs: Value[]) => concat(xs, 0), ...rows);
    });
    test('long chains', async () => {
      const chain = (x: Value, y: Value) =>
        range(500).reduce<Value>((sum, i) => add(mul(sum, 0.99), i % 2 ? x : y), x);
      await check(backend(), chain, array(1, 7), array(2, 7));
      const doubled = (x: Value) => range(120).reduce<Value>((v) => tanh(add(v, mul(v, 0.1))), x);
      await check(backend(), doubled, array(3, 5));
    });
    // A limit of gpu.js, whose integers are floats; the others have none to test.
    if (name.startsWith('gpujs')) {
      test('an array of more than 2^24 elements is refused', async () => {
        const { closure } = traceAt(tanh as Traceable, [input(aval([2 ** 24 + 1], 'float'))]);
        await expect(backend().compile(closure.tape)).rejects.toThrow(/more than the 2\^24/);
        expect(() => backend().upload(ints([2 ** 24 + 1]))).toThrow(/beyond ±2\^24/);
      });
    }
  });

  describe('what goes in and out', () => {
    const x = array(1, 3);
    const y = array(2, 2, 2);
    test.each<[string, (...xs: Value[]) => unknown]>([
      ['inputs as outputs', (a, b) => [b, a]],
      ['one value twice', (a) => [tanh(a as Value), tanh(a as Value), a, a]],
      [
        'an intermediate as an output',
        (a) => {
          const t = exp(a as Value);
          return [t, reduceSum(t), mul(t, 2)];
        },
      ],
      ['constants as outputs', (a) => [constant(x), constant(x), constant(floats([2.5], [])), a]],
      ['nothing used', () => [constant(floats([1, 2, 3, 4], [2, 2]))]],
      ['one of two used', (_, b) => reduceSum(b as Value)],
      ['an empty array', () => constant(floats([], [0, 3]))],
    ])('%s', async (note, f) => {
      await checkTape(backend(), trace(f, x, y), [x, y], note);
      await checkTape(backend(), simplify(trace(f, x, y)), [x, y], note);
    });
    test('a program without inputs', () =>
      check(backend(), () => reduceSum(normal(constant(key(3)), [100]))));
    test('host arrays with strides', async () => {
      const view = hostArray(
        Float64Array.from({ length: 12 }, (_, i) => i),
        [3, 4],
      );
      const turned = view.transpose(1, 0).step(2, 1);
      await check(backend(), (a: Value) => mul(a, 2), turned);
    });
  });

  test('random numbers have the same bits', async () => {
    const draw = (k: Value) => {
      const [a, b] = splitTraced(k, 2) as [Value, Value];
      return [
        randomBits(k, [3, 5]),
        uniform(a, [101]),
        normal(b, [1001]),
        permutation(a, 40),
        a,
        b,
      ];
    };
    for (const seed of [0, 1, 2 ** 32 - 1, 2 ** 53 - 1]) {
      const tape = inlineTape(trace(draw, key(seed)));
      requireEqual(await runTape(backend(), tape, [key(seed)]), expected(tape, [key(seed)]), '', 0);
    }
    const [order] = await runTape(
      backend(),
      trace((k: Value) => permutation(k, 33), key(8)),
      [key(8)],
    );
    expect([...flatData(order as HostArray)]).toEqual([...hostPermutation(key(8), 33)]);
  });
});
