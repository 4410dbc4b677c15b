/** Cells of the decoder experiments, each method's settings, and the search for them. */
import type { Cell, Search, Surroundings } from '../experiment.js';
import type { MethodSettings } from '../methods.js';
import { foundSettings, type Settings } from '../search.js';
import type { TaskName } from './data.js';
import { TARGET_MODULES } from './model.js';

/** The experiment that both take their settings from. */
export const SEARCHED = 'table-3';

/** Rank, α and σ are the paper's; the learning rates are those of a small model. */
const START: Settings = { learningRate: 1e-2, rank: 8, alpha: 16 };
const SIGMA = 0.05;
const FULL: Settings = { learningRate: 2e-3 };

export const METHODS = [
  { label: 'Full fine-tuning', where: { method: 'full' } },
  { label: 'LoRA, r 8', where: { method: 'lora' } },
  { label: 'Flat-LoRA, r 8', where: { method: 'flat-lora' } },
] as const;

/**
 * What the search found, else the settings to start from; Flat-LoRA has LoRA's and a σ, so that nothing
 * but the noise differs.
 */
export function settingsOf(method: string): Settings {
  const found = foundSettings(SEARCHED);
  switch (method) {
    case 'full':
      return { ...FULL, ...found.full };
    case 'flat-lora':
      return { ...settingsOf('lora'), sigma: found['flat-lora']?.sigma ?? SIGMA };
    default:
      return { ...START, ...found.lora };
  }
}

export const decoderCell = (
  { quick }: Pick<Surroundings, 'quick'>,
  task: TaskName,
  method: string,
  seed: number,
  changes: Settings = {},
): Cell => ({
  task,
  method,
  seed,
  ...settingsOf(method),
  steps: quick ? 4 : 300,
  examples: quick ? 24 : 1000,
  batchSize: quick ? 4 : 16,
  ...changes,
});

/** The method's settings in a cell. */
export function methodSettings(cell: Cell): MethodSettings {
  const { learningRate, rank, alpha, sigma } = cell as Readonly<Record<string, number>>;
  return {
    learningRate: learningRate as number,
    targetModules: TARGET_MODULES,
    ...(rank !== undefined && { rank }),
    ...(alpha !== undefined && { alpha }),
    ...(sigma !== undefined && { sigma }),
  };
}

const TRIALS: Readonly<Record<string, readonly Settings[]>> = {
  full: [5e-4, 1e-3, 2e-3, 4e-3].map((learningRate) => ({ learningRate })),
  lora: [3e-3, 1e-2, 2e-2, 4e-2].map((learningRate) => ({ learningRate })),
  'flat-lora': [0.02, 0.05, 0.1, 0.2].map((sigma) => ({ sigma })),
};

const TRIAL_TASKS: readonly TaskName[] = ['shakespeare', 'one-step'];
const TRIAL_SEEDS = [100, 101];

/** By the validation loss of two tasks, with seeds that no experiment uses. */
export const decoderSearch: Search = {
  cells: (surroundings) =>
    Object.entries(TRIALS).flatMap(([method, trials]) =>
      trials.flatMap((tried, trial) =>
        TRIAL_TASKS.flatMap((task) =>
          TRIAL_SEEDS.map((seed) =>
            decoderCell(surroundings, task, method, seed, { ...tried, trial }),
          ),
        ),
      ),
    ),
  trial: ({ method, learningRate, sigma }) => ({
    method: method as string,
    settings: {
      learningRate: learningRate as number,
      ...(sigma !== undefined && { sigma: sigma as number }),
    },
  }),
  score: 'validation',
};
