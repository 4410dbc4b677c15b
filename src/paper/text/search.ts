/**
 * The search for the settings of the text experiments: as many trials for every method, on the
 * validation examples of two tasks, with seeds that no experiment uses.
 */
import type { Cell, Search, Surroundings } from '../experiment.js';
import { hasMethod } from '../methods.js';
import type { Settings } from '../search.js';
import { settingsOf, textCell } from './cells.js';
import type { TaskName } from './data.js';

const each = (name: string, ...values: readonly number[]): readonly Settings[] =>
  values.map((value) => ({ [name]: value }));
const rates = (...values: readonly number[]) => each('learningRate', ...values);

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
            textCell(surroundings, task, method, seed, { ...inFull(tried), trial }),
          ),
        ),
      ),
    );

export const textSearch: Search = {
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
