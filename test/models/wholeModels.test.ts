/** Whole models of Hugging Face transformers: logits, loss and all gradients, by their weights. */
import {
  equal,
  grad,
  type HostArray,
  hostArray,
  ints,
  range,
  reshape,
  sliceAxis,
  transpose,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  causalDecoder,
  parameterNames,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../src/models/index.js';
import { floats, relativeError, run, toNumbers } from '../support/numeric.js';
import { readExpected, readTensors, type StoredArray } from './support.js';

const TOLERANCE = 1e-10;

const stored = (x: StoredArray | undefined): StoredArray => {
  if (x === undefined) throw new Error('the fixture lacks an array');
  return x;
};
const floatsOf = (x: StoredArray | undefined) => floats(stored(x).data, stored(x).shape);
const intsOf = (x: StoredArray | undefined) => ints(stored(x).data, stored(x).shape);
const flat = (x: HostArray, ...shape: number[]) => hostArray(x.data as Float64Array, shape);

/** Names in the file, where our paths are but other words for them. */
const renamed = (path: string, words: readonly (readonly [RegExp, string])[]): string =>
  words.reduce((name, [from, to]) => name.replace(from, to), path);

const VIT_WORDS = [
  [/^blocks\.(\d+)\./, 'vit.encoder.layer.$1.'],
  [/attention\.(query|key|value)\./, 'attention.attention.$1.'],
  [/attention\.out\./, 'attention.output.dense.'],
  [/attentionNorm/, 'layernorm_before'],
  [/mlpNorm/, 'layernorm_after'],
  [/mlp\.fc1/, 'intermediate.dense'],
  [/mlp\.fc2/, 'output.dense'],
  [/^norm/, 'vit.layernorm'],
  [/^head/, 'classifier'],
  [/^patchEmbedding/, 'vit.embeddings.patch_embeddings.projection'],
  [/^positionEmbedding\.weight/, 'vit.embeddings.position_embeddings'],
  [/^classToken/, 'vit.embeddings.cls_token'],
  [/scale$/, 'weight'],
] as const;

const LLAMA_WORDS = [
  [/^blocks\./, 'model.layers.'],
  [/attention\.(q|k|v|o)[a-z]+\./, 'self_attn.$1_proj.'],
  [/attentionNorm/, 'input_layernorm'],
  [/mlpNorm/, 'post_attention_layernorm'],
  [/mlp\.gate/, 'mlp.gate_proj'],
  [/mlp\.fc1/, 'mlp.up_proj'],
  [/mlp\.fc2/, 'mlp.down_proj'],
  [/^norm/, 'model.norm'],
  [/^head/, 'lm_head'],
  [/^tokenEmbedding/, 'model.embed_tokens'],
  [/scale$/, 'weight'],
] as const;

/** Every gradient's length, and the listed gradients element by element. */
function checkGradients(
  weights: unknown,
  gradients: readonly HostArray[],
  nameOf: (path: string) => string,
  expected: ReturnType<typeof readExpected>,
): void {
  const paths = parameterNames(weights);
  const names = paths.map(nameOf);
  expect([...names].sort()).toEqual(Object.keys(expected.gradient_summary).sort());
  names.forEach((name, i) => {
    const found = toNumbers(gradients[i] as HostArray);
    const l2 = expected.gradient_summary[name]?.l2 as number;
    expect(relativeError([Math.hypot(...found)], [l2])).toBeLessThan(TOLERANCE);
    const whole = expected.gradients[name];
    if (whole !== undefined) {
      expect([name, relativeError(found, whole.data) < TOLERANCE]).toEqual([name, true]);
    }
  });
}

describe('ViT', () => {
  const expected = readExpected('vit/expected.json');
  const get = readTensors('vit/model.safetensors');
  const dense = (name: string) => ({ weight: get(`${name}.weight`), bias: get(`${name}.bias`) });
  const normed = (name: string) => ({ scale: get(`${name}.weight`), bias: get(`${name}.bias`) });
  const config: VisionTransformerConfig = {
    imageSize: 16,
    patchSize: 4,
    channels: 3,
    classes: 10,
    width: 32,
    depth: 2,
    heads: 4,
    mlpWidth: 64,
    normEpsilon: 1e-12,
  };
  const kernel = dense('vit.embeddings.patch_embeddings.projection');
  const weights: VisionTransformerWeights<HostArray> = {
    patchEmbedding: { ...kernel, weight: flat(kernel.weight, 32, 48) },
    classToken: flat(get('vit.embeddings.cls_token'), 32),
    positionEmbedding: { weight: flat(get('vit.embeddings.position_embeddings'), 17, 32) },
    blocks: range(2).map((i) => {
      const at = `vit.encoder.layer.${i}`;
      return {
        attentionNorm: normed(`${at}.layernorm_before`),
        attention: {
          query: dense(`${at}.attention.attention.query`),
          key: dense(`${at}.attention.attention.key`),
          value: dense(`${at}.attention.attention.value`),
          out: dense(`${at}.attention.output.dense`),
        },
        mlpNorm: normed(`${at}.layernorm_after`),
        mlp: { fc1: dense(`${at}.intermediate.dense`), fc2: dense(`${at}.output.dense`) },
      };
    }),
    norm: normed('vit.layernorm'),
    head: dense('classifier'),
  };
  // Pixels are stored channel first.
  const logitsOf = (w: VisionTransformerWeights, pixels: Value) =>
    visionTransformer(config)(w, transpose(pixels, [0, 2, 3, 1]));
  const pixels = floatsOf(expected.inputs.pixel_values);
  const labels = intsOf(expected.inputs.labels);

  test('logits and loss', () => {
    const [logits, loss] = run(
      (w: VisionTransformerWeights, x: Value, t: Value) => {
        const y = logitsOf(w, x);
        return [y, softmaxCrossEntropy(y, t)];
      },
      weights,
      pixels,
      labels,
    );
    expect(
      relativeError(toNumbers(logits as HostArray), expected.outputs.logits.data),
    ).toBeLessThan(TOLERANCE);
    expect(relativeError(toNumbers(loss as HostArray), [expected.loss])).toBeLessThan(TOLERANCE);
  });

  test('gradients of all weights', () => {
    const gradients = run(
      (w: VisionTransformerWeights, x: Value, t: Value) =>
        grad((v: VisionTransformerWeights) => softmaxCrossEntropy(logitsOf(v, x), t))(w),
      weights,
      pixels,
      labels,
    );
    checkGradients(weights, gradients, (path) => renamed(path, VIT_WORDS), expected);
  });
});

describe('Llama: grouped queries, rotary positions, gated MLP, RMS norm', () => {
  const get = readTensors('llama/model.safetensors');
  const matrix = (name: string) => ({ weight: get(`${name}.weight`) });
  const normed = (name: string) => ({ scale: get(`${name}.weight`) });
  const config: CausalDecoderConfig = {
    vocabulary: 64,
    maxLength: 64,
    width: 32,
    depth: 2,
    heads: 4,
    keyValueHeads: 2,
    mlpWidth: 48,
    activation: 'silu',
    gatedMlp: true,
    norm: 'rmsNorm',
    normEpsilon: 1e-6,
    biases: false,
    positions: 'rotary',
  };
  const weights: CausalDecoderWeights<HostArray> = {
    tokenEmbedding: matrix('model.embed_tokens'),
    blocks: range(2).map((i) => {
      const at = `model.layers.${i}`;
      return {
        attentionNorm: normed(`${at}.input_layernorm`),
        attention: {
          query: matrix(`${at}.self_attn.q_proj`),
          key: matrix(`${at}.self_attn.k_proj`),
          value: matrix(`${at}.self_attn.v_proj`),
          out: matrix(`${at}.self_attn.o_proj`),
        },
        mlpNorm: normed(`${at}.post_attention_layernorm`),
        mlp: {
          gate: matrix(`${at}.mlp.gate_proj`),
          fc1: matrix(`${at}.mlp.up_proj`),
          fc2: matrix(`${at}.mlp.down_proj`),
        },
      };
    }),
    norm: normed('model.norm'),
    head: matrix('lm_head'),
  };
  const logitsOf = (w: CausalDecoderWeights, ids: Value, keep?: Value) =>
    causalDecoder(config)(w, ids, { mask: keep && equal(keep, 1) });
  const nextTokenLoss = (logits: Value, labels: Value): Value => {
    const [batch, length, classes] = logits.shape as readonly [number, number, number];
    const rows = batch * (length - 1);
    return softmaxCrossEntropy(
      reshape(sliceAxis(logits, 1, 0, length - 1), [rows, classes]),
      reshape(sliceAxis(labels, 1, 1, length), [rows]),
    );
  };

  test.each(['expected', 'expected_padded'])('%s', (file) => {
    const expected = readExpected(`llama/${file}.json`);
    const mask = expected.inputs.attention_mask;
    const rest = [expected.inputs.input_ids, expected.inputs.labels, ...(mask ? [mask] : [])];
    const [logits, loss, ...gradients] = run(
      (w: CausalDecoderWeights, ids: Value, labels: Value, keep?: Value) => {
        const y = logitsOf(w, ids, keep);
        const f = (v: CausalDecoderWeights) => nextTokenLoss(logitsOf(v, ids, keep), labels);
        return [y, nextTokenLoss(y, labels), grad(f)(w)];
      },
      weights,
      ...rest.map(intsOf),
    );
    expect(
      relativeError(toNumbers(logits as HostArray), expected.outputs.logits.data),
    ).toBeLessThan(TOLERANCE);
    expect(relativeError(toNumbers(loss as HostArray), [expected.loss])).toBeLessThan(TOLERANCE);
    expect(gradients).toHaveLength(treeLeaves(weights).length);
    checkGradients(weights, gradients, (path) => renamed(path, LLAMA_WORDS), expected);
  });
});
