/** Checkpoints, operators in the place of matrices, and what stays off the tape. */
import {
  denseOperator,
  grad,
  type HostArray,
  ints,
  key,
  mul,
  printTape,
  reduceSum,
  trace,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import {
  initVisionTransformer,
  parameterNames,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../src/models/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { gaussian, redrawn } from './support.js';

describe('checkpoint', () => {
  const config: VisionTransformerConfig = {
    imageSize: 6,
    patchSize: 3,
    classes: 4,
    width: 8,
    depth: 2,
    heads: 2,
    dropout: 0.2,
  };
  const weights = redrawn(initVisionTransformer(config, key(1)), 9);
  const images = gaussian(1, [3, 6, 6]);
  const labels = ints([0, 3, 1]);
  const gradients = (c: VisionTransformerConfig) =>
    run(
      (w: VisionTransformerWeights, x: Value, t: Value, k: Value) =>
        grad((v: VisionTransformerWeights) =>
          softmaxCrossEntropy(visionTransformer(c)(v, x, { key: k }), t),
        )(w),
      weights,
      images,
      labels,
      key(4),
    ).map(toNumbers);

  test('gives the same gradients, bit for bit', () => {
    const remembered = gradients(config);
    expect(gradients({ ...config, checkpoint: true })).toEqual(remembered);
    expect(remembered.flat().some((g) => g !== 0)).toBe(true);
    const tape = trace(
      visionTransformer({ ...config, checkpoint: true }) as (w: unknown, x: Value) => Value,
      weights,
      images,
    );
    expect(tape.equations.filter((e) => e.primitive.name === 'checkpoint')).toHaveLength(2);
  });

  test('an operator may stand where a matrix stood, inside too', () => {
    const [block] = weights.blocks;
    const matrix = block?.attention.query.weight as HostArray;
    const loss = (c: VisionTransformerConfig) => (delta: Value, w: VisionTransformerWeights) => {
      const [first, ...rest] = w.blocks;
      if (first === undefined) throw new Error('no blocks');
      const { query } = first.attention;
      const weight = denseOperator(query.weight as Value).plus(delta);
      const attention = { ...first.attention, query: { ...query, weight } };
      const adapted = { ...w, blocks: [{ ...first, attention }, ...rest] };
      const logits = visionTransformer(c)(adapted, x(images));
      return reduceSum(mul(logits, logits));
    };
    const x = (host: HostArray) => mul(host, 1);
    const zero = floats(new Float64Array(matrix.size), matrix.shape);
    const plain = { ...config, dropout: 0 };
    const [a, b] = [false, true].map((checkpoint) =>
      numbers(grad(loss({ ...plain, checkpoint })), zero, weights),
    ) as [number[], number[]];
    expect(b).toEqual(a);
    const direct = run(
      (w: VisionTransformerWeights) =>
        grad((v: VisionTransformerWeights) => {
          const logits = visionTransformer(plain)(v, x(images));
          return reduceSum(mul(logits, logits));
        })(w),
      weights,
    );
    const index = parameterNames(weights).indexOf('blocks.0.attention.query.weight');
    expect(relativeError(a, toNumbers(direct[index] as HostArray))).toBeLessThan(1e-13);
  });
});

test('rate 0 leaves no random words on the tape, key or not', () => {
  const config = { imageSize: 4, patchSize: 2, classes: 2, width: 4, depth: 1, heads: 1 };
  const weights = initVisionTransformer(config, key(1));
  const f = (w: VisionTransformerWeights, x: Value, k: Value) =>
    visionTransformer(config)(w, x, { key: k });
  const words = (rate: number) =>
    printTape(
      trace(
        (w: VisionTransformerWeights, x: Value, k: Value) =>
          visionTransformer({ ...config, dropout: rate })(w, x, { key: k }),
        weights,
        gaussian(1, [1, 4, 4]),
        key(1),
      ),
    ).match(/randomBits|deriveKey/g)?.length ?? 0;
  expect(words(0)).toBe(0);
  expect(words(0.5)).toBeGreaterThan(3);
  expect(trace(f, weights, gaussian(1, [1, 4, 4]), key(1)).inputs).toHaveLength(
    treeLeaves(weights).length + 2,
  );
});
