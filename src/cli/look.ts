/** Flags of the commands that look at a loss, and what they mean. */
import type { LookOptions } from '../finetune/index.js';
import { DATA_FLAGS, type Flag, required, SHARED_FLAGS } from './command.js';

export const LOOK_FLAGS: readonly Flag[] = [
  SHARED_FLAGS.model,
  SHARED_FLAGS.adapter,
  { field: 'data', kind: 'text', help: 'examples, as for finetune' },
  ...DATA_FLAGS,
  { field: 'examples', kind: 'number', help: 'how many examples, the first ones (default: 64)' },
  { field: 'batchSize', kind: 'number', help: 'examples at once (default: 16)' },
  SHARED_FLAGS.seed,
  SHARED_FLAGS.backend,
  SHARED_FLAGS.threads,
];

export function lookOptions(given: Readonly<Record<string, unknown>>): LookOptions {
  const { columns, template, target, label, pair, data, ...others } = given as Readonly<
    Record<string, never>
  >;
  return {
    ...others,
    model: required(given, 'model'),
    data: { path: required({ data }, 'data'), columns, template, target, label, pair },
  };
}
