/**
 * The search for the settings of the vision experiments: four trials for every method, on the
 * validation images of two tasks, with seeds that no experiment uses.
 */
import type { Cell, Search, Surroundings } from '../experiment.js';
import { hasMethod } from '../methods.js';
import type { Settings } from '../search.js';
import { settingsOf, visionCell } from './cells.js';
import type { TaskName } from './data.js';

const rates = (...values: readonly number[]): readonly Settings[] =>
  values.map((learningRate) => ({ learningRate }));

const each = (name: string, ...values: readonly number[]): readonly Settings[] =>
  values.map((value) => ({ [name]: value }));

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
const SEEDS = [100, 101];

/** A trial in full: LoRA's learning rate where the trial names none. */
const inFull = (tried: Settings): Settings => ({
  learningRate: settingsOf('lora').learningRate as number,
  ...tried,
});

const cells = (surroundings: Surroundings): readonly Cell[] =>
  Object.entries(TRIALS)
    .filter(([method]) => hasMethod(method))
    .flatMap(([method, trials]) =>
      trials.flatMap((tried, trial) =>
        (surroundings.quick ? TASKS.slice(0, 1) : TASKS).flatMap((task) =>
          SEEDS.map((seed) =>
            visionCell(surroundings, task, method, seed, { ...inFull(tried), trial }),
          ),
        ),
      ),
    );

export const visionSearch: Search = {
  cells,
  trial: (cell) => {
    const names = Object.keys(inFull(TRIALS[cell.method as string]?.[0] ?? {}));
    return {
      method: cell.method as string,
      settings: Object.fromEntries(names.map((name) => [name, cell[name] as number])),
    };
  },
  score: 'validation',
};
