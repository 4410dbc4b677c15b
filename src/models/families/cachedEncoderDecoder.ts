/**
 * The encoder–decoder with its memory outside: what was read is turned into keys and values once, what
 * was written lies in arrays of a fixed length, so that one more token costs one token's work.
 */
import {
  add,
  constant,
  FlatloraError,
  gather,
  ints,
  iota,
  lt,
  moveAxis,
  range,
  reshape,
  showAval,
  sliceAxis,
  type Value,
  widened,
} from '../../autodiff/index.js';
import type { KeyValues } from '../layers/attention.js';
import { embedding } from '../layers/embedding.js';
import { linear } from '../layers/linear.js';
import { relativeBucket } from '../layers/relativeBias.js';
import type { ResolvedConfig } from '../transformer/config.js';
import { blockInputs, type StackWeights } from '../transformer/stack.js';
import { type CachedStep, cachedStack, type KeyValueCache } from './cachedDecoder.js';
import { tokenLogits } from './causalDecoder.js';
import {
  type EncoderDecoderConfig,
  type EncoderDecoderWeights,
  encode,
  sides,
} from './encoderDecoder.js';

/** What was read, as the decoder's blocks look at it. */
export interface ReadSource<V = Value> {
  /** Keys and values of each block, [b, S, keyValueHeads, headWidth]. */
  readonly blocks: readonly KeyValues<V>[];
  /** Bool [b, S], false at padding. */
  readonly mask: V;
}

/** Reads sources, int [b, S] with their mask, bool [b, S]. */
export function readSource(
  config: EncoderDecoderConfig,
): (weights: EncoderDecoderWeights, source: Value, mask: Value) => ReadSource {
  const { keyValueHeads, headWidth } = sides(config).decoder;
  const encoder = encode(config);
  return (weights, source, mask) => {
    const memory = encoder(weights, source, { mask });
    const [batch, length] = source.shape as readonly [number, number];
    const shape = [batch, length, keyValueHeads, headWidth];
    return {
      mask,
      blocks: weights.decoder.blocks.map(({ crossAttention }) => {
        if (crossAttention === undefined) {
          throw new FlatloraError('tree', 'readSource: a block has no crossAttention');
        }
        return {
          keys: reshape(linear(crossAttention.key, memory), shape),
          values: reshape(linear(crossAttention.value, memory), shape),
        };
      }),
    };
  };
}

/** The rows start … start + T − 1 of the bias of relative positions, [heads, T, length]. */
function biasRows(
  { positions, relativeMaxDistance: maxDistance }: ResolvedConfig,
  { relativeBias: table }: StackWeights,
  start: Value,
  count: number,
  length: number,
): Value | undefined {
  if (positions !== 'relative' || table === undefined) return undefined;
  const buckets = table.weight.shape[0] as number;
  const bucketOf = range(length).flatMap((t) =>
    range(length).map((s) => relativeBucket(s - t, { buckets, maxDistance, bidirectional: false })),
  );
  // Texts are written side by side, so the place of the first one is that of all.
  const at = add(sliceAxis(start, 0, 0, 1), iota([count], 0));
  const rows = gather(constant(ints(bucketOf, [length, length])), at);
  return moveAxis(widened(gather(table.weight, rows)), 2, 0);
}

/**
 * The next `T` tokens of each text, int [b, T], all of which stand at the same place `start`, int [b]:
 * logits for them, and the cache (`emptyCache` at first) with them in it.
 * @throws FlatloraError when tokens or start are not int or do not fit the cache.
 */
export function cachedEncoderDecoder(
  config: EncoderDecoderConfig,
): (
  weights: EncoderDecoderWeights,
  source: ReadSource,
  tokens: Value,
  start: Value,
  cache: KeyValueCache,
) => CachedStep {
  const { decoder } = sides(config);
  return (weights, source, tokens, start, cache) => {
    const [batch, count] = tokens.shape as readonly [number, number];
    const length = cache[0]?.keys.shape[1] ?? 0;
    const fits =
      cache.length === weights.decoder.blocks.length &&
      cache[0]?.keys.shape[0] === batch &&
      start.dtype === 'int' &&
      start.shape.join() === String(batch) &&
      count <= length;
    if (!fits) {
      throw new FlatloraError(
        'shape',
        `cachedEncoderDecoder: tokens ${showAval(tokens)}, start ${showAval(start)} and a cache of ${cache.length} blocks with keys ${cache[0] ? showAval(cache[0].keys) : 'missing'}, expected int[b,T], int[b] and ${weights.decoder.blocks.length} blocks with at least T rows`,
      );
    }
    const at = add(reshape(start, [batch, 1]), iota([batch, count], 1));
    const positions = { at, below: length };
    const seen = [batch, count, length];
    const mask = lt(iota(seen, 2), add(reshape(at, [batch, count, 1]), 1));
    const bias = biasRows(decoder, weights.decoder, start, count, length);
    const embedded = embedding(weights.tokenEmbedding, tokens);
    const { out, cache: remembered } = cachedStack(
      decoder,
      weights.decoder,
      blockInputs(decoder, weights.decoder, embedded, positions),
      start,
      cache,
      (block) => ({
        mask,
        positions,
        bias,
        memoryKeyValues: source.blocks[block],
        memoryMask: source.mask,
      }),
    );
    return { logits: tokenLogits(config, weights, out), cache: remembered };
  };
}
