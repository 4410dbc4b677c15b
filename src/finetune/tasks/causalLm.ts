/** Fine-tuning a causal language model: plain texts, or prompts with what is to be written after them. */
import {
  convert,
  equal,
  FlatloraError,
  reduceSum,
  select,
  sliceAxis,
} from '../../autodiff/index.js';
import { cut, packedRows, paddedRows, type TokenSequence } from '../../data/index.js';
import { type CausalLmBatch, causalLm } from '../../huggingface/tasks.js';
import {
  type CausalDecoderConfig,
  type CausalDecoderWeights,
  softmaxCrossEntropy,
} from '../../models/index.js';
import type { Tokenizer } from '../../tokenizers/index.js';
import { blankBooleans, blankInts } from './blank.js';
import { fixedRows, ragged } from './examples.js';
import { filled, knownField, recordsOf } from './records.js';
import type { DataSource, ModelAids, TaskKind } from './types.js';

/** A prompt's tokens; what the tokenizer puts behind a whole text is left away. */
export function promptTokens(
  tokenizer: Tokenizer,
  prompt: string,
  endToken: number | undefined,
): readonly number[] {
  const ids = tokenizer.encode(prompt);
  return ids.at(-1) === endToken && endToken !== undefined ? ids.slice(0, -1) : ids;
}

/** Fields that plain texts and prompts are looked for in. */
const PLAIN = ['text', 'content'];
const PROMPT = ['prompt', 'instruction', 'question', 'input'];
const RESPONSE = ['response', 'completion', 'output', 'answer', 'target'];

async function sequencesOf(
  source: DataSource,
  { tokenizer: load, endToken, limits }: ModelAids,
): Promise<readonly TokenSequence[]> {
  const records = await recordsOf(source);
  const tokenizer = await load();
  const end = endToken === undefined ? [] : [endToken];
  const hole = (names: readonly string[]) => {
    const field = knownField(records, names);
    return field === undefined ? undefined : `{${field}}`;
  };
  const target = source.target ?? hole(RESPONSE);
  const template = source.template ?? (target === undefined ? hole(PLAIN) : hole(PROMPT));
  if (template === undefined) {
    throw new FlatloraError(
      'data',
      `${source.path}: no field ${[...PLAIN, ...PROMPT].join(', ')}; say with --template what is read`,
    );
  }
  const prompts = filled(source, records, template);
  if (target === undefined) {
    return prompts.map((text) =>
      cut({ ids: [...promptTokens(tokenizer, text, endToken), ...end], from: 0 }, limits.maxLength),
    );
  }
  const responses = filled(source, records, target);
  return prompts.map((prompt, i) => {
    const before = promptTokens(tokenizer, prompt, endToken);
    // What is written goes on from the prompt, with a space where there is none.
    const response = tokenizer.encode(responses[i] as string, { specials: false });
    return cut({ ids: [...before, ...response, ...end], from: before.length }, limits.maxLength);
  });
}

export const causalLmTask: TaskKind<CausalDecoderWeights, CausalLmBatch> = {
  task: 'causal-lm',
  model: causalLm,
  load: async (source, aids) => {
    const sequences = await sequencesOf(source, aids);
    const { limits, padToken = aids.endToken ?? 0 } = aids;
    if (limits.pack) return fixedRows({ ...packedRows(sequences, limits.maxLength) });
    return ragged(
      sequences,
      ({ ids }) => ids.length,
      limits.buckets,
      (some, length) => ({ ...paddedRows(some, length, padToken) }),
    );
  },
  blank: (_, batchSize, { maxLength: length }) => ({
    tokens: blankInts(batchSize, length),
    labels: blankInts(batchSize, length),
    mask: blankBooleans(batchSize, length),
  }),
  perExample: (config: CausalDecoderConfig) => {
    const { outputs } = causalLm(config);
    return (weights, batch) => {
      const length = batch.labels.shape[1] as number;
      const labels = sliceAxis(batch.labels, 1, 1, length);
      const losses = softmaxCrossEntropy(
        sliceAxis(outputs(weights, batch), 1, 0, length - 1),
        labels,
        { reduction: 'none' },
      );
      return {
        sum: reduceSum(losses, 1),
        count: reduceSum(convert(select(equal(labels, -100), 0, 1), 'float'), 1),
      };
    };
  },
  metrics: ({ sum = Number.NaN, count = Number.NaN }) => ({
    loss: sum / count,
    perplexity: Math.exp(sum / count),
  }),
  best: { metric: 'loss', higher: false },
  targetModules: ({ gatedMlp }: CausalDecoderConfig) =>
    gatedMlp === true
      ? ['query', 'key', 'value', 'out', 'fc1', 'fc2', 'gate']
      : ['query', 'key', 'value', 'out', 'fc1', 'fc2'],
};
