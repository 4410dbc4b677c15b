/** Cells of the vision experiments: what is the same for all of them, and each method's settings. */

import type { MethodSettings } from '../../finetune/methods.js';
import { type Changes, methodSettingsOf, settingsFrom, wasSearched } from '../cells.js';
import type { Cell, Surroundings } from '../experiment.js';
import type { Settings } from '../search.js';
import type { TaskName } from './data.js';
import { TARGET_MODULES } from './model.js';

/** The experiment that all of them take their settings from. */
export const SEARCHED = 'table-2';

/** Rank and α as in Section 4.1; the learning rate is that of the main job. */
const START: Settings = { learningRate: 1e-2, rank: 8, alpha: 16 };
/** σ before a search: Section 4.2's. */
const SIGMA = 0.15;

/** Where LoRA's learning rate would not do, before a search. */
const OTHER_STARTS: Readonly<Record<string, Settings>> = {
  'lora+': { learningRate: 1e-3 },
  'lora-pro': { learningRate: 1e-3 },
  galore: { learningRate: 1e-3 },
  adalora: { learningRate: 2e-2 },
};

export const settingsOf = settingsFrom({
  searched: SEARCHED,
  start: START,
  sigma: SIGMA,
  others: OTHER_STARTS,
});

/** See `wasSearched`. */
export const isSearched = (method: string): boolean => wasSearched(SEARCHED, method);

/** A cell: the settings of the method, changed where asked. */
export const visionCell = (
  { quick }: Pick<Surroundings, 'quick'>,
  task: TaskName,
  method: string,
  seed: number,
  changes: Changes = {},
): Cell => ({
  task,
  method,
  seed,
  ...settingsOf(method),
  steps: quick ? 6 : 200,
  perClass: quick ? 3 : 20,
  batchSize: quick ? 8 : 32,
  ...changes,
});

/** Settings of a cell that are no settings of its method. */
const OF_THE_RUN = [
  'task',
  'method',
  'seed',
  'steps',
  'perClass',
  'batchSize',
  'wrong',
  'trial',
  'way',
];

export const methodSettings = (cell: Cell): MethodSettings =>
  methodSettingsOf(cell, TARGET_MODULES, OF_THE_RUN);
