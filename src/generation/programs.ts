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
  emptyCache,
  type KeyValueCache,
} from '../models/index.js';

/** Texts that are being written, as the device remembers them. */
export type DeviceCache = KeyValueCache<DeviceArray>;

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
  /** Reads prompts of at least one token; the cache is the caller's to give to `step` or release. */
  readonly read: (weights: unknown, prompts: readonly (readonly number[])[]) => Promise<Expected>;
  /** Adds one token to each text. `positions` counts the tokens before it; the cache is given away. */
  readonly step: (
    weights: unknown,
    tokens: readonly number[],
    positions: readonly number[],
    cache: DeviceCache,
  ) => Promise<Expected>;
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
 * @param options.length the most tokens of a text, prompt included; the model's `maxLength` by default.
 *   A step costs time and memory in proportion to it.
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

  const expected = async (result: unknown): Promise<Expected> => {
    const { logits, cache } = result as { logits: DeviceArray; cache: DeviceCache };
    const { data } = (await download(backend, logits)) as unknown as HostArray;
    release(backend, logits);
    const size = config.vocabulary;
    const texts = range(data.length / size);
    return { logits: texts.map((row) => data.subarray(row * size, (row + 1) * size)), cache };
  };
  return {
    backend,
    length,
    read: async (weights, prompts) => {
      const longest = Math.max(...prompts.map((prompt) => prompt.length));
      const padded = Math.min(length, Math.ceil(longest / PADDED_TO) * PADDED_TO);
      const tokens = new Int32Array(prompts.length * padded);
      for (const [row, prompt] of prompts.entries()) tokens.set(prompt, row * padded);
      const lengths = ints(prompts.map((prompt) => prompt.length));
      return expected(await read(weights, hostArray(tokens, [prompts.length, padded]), lengths));
    },
    step: async (weights, tokens, positions, cache) =>
      expected(await step(weights, ints(tokens), ints(positions), cache)),
    dispose: async () => {
      await read.dispose();
      await step.dispose();
    },
  };
}
