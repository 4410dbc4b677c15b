/** Fine-tuning an encoder–decoder: a text is read, another is written. */
import {
  argmax,
  convert,
  equal,
  FlatloraError,
  hostArray,
  reduceSum,
  select,
} from '../../autodiff/index.js';
import { IGNORED } from '../../data/index.js';
import { type Seq2SeqBatch, type Seq2SeqConfig, seq2seqLm } from '../../huggingface/tasks.js';
import { type EncoderDecoderWeights, softmaxCrossEntropy } from '../../models/index.js';
import { blankBooleans, blankInts } from './blank.js';
import { ragged } from './examples.js';
import { filled, knownField, recordsOf } from './records.js';
import type { TaskKind } from './types.js';

const SOURCE = ['source', 'input', 'prompt', 'question', 'text'];
const TARGET = ['target', 'output', 'response', 'completion', 'answer', 'label'];

interface Pair {
  readonly source: readonly number[];
  readonly target: readonly number[];
}

/** Rows of one length, with what stands where a sequence has ended. */
function rows(sequences: readonly (readonly number[])[], length: number, filler: number) {
  const data = new Int32Array(sequences.length * length).fill(filler);
  for (const [i, ids] of sequences.entries()) data.set(ids, i * length);
  return hostArray(data, [sequences.length, length]);
}

/** The beginning of a text with its last token, the end, kept. */
const shortened = (ids: readonly number[], longest: number): readonly number[] =>
  ids.length <= longest ? ids : [...ids.slice(0, longest - 1), ids.at(-1) as number];

export const seq2seqLmTask: TaskKind<EncoderDecoderWeights, Seq2SeqBatch> = {
  task: 'seq2seq-lm',
  model: seq2seqLm,
  load: async (source, { tokenizer: load, limits, padToken = 0 }) => {
    const records = await recordsOf(source);
    const hole = (given: string | undefined, names: readonly string[], flag: string) => {
      const field = knownField(records, names);
      const template = given ?? (field === undefined ? undefined : `{${field}}`);
      if (template !== undefined) return filled(source, records, template);
      throw new FlatloraError(
        'data',
        `${source.path}: no field ${names.join(', ')}; say with --${flag} what is meant`,
      );
    };
    const sources = hole(source.template, SOURCE, 'template');
    const targets = hole(source.target, TARGET, 'target');
    const tokenizer = await load();
    const pairs = sources.map(
      (text, i): Pair => ({
        source: shortened(tokenizer.encode(text), limits.maxLength),
        target: shortened(tokenizer.encode(targets[i] as string), limits.maxTargetLength),
      }),
    );
    const written = Math.max(...pairs.map(({ target }) => target.length));
    return ragged(
      pairs,
      (pair) => pair.source.length,
      limits.buckets,
      (some, length) => {
        const read = rows(
          some.map((pair) => pair.source),
          length,
          padToken,
        );
        const mask = new Uint8Array(some.length * length);
        for (const [i, pair] of some.entries()) {
          mask.fill(1, i * length, i * length + pair.source.length);
        }
        return {
          source: read,
          sourceMask: hostArray(mask, [some.length, length]),
          labels: rows(
            some.map(({ target }) => target),
            written,
            IGNORED,
          ),
        };
      },
    );
  },
  blank: (_, batchSize, { maxLength, maxTargetLength }) => ({
    source: blankInts(batchSize, maxLength),
    sourceMask: blankBooleans(batchSize, maxLength),
    labels: blankInts(batchSize, maxTargetLength),
  }),
  perExample: (config: Seq2SeqConfig) => {
    const { outputs } = seq2seqLm(config);
    return (weights, batch) => {
      const logits = outputs(weights, batch);
      const { labels } = batch;
      const wrong = convert(
        select(equal(labels, IGNORED), 0, select(equal(argmax(logits, 2), labels), 0, 1)),
        'float',
      );
      return {
        sum: reduceSum(softmaxCrossEntropy(logits, labels, { reduction: 'none' }), 1),
        count: reduceSum(convert(select(equal(labels, IGNORED), 0, 1), 'float'), 1),
        exact: convert(equal(reduceSum(wrong, 1), 0), 'float'),
      };
    };
  },
  metrics: ({ sum = Number.NaN, count = Number.NaN, exact = Number.NaN }) => ({
    loss: sum / count,
    exact,
  }),
  best: { metric: 'loss', higher: false },
  targetModules: ({ gatedMlp }: Seq2SeqConfig) =>
    gatedMlp === true
      ? ['query', 'key', 'value', 'out', 'fc1', 'fc2', 'gate']
      : ['query', 'key', 'value', 'out', 'fc1', 'fc2'],
};
