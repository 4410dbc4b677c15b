/** Cells of the text experiments: what is the same for all of them, and each method's settings. */

import type { MethodSettings } from '../../finetune/methods.js';
import { type Changes, methodSettingsOf, settingsFrom } from '../cells.js';
import type { Cell, Surroundings } from '../experiment.js';
import type { Settings } from '../search.js';
import type { TaskName } from './data.js';
import { TARGET_MODULES } from './model.js';

/** The experiment that all of them take their settings from. */
export const SEARCHED = 'table-1';

/** Rank, α and σ as in Section 4.1. The learning rates are those of a small model. */
const START: Settings = { learningRate: 2e-3, rank: 8, alpha: 16 };
const SIGMA = 0.05;
/** Methods that train whole weights, or take steps in their space. */
const OWN_START: Readonly<Record<string, Settings>> = {
  full: { learningRate: 1e-3 },
  'lora+': { learningRate: 1e-3 },
  'lora-pro': { learningRate: 1e-3 },
  galore: { learningRate: 1e-3 },
  'lora-sam': { rho: 0.003 },
  sam: { rho: 0.05 },
};

export const settingsOf = settingsFrom({
  searched: SEARCHED,
  start: START,
  sigma: SIGMA,
  others: OWN_START,
});

/** A cell: the settings of the method, changed where asked. */
export const textCell = (
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
  steps: quick ? 5 : 150,
  examples: quick ? 40 : 1000,
  batchSize: quick ? 8 : 32,
  ...changes,
});

/** The same run, to be timed: its first steps, with the machine to itself. */
export const timed = (cell: Cell): Cell => ({
  ...cell,
  steps: Math.min(30, cell.steps as number),
  timed: 1,
});

export const isTimed = (cell: Cell): boolean => cell.timed !== undefined;

/** Settings of a cell that are no settings of its method. */
const OF_THE_RUN = [
  'task',
  'method',
  'seed',
  'steps',
  'examples',
  'batchSize',
  'trial',
  'way',
  'timed',
];

export const methodSettings = (cell: Cell): MethodSettings =>
  methodSettingsOf(cell, TARGET_MODULES, OF_THE_RUN);
