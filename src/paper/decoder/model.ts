/**
 * The decoders that are adapted: stories260K, a real pre-trained Llama of 260,000 parameters (Karpathy's
 * tinyllamas, trained on TinyStories of Eldan and Li 2023); one that this library pre-trained
 * (`pretrain.ts`); and for the quick form a tiny untrained one that reads bytes.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  convert,
  equal,
  type HostArray,
  key,
  type Loss,
  orThrow,
  reduceSum,
  select,
  type Value,
} from '../../autodiff/index.js';
import { LLAMA2C_BEGIN, readLlama2c, readLlama2cTokenizer } from '../../checkpoints/index.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  causalDecoder,
  initCausalDecoder,
  softmaxCrossEntropy,
} from '../../models/index.js';

/** Every linear layer of the blocks, as in the paper. */
export const TARGET_MODULES = ['query', 'key', 'value', 'out', 'fc1', 'fc2', 'gate'] as const;

export type Weights<V = Value> = CausalDecoderWeights<V>;

/** Text to tokens and back; `encode` adds no special tokens. */
export interface Codec {
  readonly encode: (text: string) => readonly number[];
  readonly decode: (ids: ArrayLike<number>) => string;
  /**
   * What stands before and behind every text. Both models were trained on texts joined with this token
   * alone, so they end a text by beginning another.
   */
  readonly boundary: number;
}

export interface Decoder {
  readonly config: CausalDecoderConfig;
  readonly weights: Weights<HostArray>;
  readonly tokenizer: Codec;
}

/** The folder of the data directory. */
export const FOLDER = 'stories260k';

export async function loadStories(dataDir: string): Promise<Decoder> {
  const file = async (name: string) =>
    new Uint8Array(await readFile(path.join(dataDir, FOLDER, name)));
  const { encode, decode } = orThrow(readLlama2cTokenizer(await file('tok512.bin'), 'tok512.bin'));
  return {
    ...orThrow(readLlama2c(await file('stories260K.bin'), 'stories260K.bin')),
    tokenizer: {
      encode,
      decode: (ids) => decode(Array.from(ids)),
      boundary: LLAMA2C_BEGIN,
    },
  };
}

const FIRST_BYTE = 3;

/** Bytes as tokens, under the ids that they have in llama2.c's tokenizers. */
const BYTES: Codec = {
  boundary: LLAMA2C_BEGIN,
  encode: (text) => [...new TextEncoder().encode(` ${text}`)].map((b) => b + FIRST_BYTE),
  decode: (ids) =>
    new TextDecoder()
      .decode(
        Uint8Array.from(
          Array.from(ids)
            .filter((id) => id >= FIRST_BYTE)
            .map((id) => id - FIRST_BYTE),
        ),
      )
      .replace(/^ /, ''),
};

/** A decoder of the same kind, small enough to be run in no time; nobody has trained it. */
export function toyDecoder(): Decoder {
  const config: CausalDecoderConfig = {
    width: 16,
    depth: 1,
    heads: 2,
    mlpWidth: 32,
    vocabulary: FIRST_BYTE + 256,
    maxLength: 512,
    activation: 'silu',
    gatedMlp: true,
    norm: 'rmsNorm',
    biases: false,
    positions: 'rotary',
    tiedHead: true,
  };
  return { config, weights: initCausalDecoder(config, key(0)), tokenizer: BYTES };
}

/** Token ids, and what is to come after each of them. */
export interface Batch<A = Value> {
  /** int [b, T] */
  readonly tokens: A;
  /** int [b, T]; `IGNORED` where nothing is asked: the prompt, and behind the text. */
  readonly targets: A;
}

export type HostBatch = Batch<HostArray>;

export const IGNORED = -100;

/** The mean cross-entropy of the tokens that are asked for, in nats. */
export const decoderLoss = (config: CausalDecoderConfig): Loss<Weights, Batch> => {
  const apply = causalDecoder(config);
  return (weights, { tokens, targets }) =>
    softmaxCrossEntropy(apply(weights, tokens), targets, { ignoreIndex: IGNORED });
};

/** For each example the sum of its tokens' cross-entropies, and their number. */
export const tokenLosses = (config: CausalDecoderConfig) => {
  const apply = causalDecoder(config);
  return (weights: Weights, { tokens, targets }: Batch): Readonly<Record<string, Value>> => {
    const losses = softmaxCrossEntropy(apply(weights, tokens), targets, {
      ignoreIndex: IGNORED,
      reduction: 'none',
    });
    const asked = select(equal(targets, IGNORED), 0, 1);
    return { sum: reduceSum(losses, -1), count: reduceSum(convert(asked, 'float'), -1) };
  };
};
