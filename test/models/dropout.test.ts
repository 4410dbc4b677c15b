/** Dropout by key: mean, dependence on the key, none without one. */
import {
  type HostArray,
  ints,
  key,
  type Traceable,
  trace,
  treeLeaves,
  type Value,
  type Var,
} from '../../src/autodiff/index.js';
import { interpret } from '../../src/kernels/reference/backend.js';
import {
  attention,
  dropoutLayer,
  type EncoderDecoderWeights,
  encoderDecoder,
  initAttention,
  initEncoderDecoder,
  initVisionTransformer,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../src/models/index.js';
import { floats, numbers, run, toNumbers } from '../support/numeric.js';
import { gaussian, redrawn } from './support.js';

const config = {
  imageSize: 6,
  patchSize: 3,
  classes: 3,
  width: 8,
  depth: 2,
  heads: 2,
  dropout: 0.3,
  attentionDropout: 0.2,
};
const weights = redrawn(initVisionTransformer(config, key(1)), 3);
const images = gaussian(2, [2, 6, 6]);
const withKey = (w: VisionTransformerWeights, x: Value, k: Value) =>
  visionTransformer(config)(w, x, { key: k });

test('the same key gives the same logits, another key others, no key those of rate 0', () => {
  const a = numbers(withKey, weights, images, key(1));
  expect(numbers(withKey, weights, images, key(1))).toEqual(a);
  expect(numbers(withKey, weights, images, key(2))).not.toEqual(a);
  const evaluated = numbers(visionTransformer(config), weights, images);
  const rateless = visionTransformer({ ...config, dropout: 0, attentionDropout: 0 });
  expect(numbers(rateless, weights, images)).toEqual(evaluated);
  expect(evaluated).not.toEqual(a);
});

test('every mask of a model has a key of its own', () => {
  const decoderConfig = { ...config, vocabulary: 5, maxLength: 3 };
  const decoderWeights = initEncoderDecoder(decoderConfig, key(1));
  const ids = ints([0, 1, 2], [1, 3]);
  const translate = (w: EncoderDecoderWeights, x: Value, k: Value) =>
    encoderDecoder(decoderConfig)(w, { source: x, target: x }, { key: k });
  const keysOf = (f: Traceable, ...args: HostArray[]) => {
    const tape = trace(f, ...args);
    const drawn = tape.equations.filter((e) => e.primitive.name === 'randomBits');
    const keys = { ...tape, outputs: drawn.map((e) => e.inputs[0] as Var) };
    return interpret(keys, treeLeaves<HostArray>(args)).map((k) => toNumbers(k).join());
  };
  // Two blocks of attention weights, attention and MLP, and the embeddings.
  const classifier = keysOf(withKey, weights as never, images, key(1));
  expect(classifier).toHaveLength(2 * 3 + 1);
  expect(new Set(classifier).size).toBe(7);
  // Two such stacks, and cross-attention with its weights in two blocks.
  const translator = keysOf(translate, decoderWeights as never, ids, key(1));
  expect(translator).toHaveLength(2 * 7 + 2 * 2);
  expect(new Set(translator).size).toBe(18);
});

test('the mean over keys is the input, the kept share 1 − rate', () => {
  const [rate, n] = [0.3, 20_000];
  const x = floats(new Float64Array(n).fill(2));
  const y = numbers((k: Value, v: Value) => dropoutLayer(rate, k, v), key(11), x);
  const kept = y.filter((v) => v !== 0);
  expect(kept.every((v) => v === kept[0])).toBe(true);
  expect(kept[0]).toBeCloseTo(2 / (1 - rate), 12);
  // Binomial: standard error √(0.3·0.7/20000) = 0.0032; five of them (one false alarm in 10⁶).
  expect(Math.abs(kept.length / n - (1 - rate))).toBeLessThan(0.0163);
});

test('dropout of attention weights keeps the mean of the output', () => {
  const attentionConfig = {
    width: 4,
    heads: 2,
    keyValueHeads: 2,
    headWidth: 2,
    biases: false,
    attentionDropout: 0.25,
  };
  const w = redrawn(initAttention(attentionConfig, key(1)), 5, 0.7);
  const one = gaussian(6, [1, 5, 4]);
  const copies = 4000;
  const batch = floats(Array.from({ length: copies }, () => toNumbers(one)).flat(), [copies, 5, 4]);
  const f = (v: never, x: Value, k: Value) => attention(attentionConfig, v, x, { key: k });
  const dropped = run(f, w, batch, key(3))[0] as HostArray;
  const plain = numbers((v: never, x: Value) => attention(attentionConfig, v, x), w, one);
  plain.forEach((expected, i) => {
    const samples = Array.from({ length: copies }, (_, b) => dropped.data[b * 20 + i] as number);
    const mean = samples.reduce((s, v) => s + v, 0) / copies;
    const variance = samples.reduce((s, v) => s + (v - mean) ** 2, 0) / copies;
    expect(variance).toBeGreaterThan(0);
    // Twenty comparisons at five standard errors: about one false alarm in 10⁵ keys.
    expect(Math.abs(mean - expected)).toBeLessThan(5 * Math.sqrt(variance / copies));
  });
});
