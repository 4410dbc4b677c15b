/** `flatlora evaluate`: metrics of a model, with an adapter or without. */
import { evaluateModel } from '../../finetune/index.js';
import {
  type Command,
  DATA_FLAGS,
  type Flag,
  onlyKnown,
  required,
  SHARED_FLAGS,
} from '../command.js';
import { EXIT } from '../exit.js';

const FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  SHARED_FLAGS.adapter,
  { field: 'data', kind: 'text', help: 'examples, as for finetune' },
  ...DATA_FLAGS,
  { field: 'batchSize', kind: 'number', help: 'examples at once (default: 16)' },
  SHARED_FLAGS.backend,
  SHARED_FLAGS.threads,
];

export const evaluateCommand: Command = {
  name: 'evaluate',
  summary: 'loss, accuracy, perplexity or exact matches on a file of examples',
  examples: ['flatlora evaluate --model ./llama --adapter run/best --data test.jsonl'],
  flags: FLAGS,
  run: async (given, { out }) => {
    onlyKnown(given, FLAGS);
    const { columns, template, target, label, pair, data, ...others } = given as Record<
      string,
      never
    >;
    const path = required({ data }, 'data');
    const evaluation = await evaluateModel({
      ...others,
      model: required(given, 'model'),
      data: { path, columns, template, target, label, pair },
    });
    out(evaluation, () =>
      [
        `${evaluation.examples} examples, ${evaluation.backend}`,
        ...Object.entries(evaluation.metrics).map(([name, x]) => `${name}: ${x.toPrecision(6)}`),
      ].join('\n'),
    );
    return EXIT.ok;
  },
};
