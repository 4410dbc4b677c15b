/** Beyond the paper: Flat-LoRA beside later rivals, at equal steps and at equal time. */

import { hasMethod, methodLabel } from '../../finetune/methods.js';
import { seedsOf, someTasks } from '../cells.js';
import type { Experiment } from '../experiment.js';
import { differencesTable, type Line, resultsTable, type Where } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS, type TaskName } from '../vision/data.js';
import { prepareVision, runCell, type VisionPremises } from '../vision/run.js';
import { ACCURACY, SAME_SET_UP, taskLines } from '../vision/texts.js';

const TASKS: readonly TaskName[] = ['fashion-mnist'];

/** Time of a step over LoRA's: Table 7 as committed in docs/results, no less than LoRA's. */
const TIMES: Readonly<Record<string, number>> = {
  lora: 1,
  'flat-lora': 1.06,
  'lpf-sgd': 1.01,
  'bi-lora': 1.1,
  'efm-lora': 1,
  ggpo: 1.07,
  mgpo: 1,
  sam: 2.3,
};

const METHODS = Object.keys(TIMES);
const STEPS = 200;
const BUDGETS: readonly { readonly label: string; readonly budget: string }[] = [
  { label: 'equal steps', budget: 'steps' },
  { label: 'equal time', budget: 'time' },
];

/** Steps in the time of so many steps of LoRA. */
const stepsIn = (method: string, budget: string, steps: number): number =>
  budget === 'steps' ? steps : Math.round(steps / (TIMES[method] as number));

export const beyondRivals: Experiment<VisionPremises> = {
  name: 'beyond-rivals',
  counterpart: 'Beyond the paper: Bi-LoRA, EFMLoRA, LoRA-GGPO and LoRA-MGPO',
  departures: [
    `Equal time: as many steps as fit into the time of ${STEPS} of LoRA's, by the ratios of Table 7 as measured here (${METHODS.map((name) => `${methodLabel(name)} ${TIMES[name]}`).join(', ')}).`,
    SAME_SET_UP,
  ],
  data: TASKS.map((task) => TASK_FOLDERS[task]),
  cells: (surroundings) =>
    someTasks(TASKS, surroundings).flatMap((task) =>
      METHODS.filter(hasMethod).flatMap((method) =>
        (surroundings.quick ? BUDGETS.slice(0, 1) : BUDGETS).flatMap(({ budget }) =>
          seedsOf(surroundings).map((seed) =>
            visionCell(surroundings, task, method, seed, {
              budget,
              steps: stepsIn(method, budget, surroundings.quick ? 6 : STEPS),
            }),
          ),
        ),
      ),
    ),
  prepare: prepareVision,
  run: runCell,
  report: (results) => {
    const rows: readonly Line[] = METHODS.filter(hasMethod).map((method) => ({
      label: methodLabel(method),
      where: { method },
    }));
    return BUDGETS.map(({ label, budget }) => {
      const where: Where = { budget };
      return {
        title: `At ${label}`,
        paragraphs: [],
        tables: [
          resultsTable(
            'Accuracy (%), mean ± sd over seeds',
            results,
            rows.map((row) => ({ ...row, where: { ...row.where, ...where } })),
            taskLines(results),
            ACCURACY,
          ),
          differencesTable(
            'Flat-LoRA minus each other method (points), paired by task and seed',
            results,
            rows
              .filter((row) => row.where.method !== 'flat-lora')
              .map((row) => ({
                label: `Flat-LoRA − ${row.label}`,
                a: { method: 'flat-lora', ...where },
                b: { ...row.where, ...where },
              })),
            ACCURACY,
          ),
        ],
        figures: [],
      };
    });
  },
};
