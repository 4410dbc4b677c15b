/** Cells of the decoder experiments, each method's settings, and the search for them. */

import type { MethodSettings } from '../../finetune/methods.js';
import {
  type Changes,
  each,
  methodSettingsOf,
  rates,
  settingsFrom,
  trialSearch,
} from '../cells.js';
import type { Cell, Surroundings } from '../experiment.js';
import type { Settings } from '../search.js';
import type { TaskName } from './data.js';
import { TARGET_MODULES } from './model.js';

/** The experiment that both take their settings from. */
export const SEARCHED = 'table-3';

/** stories260K, and the decoder that was pre-trained here. */
export type ModelName = 'stories' | 'own';

/** Rank, α and σ are the paper's; the learning rates are those of a small model. */
export const settingsOf = settingsFrom({
  searched: SEARCHED,
  start: { learningRate: 1e-2, rank: 8, alpha: 16 },
  sigma: 0.05,
  others: { full: { learningRate: 2e-3 } },
});

export const METHODS = [
  { label: 'Full fine-tuning', where: { method: 'full' } },
  { label: 'LoRA, r 8', where: { method: 'lora' } },
  { label: 'Flat-LoRA, r 8', where: { method: 'flat-lora' } },
] as const;

/** A task on a model. */
export interface Adaptation {
  readonly model: ModelName;
  readonly task: TaskName;
}

export const on = (model: ModelName, ...tasks: readonly TaskName[]): readonly Adaptation[] =>
  tasks.map((task) => ({ model, task }));

export const decoderCell = (
  { quick }: Pick<Surroundings, 'quick'>,
  { model, task }: Adaptation,
  method: string,
  seed: number,
  changes: Changes = {},
): Cell => ({
  model,
  task,
  method,
  seed,
  ...settingsOf(method),
  steps: quick ? 4 : 300,
  examples: quick ? 24 : 1000,
  batchSize: quick ? 4 : 16,
  ...changes,
});

/** Settings of a cell that are no settings of its method. */
const OF_THE_RUN = ['model', 'task', 'method', 'seed', 'steps', 'examples', 'batchSize', 'trial'];

export const methodSettings = (cell: Cell): MethodSettings =>
  methodSettingsOf(cell, TARGET_MODULES, OF_THE_RUN);

const TRIALS: Readonly<Record<string, readonly Settings[]>> = {
  full: rates(5e-4, 1e-3, 2e-3, 4e-3),
  lora: rates(3e-3, 1e-2, 2e-2, 4e-2),
  'flat-lora': each('sigma', 0.02, 0.05, 0.1, 0.2),
};

/** By the validation loss of a task on each model. */
export const decoderSearch = trialSearch(
  TRIALS,
  [...on('stories', 'shakespeare'), ...on('own', 'two-step')],
  settingsOf,
  decoderCell,
);
