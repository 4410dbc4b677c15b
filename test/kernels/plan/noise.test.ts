/**
 * Noise is fused into products, so that no perturbed weight is ever in memory: plans of whole training
 * steps of Flat-LoRA.
 */
import {
  add,
  constant,
  gather,
  grad,
  type HostArray,
  ints,
  key,
  matmulTransposed,
  mean,
  mul,
  normal,
  orThrow,
  range,
  simplify,
  sizeOf,
  square,
  type Tape,
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
import { adamW } from '../../../src/optimisers/index.js';
import { initialState, trainStep } from '../../../src/training/index.js';
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
  options: {
    readonly recompute?: boolean;
    readonly half?: boolean;
    readonly samples?: number;
    readonly twice?: boolean;
  },
): { readonly tape: Tape; readonly sizes: ReadonlySet<number> } {
  const { weights, batch, apply } = models[name]();
  const base = options.half
    ? treeMap((x: HostArray) => (x.shape.length === 2 ? toHalf(x, 'bfloat16') : x), weights)
    : weights;
  const method = lora({ rank: 3, alpha: 3, targetModules: TARGETS });
  const { adapters, base: frozen } = orThrow(method.init(base as never, key(2)));
  const loss = (w: unknown, b: { x: Value; y: Value }) => softmaxCrossEntropy(apply(w, b.x), b.y);
  const { recompute = false, samples = 1 } = options;
  const noisy = flat({ sigma: 0.1, recompute, samples });
  const once = noisy(adapt(frozen, method)(loss as never) as never);
  const objective = options.twice ? noisy(once) : once;
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

  test.each([{ twice: true }, { samples: 2 }])('nor where there is more noise: %j', (options) => {
    const step = stepOf(name, options);
    for (const limits of Object.values(LIMITS)) {
      expect(weightLike(step, limits)).toEqual([]);
    }
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
