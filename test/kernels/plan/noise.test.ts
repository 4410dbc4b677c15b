/**
 * What is fused into products: noise always, so that no perturbed weight is ever in memory; cheap
 * arithmetic and half precision; dear arithmetic only where a single product needs it.
 */
import {
  add,
  constant,
  convert,
  gather,
  grad,
  type HostArray,
  ints,
  key,
  matmul,
  matmulTransposed,
  mean,
  mul,
  normal,
  orThrow,
  range,
  reduceSum,
  simplify,
  sizeOf,
  square,
  type Tape,
  type Traceable,
  tanh,
  toHalf,
  trace,
  treeLeaves,
  treeMap,
  type Value,
} from '../../../src/autodiff/index.js';
import { adapt, flat, lora } from '../../../src/flatlora/index.js';
import { nodesOf } from '../../../src/kernels/plan/expression.js';
import {
  type AnyKernel,
  type FusedName,
  outputsOf,
  planTape,
} from '../../../src/kernels/plan/plan.js';
import {
  causalDecoder,
  initCausalDecoder,
  initVisionTransformer,
  softmaxCrossEntropy,
  visionTransformer,
} from '../../../src/models/index.js';
import { adamW, initialState, trainStep } from '../../../src/training/index.js';
import { generator, integerArray, uniformArray } from '../../support/draw.js';

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);
const fused: ReadonlySet<FusedName> = new Set(['attention', 'attentionBackward']);
/** The limits of `wasm`, of `webgpu`, and of backends that store the operands of products. */
const LIMITS = {
  wasm: { maxReads: 24, operandCost: 30, fused },
  webgpu: { maxReads: 12, operandCost: 12, fused },
};
const STORING = { maxReads: 24, fused };

const drawsNoise = (kernel: AnyKernel): boolean =>
  !('kind' in kernel) && nodesOf(kernel.body).some((e) => e.kind === 'randomNormal');

// Sizes that have nothing in common, so that a buffer of a weight's size is a copy of one.
const [WIDTH, MLP, VOCABULARY, PATCH] = [22, 37, 41, 3];
const BATCH = 2;

const models = {
  causalDecoder: () => {
    const config = {
      width: WIDTH,
      heads: 2,
      depth: 2,
      mlpWidth: MLP,
      vocabulary: VOCABULARY,
      maxLength: 13,
    };
    const tokens = integerArray(generator(2), [BATCH, 13], 0, VOCABULARY - 1);
    return {
      weights: initCausalDecoder(config, key(1)) as unknown,
      batch: { x: tokens, y: tokens },
      apply: causalDecoder(config) as (w: unknown, x: Value) => Value,
    };
  },
  'vision transformer': () => {
    const config = {
      imageSize: 5 * PATCH,
      patchSize: PATCH,
      classes: 10,
      width: WIDTH,
      heads: 2,
      depth: 2,
      mlpWidth: MLP,
    };
    return {
      weights: initVisionTransformer(config, key(1)) as unknown,
      batch: { x: array(BATCH, 5 * PATCH, 5 * PATCH), y: ints(range(BATCH)) },
      apply: visionTransformer(config) as (w: unknown, x: Value) => Value,
    };
  },
};

const TARGETS = ['query', 'key', 'value', 'out', 'fc1', 'fc2'];

/** A whole training step of Flat-LoRA, and the sizes of the weights that it perturbs. */
function stepOf(
  name: keyof typeof models,
  options: { readonly recompute?: boolean; readonly half?: boolean },
): { readonly tape: Tape; readonly sizes: ReadonlySet<number> } {
  const { weights, batch, apply } = models[name]();
  const base = options.half
    ? treeMap((x: HostArray) => (x.shape.length === 2 ? toHalf(x, 'bfloat16') : x), weights)
    : weights;
  const method = lora({ rank: 3, alpha: 3, targetModules: TARGETS });
  const { adapters, base: frozen } = orThrow(method.init(base as never, key(2)));
  const loss = (w: unknown, b: { x: Value; y: Value }) => softmaxCrossEntropy(apply(w, b.x), b.y);
  const objective = flat({ sigma: 0.1, recompute: options.recompute ?? false })(
    adapt(frozen, method)(loss as never) as never,
  );
  const optimiser = adamW({ learningRate: 1e-3 });
  const step = trainStep(objective as never, optimiser, { totalSteps: 10 });
  const state = initialState(adapters, optimiser);
  const matrices = treeLeaves<HostArray>(weights).filter((x) => x.shape.length === 2);
  return {
    tape: simplify(trace(step as never, state as never, batch as never, key(3) as never)),
    sizes: new Set(matrices.map((x) => sizeOf(x.shape))),
  };
}

/** Outputs of kernels that are as large as a weight. */
const weightLike = (
  { tape, sizes }: ReturnType<typeof stepOf>,
  limits: Parameters<typeof planTape>[1],
) =>
  planTape(tape, limits as typeof STORING)
    .kernels.flatMap(outputsOf)
    .filter((v) => sizes.has(sizeOf(v.shape)))
    .map((v) => v.shape);

describe.each(Object.keys(models) as (keyof typeof models)[])('a step of a %s', (name) => {
  test.each([false, true])('stores nothing of a weight’s size (recompute: %s)', (recompute) => {
    const step = stepOf(name, { recompute });
    for (const limits of Object.values(LIMITS)) {
      expect(weightLike(step, limits)).toEqual([]);
    }
    // Twelve perturbed weights, some made anew backwards: so the check can see them.
    const stored = weightLike(step, STORING).length;
    expect(stored).toBeGreaterThanOrEqual(recompute ? 20 : 12);
  });

  test('nor of a frozen base in half precision', () => {
    const step = stepOf(name, { half: true });
    for (const limits of Object.values(LIMITS)) {
      expect(weightLike(step, limits)).toEqual([]);
    }
    expect(weightLike(step, STORING).length).toBeGreaterThanOrEqual(12);
  });

  test('draws noise in the products of both passes', () => {
    const { kernels } = planTape(stepOf(name, {}).tape, LIMITS.wasm);
    const drawing = kernels.filter(drawsNoise);
    // Every adapted weight forward and, but for those of the first layer's input, backward.
    expect(drawing.length).toBeGreaterThanOrEqual(15);
    for (const kernel of drawing) {
      const folds = 'kind' in kernel ? [] : nodesOf(kernel.body).filter((e) => e.kind === 'fold');
      expect(folds.length).toBeGreaterThan(0);
    }
  });
});

test('a look-up in a constant table copies nothing', () => {
  const f = (i: Value) => mul(2, gather(constant(array(17, 19)), i));
  const { kernels } = planTape(simplify(trace(f, ints([1, 2]))), STORING);
  expect(kernels.flatMap(outputsOf).map((v) => v.shape)).toEqual([[2, 19]]);
});

test('where the weight itself is trained, only its gradient is stored', () => {
  const f = (w: Value, x: Value, k: Value) =>
    grad((v: Value) =>
      mean(square(tanh(matmulTransposed(x, add(v, mul(0.1, normal(k, [17, 19]))))))),
    )(w);
  const tape = simplify(trace(f, array(17, 19), array(5, 19), key(1)));
  const outputs = planTape(tape, LIMITS.wasm).kernels.flatMap(outputsOf);
  expect(outputs.filter((v) => sizeOf(v.shape) === 17 * 19)).toHaveLength(1);
});

const shapesOf = (f: Traceable, args: readonly unknown[], operandCost?: number) =>
  planTape(simplify(trace(f, ...args)), {
    maxReads: 12,
    ...(operandCost !== undefined && { operandCost }),
  }).kernels.map((k) => k.output.shape.join());

describe('operands of products', () => {
  const [x, y, w] = [array(7, 11), array(8, 11), array(11, 5)];
  const two = (operand: (v: Value) => Value) => (a: Value, b: Value, v: Value) => {
    const shared = operand(v);
    return [matmul(a, shared), matmul(b, shared)];
  };
  const one = (operand: (v: Value) => Value) => (a: Value, _: Value, v: Value) =>
    matmul(a, operand(v));
  const inputs = [x, y, w];

  test.each<[string, (v: Value) => Value, number]>([
    ['an addition', (v) => add(v, 1), 0],
    ['a conversion', (v) => convert(convert(v, 'int'), 'float'), 0],
    ['a hyperbolic tangent', tanh, 1],
  ])('%s for several products is stored or not', (_, operand, stored) => {
    const count = (shapes: string[]) => shapes.filter((s) => s === '11,5').length;
    expect(count(shapesOf(two(operand), inputs, 30))).toBe(stored);
    expect(count(shapesOf(two(operand), inputs))).toBe(1);
  });

  test('dear arithmetic for one product is done while copying, within the limit', () => {
    expect(shapesOf(one(tanh), inputs, 30)).toEqual(['7,5']);
    expect(shapesOf(one(tanh), inputs, 29)).toEqual(['11,5', '7,5']);
    expect(
      shapesOf(
        one((v) => tanh(tanh(v))),
        inputs,
        30,
      ),
    ).toEqual(['11,5', '7,5']);
  });

  test('half precision is widened inside', () => {
    const half = [x, y, toHalf(w, 'bfloat16')];
    const widen = (v: Value) => convert(v, 'float');
    expect(shapesOf(two(widen), half, 12)).toEqual(['7,5', '8,5']);
    expect(shapesOf(two(widen), half)).toContain('11,5');
  });

  test('noise is drawn in each product, whatever it costs; for others, too, it is stored', () => {
    const noisy = (k: Value) => (v: Value) => add(v, mul(0.1, normal(k, [11, 5])));
    const products = (a: Value, b: Value, v: Value, k: Value) => two(noisy(k))(a, b, v);
    expect(shapesOf(products, [...inputs, key(1)], 1)).toEqual(['7,5', '8,5']);
    const seen = (a: Value, b: Value, v: Value, k: Value) => [
      ...products(a, b, v, k),
      reduceSum(square(noisy(k)(v)), 1),
    ];
    expect(shapesOf(seen, [...inputs, key(1)], 1)).toContain('11,5');
    const result = (a: Value, b: Value, v: Value, k: Value) => [
      ...products(a, b, v, k),
      noisy(k)(v),
    ];
    expect(shapesOf(result, [...inputs, key(1)], 1).filter((s) => s === '11,5')).toHaveLength(1);
  });

  test('a sum inside an operand is stored', () => {
    const normalised = (v: Value) => mul(v, reduceSum(v, 0));
    expect(shapesOf(one(normalised), inputs, 30)).toEqual(['5', '7,5']);
    expect(
      shapesOf(
        one((v) => matmul(v, array(5, 5))),
        inputs,
        30,
      ),
    ).toEqual(['11,5', '7,5']);
  });
});
