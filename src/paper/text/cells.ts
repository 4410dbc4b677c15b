/** Cells of the text experiments: what is the same for all of them, and each method's settings. */
import type { Cell, Surroundings } from '../experiment.js';
import type { MethodSettings } from '../methods.js';
import { foundSettings, type Settings } from '../search.js';
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

const FLAT = 'flat-';

/**
 * A method's settings: what the search found, else the ones to start from. A `flat-` version has the
 * settings of the method itself and the σ of `flat-lora`, so that nothing but the noise differs.
 */
export function settingsOf(method: string): Settings {
  const found = foundSettings(SEARCHED);
  if (method.startsWith(FLAT)) {
    return {
      ...settingsOf(method.slice(FLAT.length)),
      sigma: found['flat-lora']?.sigma ?? SIGMA,
    };
  }
  return { ...START, ...found.lora, ...OWN_START[method], ...found[method] };
}

/** What a cell may say besides task, method and seed. */
export type Changes = Readonly<Record<string, string | number>>;

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

/** Settings of a cell that are no settings of its method. */
const OF_THE_RUN = ['task', 'method', 'seed', 'steps', 'examples', 'batchSize', 'trial', 'way'];

/** The method's settings in a cell; those that only one method knows become its options. */
export function methodSettings(cell: Cell): MethodSettings {
  const { learningRate, rank, alpha, sigma, rho, on, ...others } = Object.fromEntries(
    Object.entries(cell).filter(([name]) => !OF_THE_RUN.includes(name)),
  ) as Record<string, number> & { on?: MethodSettings['on'] };
  return {
    learningRate: learningRate as number,
    targetModules: TARGET_MODULES,
    ...(rank !== undefined && { rank }),
    ...(alpha !== undefined && { alpha }),
    ...(sigma !== undefined && { sigma }),
    ...(rho !== undefined && { rho }),
    ...(on !== undefined && { on }),
    options: others,
  };
}
