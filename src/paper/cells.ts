/** What all families of experiments do alike with cells and with the settings of methods. */

import { hasMethod, type MethodSettings } from '../finetune/methods.js';
import type { Cell, Search, Surroundings } from './experiment.js';
import { foundSettings, type Settings } from './search.js';

/** What a cell may say besides task, method and seed. */
export type Changes = Readonly<Record<string, string | number>>;

const FLAT = 'flat-';

/** Where a family of experiments takes its settings from. */
export interface SettingsSource {
  /** The experiment that was searched for. */
  readonly searched: string;
  /** Before a search: of LoRA and of whatever says nothing else. */
  readonly start: Settings;
  /** σ before a search. */
  readonly sigma: number;
  /** Where LoRA's learning rate would not do, before a search. */
  readonly others: Readonly<Record<string, Settings>>;
}

/**
 * A method's settings: what the search found, else the ones to start from. A `flat-` version has the
 * settings of the method itself and the σ of `flat-lora`, so that nothing but the noise differs.
 */
export const settingsFrom = (source: SettingsSource) => {
  const settingsOf = (method: string): Settings => {
    const found = foundSettings(source.searched);
    if (method.startsWith(FLAT)) {
      return {
        ...settingsOf(method.slice(FLAT.length)),
        sigma: found['flat-lora']?.sigma ?? source.sigma,
      };
    }
    return { ...source.start, ...found.lora, ...source.others[method], ...found[method] };
  };
  return settingsOf;
};

/** Whether the search has tried settings for a method; those of a flat version are the method's own. */
export const wasSearched = (searched: string, method: string): boolean =>
  foundSettings(searched)[method.replace(FLAT, '')] !== undefined;

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

/** Before settings that only one method knows: `option.gamma`. */
const OPTION = 'option.';

/**
 * The method's settings in a cell; those that only one method knows become its options.
 * @param ofTheRun what else such cells say.
 */
export function methodSettingsOf(
  cell: Cell,
  targetModules: MethodSettings['targetModules'],
  ofTheRun: readonly string[],
): MethodSettings {
  const { learningRate, rank, alpha, sigma, rho, on, ...others } = Object.fromEntries(
    Object.entries(cell).filter(([name]) => !ofTheRun.includes(name)),
  ) as Record<string, number> & { on?: MethodSettings['on'] };
  return {
    learningRate: learningRate as number,
    targetModules,
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

/** One trial for each value of a setting. */
export const each = (name: string, ...values: readonly number[]): readonly Settings[] =>
  values.map((value) => ({ [name]: value }));

/** One trial for each learning rate. */
export const rates = (...values: readonly number[]): readonly Settings[] =>
  each('learningRate', ...values);

/** Seeds that no experiment uses. */
const SEARCH_SEEDS = [100, 101];

/**
 * A search over the trials of each method, scored on the validation examples of a few tasks. Methods
 * that are LoRA with one thing more name that thing alone and keep LoRA's learning rate: run the search
 * twice, so that LoRA's rate is known when theirs are tried.
 */
export function trialSearch<T>(
  trials: Readonly<Record<string, readonly Settings[]>>,
  tasks: readonly T[],
  settingsOf: (method: string) => Settings,
  cellOf: (
    surroundings: Surroundings,
    task: T,
    method: string,
    seed: number,
    changes: Changes,
  ) => Cell,
  seeds: readonly number[] = SEARCH_SEEDS,
): Search {
  const inFull = (tried: Settings): Settings => ({
    learningRate: settingsOf('lora').learningRate as number,
    ...tried,
  });
  return {
    cells: (surroundings) =>
      Object.entries(trials)
        .filter(([method]) => hasMethod(method))
        .flatMap(([method, tried]) =>
          tried.flatMap((settings, trial) =>
            someTasks(tasks, surroundings).flatMap((task) =>
              seeds.map((seed) =>
                cellOf(surroundings, task, method, seed, { ...inFull(settings), trial }),
              ),
            ),
          ),
        ),
    trial: (cell) => {
      const names = Object.keys(inFull(trials[cell.method as string]?.[0] ?? {}));
      return {
        method: cell.method as string,
        settings: Object.fromEntries(names.map((name) => [name, cell[name] as number])),
      };
    },
    score: 'validation',
  };
}
