/** Gradients of whole tiny models along random directions of all their weights. */
import { hostPermutation, ints, key, mul, type Value } from '../../src/autodiff/index.js';
import {
  type CausalDecoderWeights,
  causalDecoder,
  type EncoderDecoderWeights,
  encoderDecoder,
  initCausalDecoder,
  initEncoderDecoder,
  initVisionTransformer,
  softmaxCrossEntropy,
  type TransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../src/models/index.js';
import { directional, gaussian, redrawn } from './support.js';

const DIRECTIONS = [1, 2, 3];

const variants: readonly (readonly [string, Partial<TransformerConfig>])[] = [
  ['as by default', {}],
  [
    'post-norm, tanh gelu, no biases',
    { normPlacement: 'post', activation: 'geluTanh', biases: false },
  ],
  [
    'RMS norm, SwiGLU, rotary, one key head',
    { norm: 'rmsNorm', activation: 'silu', gatedMlp: true, positions: 'rotary', keyValueHeads: 1 },
  ],
  ['GEGLU, sinusoidal, checkpoint', { gatedMlp: true, positions: 'sinusoidal', checkpoint: true }],
  ['dropout of one key', { dropout: 0.2, attentionDropout: 0.2 }],
];

const size = { width: 8, depth: 2, heads: 2, mlpWidth: 10 };
const ids = (seed: number, batch: number, length: number) =>
  ints(
    Array.from(hostPermutation(key(seed), batch * length), (n) => n % 7),
    [batch, length],
  );

function check(
  loss: (w: never, ...rest: Value[]) => Value,
  weights: unknown,
  rest: Parameters<typeof directional>[2],
): void {
  for (const seed of DIRECTIONS) {
    const { reverse, difference } = directional(loss, weights, rest, seed);
    expect(Math.abs(reverse)).toBeGreaterThan(1e-4);
    expect(Math.abs(reverse - difference) / Math.max(1, Math.abs(reverse))).toBeLessThan(1e-8);
  }
}

describe.each(variants)('%s', (_, variant) => {
  test.each(['classToken', 'mean'] as const)('ViT, %s', (pooling) => {
    const config = { ...size, ...variant, imageSize: 6, patchSize: 3, classes: 4, pooling };
    const loss = (w: VisionTransformerWeights, x: Value, t: Value) =>
      softmaxCrossEntropy(visionTransformer(config)(w, x, { key: key(5) }), t, {
        labelSmoothing: 0.1,
      });
    const weights = redrawn(initVisionTransformer(config, key(1)), 1);
    check(loss, weights, [gaussian(1, [3, 6, 6]), ints([0, 3, 1])]);
  });

  test('causal decoder', () => {
    const config = { ...size, ...variant, vocabulary: 7, maxLength: 5, tiedHead: true };
    const loss = (w: CausalDecoderWeights, x: Value, t: Value) =>
      softmaxCrossEntropy(causalDecoder(config)(w, x, { key: key(5) }), t);
    check(loss, redrawn(initCausalDecoder(config, key(1)), 2), [ids(1, 2, 5), ids(2, 2, 5)]);
  });

  test('encoder–decoder', () => {
    const config = { ...size, ...variant, vocabulary: 7, maxLength: 5 };
    const loss = (w: EncoderDecoderWeights, source: Value, target: Value, t: Value) => {
      const logits = encoderDecoder(config)(w, { source, target }, { key: key(5) });
      return mul(2, softmaxCrossEntropy(logits, t));
    };
    const rest = [ids(1, 2, 5), ids(2, 2, 4), ids(3, 2, 4)];
    check(loss, redrawn(initEncoderDecoder(config, key(1)), 3), rest);
  });
});
