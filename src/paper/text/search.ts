/**
 * The search for the settings of the text experiments: as many trials for every method, on the
 * validation examples of two tasks, with a seed that no experiment uses.
 */
import { each, rates, trialSearch } from '../cells.js';
import type { Settings } from '../search.js';
import { settingsOf, textCell } from './cells.js';
import type { TaskName } from './data.js';

/** Learning rates for methods that train factors; those of whole weights are smaller. */
const FACTORS = rates(2e-3, 5e-3, 1e-2, 2e-2);
const WEIGHTS = rates(3e-4, 1e-3, 2e-3, 4e-3);

/** Methods that are LoRA with one thing more keep LoRA's learning rate; that one thing is tried. */
const TRIALS: Readonly<Record<string, readonly Settings[]>> = {
  full: WEIGHTS,
  lora: FACTORS,
  'lora+': rates(5e-4, 1e-3, 3e-3, 6e-3),
  pissa: FACTORS,
  'lora-ga': FACTORS,
  dora: FACTORS,
  adalora: FACTORS,
  'lora-pro': WEIGHTS,
  obar: FACTORS,
  nbar: FACTORS,
  galore: WEIGHTS,
  corda: FACTORS,
  'flat-lora': each('sigma', 0.05, 0.1, 0.2, 0.4),
  'lora-sam': each('rho', 0.003, 0.01, 0.03, 0.1),
  sam: each('rho', 0.02, 0.05, 0.15, 0.5),
};

const TASKS: readonly TaskName[] = ['sst2', 'mrpc'];

/** One: the runs of fifteen methods are many. */
const SEEDS = [100];

export const textSearch = trialSearch(TRIALS, TASKS, settingsOf, textCell, SEEDS);
