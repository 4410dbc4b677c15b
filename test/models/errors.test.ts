/** Mistakes of the caller's: one-line typed errors. */
import {
  FlatloraError,
  type HostArray,
  hostArray,
  ints,
  key,
  type Value,
} from '../../src/autodiff/index.js';
import {
  causalDecoder,
  initCausalDecoder,
  initVisionTransformer,
  resolveConfig,
  visionTransformer,
} from '../../src/models/index.js';
import { floats, run } from '../support/numeric.js';
import { gaussian } from './support.js';

const size = { width: 8, depth: 1, heads: 2 };
const vit = { ...size, imageSize: 6, patchSize: 3, classes: 2 };
const vitWeights = initVisionTransformer(vit, key(1));
const decoder = { ...size, vocabulary: 5, maxLength: 4 };
const decoderWeights = initCausalDecoder(decoder, key(1));

/** The kind and message of the typed error that `f` throws. */
function problemOf(f: () => unknown): string {
  try {
    f();
  } catch (error) {
    if (error instanceof FlatloraError) return `${error.kind}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test.each([
  [{ ...size, heads: 3 }, 'argument: transformer: heads is 3, expected a divisor of width 8'],
  [{ ...size, headWidth: 0 }, 'argument: transformer: headWidth is 0, expected a positive integer'],
  [{ ...size, width: 0 }, 'argument: transformer: width is 0, expected a positive integer'],
  [{ ...size, depth: 1.5 }, 'argument: transformer: depth is 1.5, expected a positive integer'],
  [
    { ...size, heads: 4, keyValueHeads: 3 },
    'argument: transformer: keyValueHeads is 3, expected a divisor of heads 4',
  ],
  [{ ...size, dropout: 1 }, 'argument: transformer: dropout is 1, expected 0 ≤ rate < 1'],
  [
    { ...size, heads: 8, positions: 'rotary' as const },
    'argument: transformer: headWidth is 1, expected an even number for rotary positions',
  ],
  [
    { ...size, activation: 'swish' as 'silu' },
    'argument: transformer: activation is swish, expected one of gelu, geluTanh, quickGelu, relu, silu, tanh',
  ],
])('configuration %#', (config, message) => {
  expect(problemOf(() => resolveConfig(config))).toBe(message);
});

test('images', () => {
  const classify = (images: HostArray) =>
    problemOf(() => run(visionTransformer(vit), vitWeights, images));
  expect(classify(gaussian(1, [2, 6, 5]))).toBe(
    'shape: images: given float[2,6,5], expected float[batch,6,6]',
  );
  expect(classify(gaussian(1, [2, 6, 6, 3]))).toBe(
    'shape: images: given float[2,6,6,3], expected float[batch,6,6]',
  );
  expect(classify(hostArray(new Uint8Array(72), [2, 6, 6]))).toBe(
    'dtype: images: given bool[2,6,6], expected float[batch,6,6]',
  );
  const untiled = { ...vit, patchSize: 4 };
  expect(problemOf(() => initVisionTransformer(untiled, key(1)))).toBe(
    'argument: imageSize: 6×6 is not tiled by patches of 4×4, expected multiples of patchSize',
  );
});

test('tokens', () => {
  const f = causalDecoder(decoder);
  const read = (ids: HostArray) => problemOf(() => run(f, decoderWeights, ids));
  expect(read(floats([1, 2], [1, 2]))).toBe(
    'dtype: embedding: token ids are float[1,2], expected int (an Int32Array on the host)',
  );
  expect(read(ints([0, 1, 2, 3, 4], [1, 5]))).toBe(
    'shape: positions: the sequence has 5 tokens, expected at most 4 (maxLength)',
  );
});

test('weights that do not belong to the configuration', () => {
  const ids = ints([0, 1], [1, 2]);
  const deeper = causalDecoder({ ...decoder, depth: 2 });
  expect(problemOf(() => run(deeper, decoderWeights, ids))).toBe(
    'tree: transformer: the weights have 1 blocks, expected depth 2',
  );
  const { positionEmbedding: _, ...bare } = decoderWeights;
  const f = (w: never, x: Value) => causalDecoder(decoder)(w, x);
  expect(problemOf(() => run(f, bare, ids))).toBe(
    'tree: transformer: the weights have no positionEmbedding, expected one for learned positions',
  );
});
