/** Models whose weights are stored in half precision: the same numbers as with those weights widened. */
import {
  dtypeOfHost,
  flatten,
  grad,
  type HostArray,
  ints,
  isHalf,
  key,
  printTape,
  reduceSum,
  simplify,
  toFloat,
  trace,
  treeMap,
  type Value,
} from '../../src/autodiff/index.js';
import {
  type CausalDecoderWeights,
  causalDecoder,
  encoderDecoder,
  initCausalDecoder,
  initEncoderDecoder,
  initVisionTransformer,
  relativeBias,
  storeAs,
  visionTransformer,
} from '../../src/models/index.js';
import { generator, uniformArray } from '../support/draw.js';
import { numbers } from '../support/numeric.js';

const size = { width: 8, depth: 2, heads: 2 };
const decoder = { ...size, vocabulary: 11, maxLength: 6 };
const widen = <T>(tree: T): T =>
  treeMap((x: HostArray) => (isHalf(dtypeOfHost(x)) ? toFloat(x) : x), tree) as T;
const halfNames = (tree: unknown): string[] => {
  const { leaves, paths } = flatten<HostArray>(tree);
  return paths.filter((_, i) => isHalf(dtypeOfHost(leaves[i] as HostArray)));
};

test('storeAs takes the matrices of linear layers; tables when asked; never norms or biases', () => {
  const vision = initVisionTransformer({ ...size, imageSize: 8, patchSize: 4, classes: 3 }, key(1));
  const ofBlock = (i: number) => [
    ...['key', 'out', 'query', 'value'].map((n) => `blocks.${i}.attention.${n}.weight`),
    ...['fc1', 'fc2'].map((n) => `blocks.${i}.mlp.${n}.weight`),
  ];
  expect(halfNames(storeAs('bfloat16')(vision))).toEqual([
    ...ofBlock(0),
    ...ofBlock(1),
    'head.weight',
    'patchEmbedding.weight',
  ]);
  const causal = initCausalDecoder(decoder, key(2));
  const [without, with_] = [false, true].map((embeddings) =>
    halfNames(storeAs('float16', { embeddings })(causal)),
  );
  expect(without).toEqual([...ofBlock(0), ...ofBlock(1), 'head.weight']);
  expect(with_).toEqual([
    ...ofBlock(0),
    ...ofBlock(1),
    'head.weight',
    'positionEmbedding.weight',
    'tokenEmbedding.weight',
  ]);
});

const ids = ints([1, 4, 2, 9, 10, 0], [2, 3]);
const images = uniformArray(generator(3), [2, 8, 8, 1]);
const vision = { ...size, imageSize: 8, patchSize: 4, classes: 3 };
const CASES = {
  'vision transformer': {
    weights: initVisionTransformer(vision, key(1)) as unknown,
    f: (w: never, x: Value) => visionTransformer(vision)(w, x),
    x: images,
  },
  'causal decoder': {
    weights: initCausalDecoder(decoder, key(2)) as unknown,
    f: (w: never, x: Value) => causalDecoder(decoder)(w, x),
    x: ids,
  },
  'causal decoder, tied head, blocks computed again': {
    weights: initCausalDecoder({ ...decoder, tiedHead: true }, key(2)) as unknown,
    f: (w: never, x: Value) => {
      const model = causalDecoder({ ...decoder, tiedHead: true, checkpoint: true });
      return model(w, x);
    },
    x: ids,
  },
  'encoder–decoder': {
    weights: initEncoderDecoder(decoder, key(3)) as unknown,
    f: (w: never, x: Value) => encoderDecoder(decoder)(w, { source: x, target: x }),
    x: ids,
  },
};

describe.each(Object.entries(CASES))('%s', (_, { weights, f, x }) => {
  test.each(['bfloat16', 'float16'] as const)('%s: as with widened weights', (precision) => {
    for (const embeddings of [false, true]) {
      const stored = storeAs(precision, { embeddings })(weights);
      const given = numbers(f, stored, x);
      expect(given).toEqual(numbers(f, widen(stored), x));
      expect(given).not.toEqual(numbers(f, weights, x));
    }
  });
});

test('what is not in half precision still has its gradient', () => {
  const stored = storeAs('bfloat16')(initCausalDecoder(decoder, key(2)));
  const lossOf = (scale: Value, w: CausalDecoderWeights, x: Value) =>
    reduceSum(causalDecoder(decoder)({ ...w, norm: { ...w.norm, scale } }, x));
  const scale = uniformArray(generator(5), [8]);
  const [half, wide] = [stored, widen(stored)].map((w) => numbers(grad(lossOf), scale, w, ids));
  expect(half).toEqual(wide);
  expect(half?.some((g) => g !== 0)).toBe(true);
});

test('a table in half precision is read by row and never widened whole', () => {
  const weights = storeAs('bfloat16', { embeddings: true })(initCausalDecoder(decoder, key(2)));
  const tape = simplify(trace((w: never, x: Value) => causalDecoder(decoder)(w, x), weights, ids));
  const text = printTape(tape);
  expect(text).toMatch(/bfloat16\[2,3,8\] = gather/);
  // The head's matrix has the same shape as the table; it alone is widened.
  expect(text.match(/float\[11,8\] = convert/g)).toHaveLength(1);
  const table = storeAs('float16', { embeddings: true })(
    uniformArray(generator(4), [32, 2]) as HostArray,
  );
  const bias = (t: Value) => relativeBias(t, 3, 4, { bidirectional: true });
  expect(numbers(bias, table)).toEqual(numbers(bias, toFloat(table)));
});
