/**
 * The causal decoder with its memory outside: keys and values of all tokens so far lie in arrays of a
 * fixed length, so that writing one more token costs one token's work and always the same program.
 *
 * What a token's keys and values are depends on the tokens before it alone, so none has to be computed
 * twice. Pope et al., "Efficiently scaling transformer inference", 2022, describe the practice.
 */
import {
  add,
  FlatloraError,
  gather,
  type HostArray,
  iota,
  lt,
  mul,
  range,
  reshape,
  select,
  showAval,
  sub,
  type Value,
} from '../../autodiff/index.js';
import { filled } from '../initialisers.js';
import type { KeyValues } from '../layers/attention.js';
import { embedding } from '../layers/embedding.js';
import { type BlockInputs, blockWithKeyValues } from '../transformer/block.js';
import { type ResolvedConfig, resolveConfig } from '../transformer/config.js';
import { blockInputs, lastNorm, type StackWeights } from '../transformer/stack.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  tokenLogits,
} from './causalDecoder.js';

/** Keys and values of every block, each [b, length, keyValueHeads, headWidth]. */
export type KeyValueCache<V = Value> = readonly KeyValues<V>[];

/** A cache on the host that remembers nothing yet, for `batch` texts of up to `length` tokens. */
export function emptyCache(
  config: CausalDecoderConfig,
  batch: number,
  length: number,
): KeyValueCache<HostArray> {
  const { depth, keyValueHeads, headWidth } = resolveConfig(config);
  const zeros = () => filled([batch, length, keyValueHeads, headWidth], 0);
  return range(depth).map(() => ({ keys: zeros(), values: zeros() }));
}

/** How a text goes on, and what is remembered of it. */
export interface CachedStep {
  /** [b, T, vocabulary] */
  readonly logits: Value;
  readonly cache: KeyValueCache;
}

/**
 * `old` [b, S, …] with rows 0 … T − 1 of `fresh` [b, T, …] written to rows start … start + T − 1;
 * those that fall outside are dropped. Each row of the result is looked up, so it is one kernel.
 */
function written(old: Value, fresh: Value, start: Value): Value {
  const [batch, length, ...rest] = old.shape as readonly [number, number, ...number[]];
  const count = fresh.shape[1] as number;
  const row = sub(iota([batch, length], 1), reshape(start, [batch, 1]));
  const place = add(row, mul(iota([batch, length], 0), count));
  const source = select(lt(row, 0), -1, select(lt(row, count), place, -1));
  const rows = gather(reshape(fresh, [batch * count, ...rest]), source);
  const isFresh = reshape(lt(-1, source), [batch, length, ...rest.map(() => 1)]);
  return select(isFresh, rows, old);
}

/**
 * Tokens x [b, T, width] through all blocks, their keys and values written into the cache from row
 * `start` [b] on, and the last norm. `inputs` says what else block i is given.
 */
export function cachedStack(
  config: ResolvedConfig,
  weights: StackWeights,
  x: Value,
  start: Value,
  cache: KeyValueCache,
  inputs: (block: number) => BlockInputs,
): { readonly out: Value; readonly cache: KeyValueCache } {
  const remembered: KeyValues[] = [];
  let hidden = x;
  for (const [i, blockWeights] of weights.blocks.entries()) {
    const old = cache[i] as KeyValues;
    const { out, keyValues } = blockWithKeyValues(config, blockWeights, hidden, {
      ...inputs(i),
      remember: (fresh) => ({
        keys: written(old.keys, fresh.keys, start),
        values: written(old.values, fresh.values, start),
      }),
    });
    remembered.push(keyValues);
    hidden = out;
  }
  return { out: lastNorm(config, weights, hidden), cache: remembered };
}

/**
 * The next `T` tokens of each text: logits for them, and the cache with them in it. With an empty cache
 * and start 0 this reads a prompt; with T = 1 it writes a text token by token.
 *
 *     const { logits, cache } = cachedDecoder(config)(weights, tokens, start, cache);
 *
 * `tokens` are int [b, T]; `start` int [b] says how many tokens of each text are in the cache. What the
 * cache holds from there on is never looked at, so prompts of different lengths may be padded at their
 * ends: go on from each prompt's own length.
 *
 * @throws FlatloraError when tokens or start are not int or do not fit the cache.
 */
export function cachedDecoder(
  config: CausalDecoderConfig,
): (
  weights: CausalDecoderWeights,
  tokens: Value,
  start: Value,
  cache: KeyValueCache,
) => CachedStep {
  const resolved = resolveConfig(config);
  return (weights, tokens, start, cache) => {
    const [batch, count] = tokens.shape as readonly [number, number];
    const length = cache[0]?.keys.shape[1] ?? 0;
    const fits =
      cache.length === weights.blocks.length &&
      cache[0]?.keys.shape[0] === batch &&
      start.dtype === 'int' &&
      start.shape.length === 1 &&
      start.shape[0] === batch &&
      count <= length;
    if (!fits) {
      throw new FlatloraError(
        'shape',
        `cachedDecoder: tokens ${showAval(tokens)}, start ${showAval(start)} and a cache of ${cache.length} blocks with keys ${cache[0] ? showAval(cache[0].keys) : 'missing'}, expected int[b,T], int[b] and ${weights.blocks.length} blocks with at least T rows`,
      );
    }
    const at = add(reshape(start, [batch, 1]), iota([batch, count], 1));
    const positions = { at, below: length };
    // Token t sees what stands at its own place or before it.
    const seen = [batch, count, length];
    const own = reshape(at, [batch, count, 1]);
    const before = lt(iota(seen, 2), add(own, 1));
    const { slidingWindow } = resolved;
    const mask =
      slidingWindow === undefined || slidingWindow >= length
        ? before
        : lt(select(before, sub(own, iota(seen, 2)), slidingWindow), slidingWindow);

    const embedded = embedding(weights.tokenEmbedding, tokens);
    const { out, cache: remembered } = cachedStack(
      resolved,
      weights,
      blockInputs(resolved, weights, embedded, positions),
      start,
      cache,
      () => ({ mask, positions }),
    );
    return { logits: tokenLogits(config, weights, out), cache: remembered };
  };
}
