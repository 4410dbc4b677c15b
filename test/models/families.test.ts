/** The three families: shapes, masks, symmetries, checkpoints, initial weights. */
import fc from 'fast-check';
import {
  equal,
  type HostArray,
  hostArray,
  hostPermutation,
  ints,
  key,
  range,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import {
  type CausalDecoderConfig,
  causalDecoder,
  type EncoderDecoderConfig,
  encode,
  encoderDecoder,
  initCausalDecoder,
  initEncoderDecoder,
  initStack,
  initVisionTransformer,
  parameterCount,
  parameterNames,
  resolveConfig,
  type StackWeights,
  sinusoidalTable,
  stack,
  type VisionTransformerConfig,
  visionTransformer,
} from '../../src/models/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { gaussian, redrawn, rows } from './support.js';

const tokens = (seed: number, batch: number, length: number, vocabulary: number) =>
  ints(
    Array.from(hostPermutation(key(seed), batch * length), (n) => n % vocabulary),
    [batch, length],
  );

const choices = fc.record({
  norm: fc.constantFrom('layerNorm' as const, 'rmsNorm' as const),
  normPlacement: fc.constantFrom('pre' as const, 'post' as const),
  activation: fc.constantFrom('gelu' as const, 'geluTanh' as const, 'silu' as const),
  gatedMlp: fc.boolean(),
  biases: fc.boolean(),
  keyValueHeads: fc.constantFrom(1, 2),
});

describe('the configuration of the main job', () => {
  const config: VisionTransformerConfig = {
    imageSize: 16,
    patchSize: 4,
    width: 64,
    depth: 4,
    heads: 4,
    classes: 10,
  };
  const weights = initVisionTransformer(config, key(0));

  test('parameters and their names', () => {
    // Per block 4·64·65 + 64·257 + 256·65 + … as counted by hand: 49,984.
    expect(parameterCount(weights)).toBe(17 * 64 + 64 + 17 * 64 + 4 * 49_984 + 2 * 64 + 650);
    expect(parameterNames(weights)).toContain('blocks.3.attention.query.weight');
    expect(parameterNames(weights)).toContain('blocks.0.mlp.fc1.bias');
    expect(parameterNames(weights)).toContain('patchEmbedding.weight');
    expect(weights.head.weight.shape).toEqual([10, 64]);
  });

  test('initial weights: float32, by key alone, Xavier and truncated', () => {
    const again = initVisionTransformer(config, key(0));
    const other = initVisionTransformer(config, key(1));
    const all = (w: unknown) => treeLeaves<HostArray>(w).map(toNumbers);
    expect(all(again)).toEqual(all(weights));
    expect(all(other)).not.toEqual(all(weights));
    expect(treeLeaves<HostArray>(weights).every((x) => x.data instanceof Float32Array)).toBe(true);
    const matrix = toNumbers(weights.blocks[0]?.mlp.fc1.weight as HostArray);
    const limit = Math.sqrt(6 / (64 + 256));
    expect(Math.max(...matrix.map(Math.abs))).toBeLessThanOrEqual(limit);
    // 16,384 uniform numbers: variance limit²/3, standard error of the estimate 0.7 %; five of them.
    const meanSquare = matrix.reduce((s, x) => s + x * x, 0) / matrix.length;
    expect(Math.abs((3 * meanSquare) / limit ** 2 - 1)).toBeLessThan(0.035);
    const positions = toNumbers(weights.positionEmbedding?.weight as HostArray);
    expect(Math.max(...positions.map(Math.abs))).toBeLessThanOrEqual(Math.fround(0.04));
    expect(new Set(positions).size).toBeGreaterThan(1000);
    expect(new Set(all(weights).map(String)).size).toBeGreaterThan(26);
  });
});

test('ViT: odd batches, oblong images, channels, both poolings', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 3 }),
      fc.constantFrom(1, 3),
      fc.constantFrom('classToken' as const, 'mean' as const),
      choices,
      (batch, high, wide, channels, pooling, extra) => {
        const config: VisionTransformerConfig = {
          ...extra,
          imageSize: [high * 3, wide * 3],
          patchSize: 3,
          channels,
          classes: 5,
          width: 12,
          depth: 2,
          heads: 2,
          mlpWidth: 7,
          pooling,
        };
        const weights = redrawn(initVisionTransformer(config, key(1)), 2);
        const shape = [batch, high * 3, wide * 3, ...(channels === 1 ? [] : [channels])];
        const images = gaussian(3, shape);
        const all = run(visionTransformer(config), weights, images)[0] as HostArray;
        expect(all.shape).toEqual([batch, 5]);
        // Each image is classified by itself.
        const last = floats(rows(images, batch - 1, batch), [1, ...shape.slice(1)]);
        const alone = numbers(visionTransformer(config), weights, last);
        expect(relativeError(rows(all, batch - 1, batch), alone)).toBeLessThan(1e-12);
      },
    ),
    { numRuns: runs(30) },
  );
});

test('keeping the first tokens of the last block changes none of their numbers', () => {
  fc.assert(
    fc.property(choices, fc.integer({ min: 1, max: 5 }), (extra, keep) => {
      const config = resolveConfig({ ...extra, width: 8, depth: 2, heads: 2, positions: 'rotary' });
      const weights = redrawn(initStack(config, key(1), { maxLength: 5 }), 4);
      const [whole, part] = run(
        (w: StackWeights, x: Value) => [stack(config, w, x), stack(config, w, x, { keep })],
        weights,
        gaussian(5, [2, 5, 8]),
      ) as [HostArray, HostArray];
      expect(part.shape).toEqual([2, keep, 8]);
      const first = range(2).flatMap((b) => toNumbers(whole).slice(b * 40, b * 40 + keep * 8));
      expect(toNumbers(part)).toEqual(first);
    }),
    { numRuns: runs(20) },
  );
});

describe('causal decoder', () => {
  test('a later token never changes an earlier logit, bit for bit', () => {
    fc.assert(
      fc.property(
        choices,
        fc.constantFrom('learned' as const, 'sinusoidal' as const, 'rotary' as const),
        fc.integer({ min: 1, max: 6 }),
        (extra, positions, at) => {
          const config: CausalDecoderConfig = {
            ...extra,
            positions,
            vocabulary: 11,
            maxLength: 8,
            width: 8,
            depth: 2,
            heads: 2,
          };
          const weights = redrawn(initCausalDecoder(config, key(2)), 6);
          const ids = tokens(1, 2, 7, 11);
          const changed = ints(
            toNumbers(ids).map((id, i) => (i % 7 >= at ? (id + 3) % 11 : id)),
            [2, 7],
          );
          const f = causalDecoder(config);
          const [a, b] = [ids, changed].map((x) => run(f, weights, x)[0] as HostArray) as [
            HostArray,
            HostArray,
          ];
          expect(a.shape).toEqual([2, 7, 11]);
          for (const batch of [0, 1]) {
            const [from, to] = [batch * 7 * 11, (batch * 7 + at) * 11];
            expect(toNumbers(b).slice(from, to)).toEqual(toNumbers(a).slice(from, to));
            const next = toNumbers(a).slice(to, to + 11);
            expect(toNumbers(b).slice(to, to + 11)).not.toEqual(next);
          }
        },
      ),
      { numRuns: runs(25) },
    );
  });

  test('what stands under the padding mask changes nothing, bit for bit', () => {
    const config: CausalDecoderConfig = {
      vocabulary: 9,
      maxLength: 6,
      width: 8,
      depth: 2,
      heads: 2,
      tiedHead: true,
    };
    const weights = redrawn(initCausalDecoder(config, key(2)), 7);
    expect('head' in weights).toBe(false);
    const mask = hostArray(Uint8Array.from([0, 0, 1, 1, 1, 1]), [1, 6]);
    const f = (w: never, ids: Value, m: Value) => causalDecoder(config)(w, ids, { mask: m });
    const [a, b] = [
      [1, 2, 3, 4, 5, 6],
      [7, 8, 3, 4, 5, 6],
    ].map((ids) => numbers(f, weights, ints(ids, [1, 6]), mask)) as [number[], number[]];
    expect(a.every(Number.isFinite)).toBe(true);
    expect(b.slice(2 * 9)).toEqual(a.slice(2 * 9));
  });
});

describe('encoder–decoder', () => {
  const config: EncoderDecoderConfig = {
    vocabulary: 13,
    maxLength: 7,
    width: 8,
    depth: 1,
    encoderDepth: 2,
    heads: 2,
    positions: 'sinusoidal',
  };
  const weights = redrawn(initEncoderDecoder(config, key(3)), 8);
  const f = (w: never, source: Value, target: Value, seen: Value) =>
    encoderDecoder(config)(w, { source, target, sourceMask: equal(seen, 1) });
  const logits = (source: readonly number[], target: readonly number[], seen: readonly number[]) =>
    numbers(
      f,
      weights,
      ints(source, [1, source.length]),
      ints(target, [1, target.length]),
      ints(seen, [1, seen.length]),
    );

  test('causal in the target, blind to padding in the source, not to the rest', () => {
    const base = logits([1, 2, 3, 4], [5, 6, 7], [1, 1, 1, 0]);
    expect(base).toHaveLength(3 * 13);
    expect(logits([1, 2, 3, 9], [5, 6, 7], [1, 1, 1, 0])).toEqual(base);
    expect(logits([1, 2, 3, 4], [5, 6, 8], [1, 1, 1, 0]).slice(0, 26)).toEqual(base.slice(0, 26));
    expect(logits([1, 9, 3, 4], [5, 6, 7], [1, 1, 1, 0])).not.toEqual(base);
    expect(relativeError(logits([1, 2, 3], [5, 6, 7], [1, 1, 1]), base)).toBeLessThan(1e-12);
  });

  test('without positions the encoder is equivariant under permutations', () => {
    const bare = { ...config, positions: 'none' as const };
    const inOrder = [4, 1, 12, 7, 0];
    const order = [3, 0, 4, 2, 1];
    const g = (w: never, ids: Value) => encode(bare)(w, ids);
    const memory = (ids: number[]) => {
      const all = numbers(g, weights, ints(ids, [1, 5]));
      return range(5).map((t) => all.slice(8 * t, 8 * t + 8));
    };
    const plain = memory(inOrder);
    const permuted = memory(order.map((i) => inOrder[i] as number));
    expect(
      relativeError(
        permuted.flat(),
        order.flatMap((i) => plain[i] as number[]),
      ),
    ).toBeLessThan(1e-12);
    const positioned = (w: never, ids: Value) => encode(config)(w, ids);
    const a = numbers(positioned, weights, ints([1, 1], [1, 2]));
    expect(a.slice(0, 8)).not.toEqual(a.slice(8));
  });
});

test('sinusoidal positions as published', () => {
  const table = sinusoidalTable(3, 5);
  expect(table.get(2, 0)).toBe(Math.sin(2));
  expect(table.get(2, 1)).toBe(Math.cos(2));
  expect(table.get(2, 2)).toBeCloseTo(Math.sin(2 / 10_000 ** (2 / 5)), 15);
  expect(table.get(1, 4)).toBeCloseTo(Math.sin(1 / 10_000 ** (4 / 5)), 15);
});
