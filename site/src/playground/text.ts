/** Text: a small decoder that was pre-trained on English learns the words and the tone of a reader's text. */
import {
  foldIn,
  hostArray,
  hostPermutation,
  key,
  mean,
  orThrow,
  sliceAxis,
} from '../../../src/autodiff/index.js';
import { decodeSafetensors, treeOfTensors } from '../../../src/checkpoints/index.js';
import { ARCHITECTURES } from '../../../src/huggingface/index.js';
import {
  type CausalDecoderWeights,
  causalDecoder,
  initCausalDecoder,
  softmaxCrossEntropy,
} from '../../../src/models/index.js';
import { OWN } from '../../../src/paper/decoder/ownConfig.js';
import { END, tokenizerFromJson } from '../../../src/tokenizers/index.js';
import type { Task, TaskOptions } from './task.js';

/** Tokens of one example. */
const WINDOW = 48;
const TEST_WINDOWS = 32;

export const readDecoderWeights = (file: Uint8Array): unknown =>
  orThrow(treeOfTensors(initCausalDecoder(OWN, key(0)), orThrow(decodeSafetensors(file)).tensors));

/** Rows of `WINDOW` tokens as one array. */
const rowsOf = (ids: readonly number[], rows: readonly number[]) => ({
  tokens: hostArray(
    Int32Array.from(rows.flatMap((row) => ids.slice(row * WINDOW, (row + 1) * WINDOW))),
    [rows.length, WINDOW],
  ),
});

const model = causalDecoder(OWN);

interface Batch {
  readonly tokens: never;
}

/** The mean loss of each row's tokens but the first, [b]. */
const rowLosses = (weights: CausalDecoderWeights, { tokens }: Batch) =>
  mean(
    softmaxCrossEntropy(
      sliceAxis(model(weights, tokens), 1, 0, WINDOW - 1),
      sliceAxis(tokens, 1, 1, WINDOW),
      { reduction: 'none' },
    ),
    1,
  );

/**
 * @param weights of `readDecoderWeights`.
 * @param tokenizer the content of decoder-tokenizer.json.
 * @throws Error, in a sentence, where the text is too short.
 */
export function textTask(
  weights: unknown,
  tokenizer: unknown,
  text: string,
  { examples, key: own }: TaskOptions,
): Task {
  const codec = orThrow(tokenizerFromJson(tokenizer));
  const ids = codec.encode(text, { specials: false });
  const windows = Math.floor(ids.length / WINDOW);
  if (windows < 8) {
    throw new Error(
      `the text has ${ids.length} tokens; at least ${8 * WINDOW} are needed, about ${32 * WINDOW} letters`,
    );
  }
  const order = Array.from(hostPermutation(foldIn(own, 1), windows));
  const trained = Math.min(examples, Math.floor(windows * 0.7));
  const end = codec.id(END);
  return {
    base: weights,
    loss: ((w: CausalDecoderWeights, batch: Batch) =>
      mean(rowLosses(w, batch))) as unknown as Task['loss'],
    perExample: ((w: CausalDecoderWeights, batch: Batch) => ({
      loss: rowLosses(w, batch),
    })) as unknown as Task['perExample'],
    train: rowsOf(ids, order.slice(0, trained)),
    test: rowsOf(ids, order.slice(trained, trained + TEST_WINDOWS)),
    batchSize: 8,
    targetModules: ['query', 'key', 'value', 'out', 'fc1', 'fc2', 'gate'],
    architecture: ARCHITECTURES.find(
      ({ name }) => name === 'LlamaForCausalLM',
    ) as Task['architecture'],
    config: {
      ...OWN,
      keyValueHeads: OWN.heads,
      headWidth: OWN.width / OWN.heads,
      biased: { queryKeyValue: false, out: false, mlp: false },
      headNorms: false,
    },
    probeSize: 8,
    surfacePoints: 9,
    ask: {
      kind: 'text',
      encode: (given) => [
        ...(end === undefined ? [] : [end]),
        ...codec.encode(given, { specials: false }),
      ],
      decode: (tokens) => codec.decode(tokens),
      decoder: OWN,
      maxLength: 160,
    },
  };
}
