/** Cells of Figure 3: the paper's settings, and what each run draws. */

import type { MethodSettings } from '../../finetune/methods.js';
import type { Cell, Search, Surroundings } from '../experiment.js';
import { foundSettings, type Settings } from '../search.js';
import { TARGET_MODULES } from './model.js';

/** The experiment whose settings were searched for. */
const SEARCHED = 'figure-3';

/** Classes that no training image shows: does the style reach them? */
export const WITHHELD: readonly number[] = [2, 5, 8];
export const SHOWN: readonly number[] = [0, 1, 3, 4, 6, 7, 9];

/** Section 4.5 of the paper: rank and α 4, σ 0.1. The learning rate is searched for. */
const START: Settings = { learningRate: 3e-3, rank: 4, alpha: 4 };
export const SIGMA = 0.1;

export const settingsOf = (method: string): Settings => ({
  ...START,
  ...(method.startsWith('flat-') && { sigma: SIGMA }),
  ...foundSettings(SEARCHED)[method],
});

/** Not trained: the model as it was pre-trained, and real images in the style in place of drawn ones. */
export const UNTRAINED = ['before', 'real'];

/** Steps of training: the paper's 500 and, to see what more of it does, four times as many. */
export const lengths = ({ quick }: Pick<Surroundings, 'quick'>): readonly [number, number] =>
  quick ? [4, 8] : [500, 2000];

/** σ of the sweep; 0 is LoRA. */
export const SIGMAS: readonly number[] = [0.05, 0.1, 0.2];

/** 500 steps of one image, 23 images: Section 4.5. */
export const styleCell = (
  surroundings: Pick<Surroundings, 'quick'>,
  method: string,
  seed: number,
  changes: Settings = {},
): Cell => ({
  method,
  seed,
  ...(UNTRAINED.includes(method) ? {} : settingsOf(method)),
  steps: lengths(surroundings)[0],
  images: 23,
  perClass: surroundings.quick ? 2 : 20,
  samplingSteps: surroundings.quick ? 2 : 20,
  guidance: 2,
  ...changes,
});

export function methodSettings(cell: Cell): MethodSettings {
  const { learningRate, rank, alpha, sigma } = cell as Record<string, number>;
  return {
    learningRate: learningRate as number,
    targetModules: TARGET_MODULES,
    ...(rank !== undefined && { rank }),
    ...(alpha !== undefined && { alpha }),
    ...(sigma !== undefined && { sigma }),
  };
}

/** Both lengths, without noise and with each σ; the quick form has the paper's σ and length alone. */
export function styleCells(surroundings: Surroundings): readonly Cell[] {
  const { quick, seeds } = surroundings;
  const conditions = (quick ? lengths(surroundings).slice(0, 1) : lengths(surroundings)).flatMap(
    (steps) => [
      { method: 'lora', steps },
      ...(quick ? [SIGMA] : SIGMAS).map((sigma) => ({ method: 'flat-lora', steps, sigma })),
    ],
  );
  return [
    ...UNTRAINED.map((method) => styleCell(surroundings, method, 0)),
    ...conditions.flatMap(({ method, ...changes }) =>
      Array.from({ length: seeds }, (_, seed) => styleCell(surroundings, method, seed, changes)),
    ),
  ];
}

/** Learning rates, the same for every method; σ is the paper's. */
const RATES = [3e-4, 1e-3, 3e-3, 1e-2];
/** Seeds that the experiment does not use. */
const SEARCH_SEEDS = [100, 101];

/** Four trials for each method, scored against validation images. */
export const styleSearch: Search = {
  cells: (surroundings) =>
    ['lora', 'flat-lora'].flatMap((method) =>
      RATES.flatMap((learningRate) =>
        SEARCH_SEEDS.map((seed) => styleCell(surroundings, method, seed, { learningRate })),
      ),
    ),
  trial: (cell) => ({
    method: cell.method as string,
    settings: { learningRate: cell.learningRate as number },
  }),
  score: 'validation',
};
