/**
 * The two programs that write text with a causal decoder: one reads prompts, one adds a token to each
 * text. Both keep keys and values on the device, in arrays whose length never changes.
 */
import {
  add,
  constant,
  FlatloraError,
  gather,
  type HostArray,
  hostArray,
  ints,
  iota,
  lt,
  mul,
  range,
  reshape,
  sub,
  treeMap,
  type Value,
} from '../autodiff/index.js';
import { type Backend, compile, type DeviceArray, download, release } from '../kernels/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  cachedDecoder,
  cachedEncoderDecoder,
  type EncoderDecoderConfig,
  type EncoderDecoderWeights,
  emptyCache,
  type KeyValueCache,
  type ReadSource,
  readSource,
} from '../models/index.js';

/**
 * Texts that are being written, as the device remembers them: a tree of arrays whose first axis counts
 * the texts.
 */
export type DeviceCache = unknown;

/** What to expect of the next token of each text, and the memory with which to go on. */
export interface Expected {
  /** One array of `vocabulary` logits for each text. */
  readonly logits: readonly ArrayLike<number>[];
  readonly cache: DeviceCache;
}

export interface DecoderPrograms {
  readonly backend: Backend;
  /** The most tokens that a text may have. */
  readonly length: number;
  /** How many of them stand before the first that is written. */
  readonly before: (prompt: readonly number[]) => number;
  /** The most tokens of a prompt. */
  readonly longestPrompt: number;
  /** Reads prompts of at least one token; the cache is the caller's to give to `step` or release. */
  readonly read: (weights: unknown, prompts: readonly (readonly number[])[]) => Promise<Expected>;
  /** Adds one token to each text. `positions` counts the tokens before it; the cache is given away. */
  readonly step: (
    weights: unknown,
    tokens: readonly number[],
    positions: readonly number[],
    cache: DeviceCache,
  ) => Promise<Expected>;
  /** The texts with these numbers, in this order, each as often as it is named; the cache is given away. */
  readonly reorder: (cache: DeviceCache, rows: readonly number[]) => Promise<DeviceCache>;
  readonly dispose: () => Promise<void>;
}

/** Prompts are padded to a multiple of this, so that few lengths need a program each. */
const PADDED_TO = 16;

/** The row of each text in which its last token stands: [b, T, V] and int [b] → [b, V]. */
function lastRows(logits: Value, lengths: Value): Value {
  const [batch, count, vocabulary] = logits.shape as readonly [number, number, number];
  const rows = add(mul(iota([batch], 0), count), sub(lengths, 1));
  return gather(reshape(logits, [batch * count, vocabulary]), rows);
}

/**
 * Compiles the programs when they are first used: `step` once for each number of texts, `read` also
 * for each padded length of prompts. Weights are arguments, so one pair of programs serves the
 * pre-trained model and every fine-tuned (merged) one.
 *
 * `length` is the most tokens of a text, prompt included; the model's `maxLength` by default. A step costs
 * time and memory in proportion to it.
 *
 * @throws FlatloraError 'argument' for a length that is no positive integer. A length beyond a table of
 *   learned positions is told when a program is compiled.
 */
export function decoderPrograms(
  config: CausalDecoderConfig,
  backend: Backend,
  { length = config.maxLength }: { readonly length?: number } = {},
): DecoderPrograms {
  if (!Number.isInteger(length) || length < 1) {
    throw new FlatloraError(
      'argument',
      `decoderPrograms: length is ${length}, expected a positive integer`,
    );
  }
  const decoder = cachedDecoder(config);
  const read = compile((weights: CausalDecoderWeights, tokens: Value, lengths: Value) => {
    const [batch] = tokens.shape as readonly [number];
    const empty = treeMap((x: HostArray) => constant(x), emptyCache(config, batch, length));
    const start = mul(lengths, 0);
    const { logits, cache } = decoder(weights, tokens, start, empty as unknown as KeyValueCache);
    return { logits: lastRows(logits, lengths), cache };
  }, backend);
  const step = compile(
    (weights: CausalDecoderWeights, tokens: Value, start: Value, old: KeyValueCache) => {
      const [batch] = tokens.shape as readonly [number];
      const { logits, cache } = decoder(weights, reshape(tokens, [batch, 1]), start, old);
      return { logits: reshape(logits, [batch, config.vocabulary]), cache };
    },
    backend,
    { donate: [3] },
  );

  const reorder = reordering(backend);
  const expected = expectedOf(config.vocabulary, backend);
  return {
    backend,
    length,
    longestPrompt: length,
    before: (prompt) => prompt.length,
    read: async (weights, prompts) => {
      const { tokens, lengths } = padded(prompts, length);
      return expected(await read(weights, tokens, lengths));
    },
    step: async (weights, tokens, positions, cache) =>
      expected(await step(weights, ints(tokens), ints(positions), cache)),
    reorder: (cache, rows) => reorder(cache, ints(rows)),
    dispose: async () => {
      await read.dispose();
      await step.dispose();
      await reorder.dispose();
    },
  };
}

/** Prompts as rows of one length, int [b, T], and the length of each. */
function padded(prompts: readonly (readonly number[])[], longest: number) {
  const most = Math.max(...prompts.map((prompt) => prompt.length));
  const length = Math.min(longest, Math.ceil(most / PADDED_TO) * PADDED_TO);
  const tokens = new Int32Array(prompts.length * length);
  for (const [row, prompt] of prompts.entries()) tokens.set(prompt, row * length);
  return {
    tokens: hostArray(tokens, [prompts.length, length]),
    lengths: ints(prompts.map((prompt) => prompt.length)),
  };
}

/** Logits on the host, the cache where it is. */
const expectedOf =
  (vocabulary: number, backend: Backend) =>
  async (result: unknown): Promise<Expected> => {
    const { logits, cache } = result as { logits: DeviceArray; cache: DeviceCache };
    const { data } = (await download(backend, logits)) as unknown as HostArray;
    release(backend, logits);
    const texts = range(data.length / vocabulary);
    return {
      logits: texts.map((row) => data.subarray(row * vocabulary, (row + 1) * vocabulary)),
      cache,
    };
  };

/** Rows of every array of a cache. */
const reordering = (backend: Backend) =>
  compile(
    (cache: unknown, rows: Value) =>
      treeMap((x: Value) => gather(x, rows), cache as Record<string, Value>),
    backend,
    { donate: [0] },
  );

/**
 * The same for an encoder–decoder: prompts are what is read, texts begin with a token of their own.
 *
 * `length` is the most tokens of a text, that first one included; `startToken` stands before the first
 * written token.
 */
export function encoderDecoderPrograms(
  config: EncoderDecoderConfig,
  backend: Backend,
  { length, startToken }: { readonly length: number; readonly startToken: number },
): DecoderPrograms {
  const reader = readSource(config);
  const decoder = cachedEncoderDecoder(config);
  const go = (
    weights: EncoderDecoderWeights,
    source: ReadSource,
    tokens: Value,
    start: Value,
    old: KeyValueCache,
  ) => {
    const [batch] = tokens.shape as readonly [number];
    const { logits, cache } = decoder(weights, source, reshape(tokens, [batch, 1]), start, old);
    return { logits: reshape(logits, [batch, config.vocabulary]), cache: { source, cache } };
  };
  const read = compile((weights: EncoderDecoderWeights, tokens: Value, lengths: Value) => {
    const [batch] = tokens.shape as readonly [number];
    const mask = lt(iota(tokens.shape, 1), reshape(lengths, [batch, 1]));
    const empty = treeMap((x: HostArray) => constant(x), emptyCache(config, batch, length));
    const source = reader(weights, tokens, mask);
    const start = mul(lengths, 0);
    return go(weights, source, add(start, startToken), start, empty as unknown as KeyValueCache);
  }, backend);
  const step = compile(
    (
      weights: EncoderDecoderWeights,
      tokens: Value,
      start: Value,
      { source, cache }: { source: ReadSource; cache: KeyValueCache },
    ) => go(weights, source, tokens, start, cache),
    backend,
    { donate: [3] },
  );
  const reorder = reordering(backend);
  const expected = expectedOf(config.vocabulary, backend);
  return {
    backend,
    length,
    longestPrompt: config.maxLength,
    before: () => 1,
    read: async (weights, prompts) => {
      const { tokens, lengths } = padded(prompts, config.maxLength);
      return expected(await read(weights, tokens, lengths));
    },
    step: async (weights, tokens, positions, cache) =>
      expected(await step(weights, ints(tokens), ints(positions), cache as never)),
    reorder: (cache, rows) => reorder(cache, ints(rows)),
    dispose: async () => {
      await read.dispose();
      await step.dispose();
      await reorder.dispose();
    },
  };
}
