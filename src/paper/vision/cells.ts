/** Cells of the vision experiments: what is the same for all of them, and each method's settings. */
import type { Cell, Surroundings } from '../experiment.js';
import type { MethodSettings } from '../methods.js';
import { foundSettings, type Settings } from '../search.js';
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
  return { ...START, ...found.lora, ...OTHER_STARTS[method], ...found[method] };
}

const NAMES: Readonly<Record<string, string>> = {
  learningRate: 'learning rate',
  alpha: 'α',
  sigma: 'σ',
  rho: 'ρ',
};

/** "learning rate 0.01, rank 8, α 16". */
export const settingsText = (settings: Changes): string =>
  Object.entries(settings)
    .map(([name, value]) => `${NAMES[name] ?? name} ${value}`)
    .join(', ');

/** Whether the search has tried settings for a method; those of a flat version are the method's own. */
export const isSearched = (method: string): boolean =>
  foundSettings(SEARCHED)[method.replace(FLAT, '')] !== undefined;

/** What a cell may say besides task, method and seed. */
export type Changes = Readonly<Record<string, string | number>>;

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

/** Before settings that only one method knows: `option.gamma`. */
const OPTION = 'option.';

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
    options: Object.fromEntries(
      Object.entries(others).map(([name, value]) => [name.replace(OPTION, ''), value]),
    ),
  };
}

/** The tasks, or in the quick form the first of them. */
export const someTasks = <T>(tasks: readonly T[], { quick }: Surroundings): readonly T[] =>
  quick ? tasks.slice(0, 1) : tasks;

/** 0, 1, …: the seeds. */
export const seedsOf = ({ seeds }: Surroundings): readonly number[] =>
  Array.from({ length: seeds }, (_, i) => i);
