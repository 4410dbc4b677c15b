/** Layers and losses against PyTorch's values and gradients. */
import { convert, equal, reshape, transpose, type Value } from '../../src/autodiff/index.js';
import {
  dotProductAttention,
  embedding,
  layerNorm,
  relativeBucket,
  rmsNorm,
  rotary,
  softmaxCrossEntropy,
} from '../../src/models/index.js';
import { readTorchFixture, testTorchFixture } from '../support/torchFixtures.js';

const named = (inputs: Readonly<Record<string, Value>>, name: string): Value =>
  inputs[name] as Value;

/** [b, heads, T, d] ↔ [b, T, heads, d] */
const swap = (x: Value) => transpose(x, [0, 2, 1, 3]);

testTorchFixture('layer_norm', (i, { eps }) => ({
  y: layerNorm({ scale: named(i, 'weight'), bias: named(i, 'bias') }, named(i, 'x'), eps),
}));

testTorchFixture('rms_norm', (i, { eps }) => ({
  y: rmsNorm({ scale: named(i, 'weight') }, named(i, 'x'), eps),
}));

testTorchFixture('embedding', (i) => ({
  y: embedding({ weight: named(i, 'weight') }, named(i, 'ids')),
}));

testTorchFixture('rope', (i, { theta }) => ({ y: swap(rotary(swap(named(i, 'x')), theta)) }));

testTorchFixture('attention', (i, { causal }) => {
  const { key_mask: keyMask, bias } = i;
  return {
    y: swap(
      dotProductAttention(swap(named(i, 'q')), swap(named(i, 'k')), swap(named(i, 'v')), {
        causal,
        mask: keyMask && equal(convert(keyMask, 'int'), 1),
        bias: bias && reshape(bias, bias.shape.slice(1)),
      }),
    ),
  };
});

testTorchFixture('cross_entropy', (i, attrs) => ({
  loss: softmaxCrossEntropy(named(i, 'logits'), named(i, 'target'), {
    labelSmoothing: attrs.label_smoothing,
    ignoreIndex: attrs.ignore_index,
    reduction: attrs.reduction,
  }),
}));

interface BucketCase {
  readonly bidirectional: boolean;
  readonly num_buckets: number;
  readonly max_distance: number;
  readonly relative_position: readonly [number, number];
  readonly bucket: readonly number[];
}

describe('T5 buckets of relative positions', () => {
  const { cases } = readTorchFixture<BucketCase>('t5_relative_buckets');
  test.each(cases.map((c) => [`${c.num_buckets} ${c.bidirectional}`, c] as const))('%s', (_, c) => {
    const [from, to] = c.relative_position;
    const found = Array.from({ length: to - from + 1 }, (_unused, i) =>
      relativeBucket(from + i, {
        buckets: c.num_buckets,
        maxDistance: c.max_distance,
        bidirectional: c.bidirectional,
      }),
    );
    expect(found).toEqual(c.bucket);
  });
});
