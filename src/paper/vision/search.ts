/**
 * The search for the settings of the vision experiments: four trials for every method, on the
 * validation images of two tasks, with seeds that no experiment uses.
 */
import { each, rates, trialSearch } from '../cells.js';
import type { Settings } from '../search.js';
import { settingsOf, visionCell } from './cells.js';
import type { TaskName } from './data.js';

/** Learning rates for methods that train factors; those of whole weights are ten times smaller. */
const FACTORS = rates(2e-3, 5e-3, 1e-2, 1.5e-2);
const WEIGHTS = rates(2e-4, 5e-4, 1e-3, 3e-3);

/**
 * What is tried. Methods that are LoRA with one thing more keep LoRA's learning rate, and that one
 * thing is tried: run the search twice, so that LoRA's rate is known when theirs are tried.
 */
const TRIALS: Readonly<Record<string, readonly Settings[]>> = {
  full: WEIGHTS,
  lora: FACTORS,
  rslora: FACTORS,
  'lora+': rates(5e-4, 1e-3, 3e-3, 6e-3),
  pissa: FACTORS,
  'lora-ga': FACTORS,
  dora: FACTORS,
  adalora: rates(5e-3, 1e-2, 2e-2, 5e-2),
  'lora-pro': rates(3e-4, 1e-3, 3e-3, 1e-2),
  obar: FACTORS,
  nbar: FACTORS,
  galore: rates(5e-4, 1e-3, 3e-3, 1e-2),
  corda: FACTORS,
  'flat-lora': each('sigma', 0.1, 0.2, 0.4, 0.8),
  'lora-sam': each('rho', 0.003, 0.01, 0.03, 0.1),
  sam: each('rho', 0.02, 0.05, 0.15, 0.5),
  'bi-lora': each('rho', 0.02, 0.05, 0.15, 0.5),
  'efm-lora': each('rho', 0.02, 0.05, 0.15, 0.5),
  ggpo: each('option.sigma', 0.01, 0.03, 0.1, 0.3),
  mgpo: each('rho', 0.02, 0.05, 0.15, 0.5),
  'lpf-sgd': each('option.gamma', 5e-4, 1e-3, 2e-3, 4e-3),
};

const TASKS: readonly TaskName[] = ['fashion-mnist', 'semeion'];

export const visionSearch = trialSearch(TRIALS, TASKS, settingsOf, visionCell);
