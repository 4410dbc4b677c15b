/** Figure 4: accuracy on test images that were corrupted, severities 1 to 5. */
import { seedsOf, someTasks } from '../cells.js';
import { differencePoint, lines, plainPoints, pointsOver } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { difference, differencesTable, type Line, resultsTable } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { corrupted, TASK_FOLDERS, TASK_LABELS, type TaskName } from '../vision/data.js';
import {
  evaluateOn,
  measureCell,
  prepareVision,
  trainCell,
  type VisionPremises,
} from '../vision/run.js';
import { ACCURACY, SAME_SET_UP, taskLines } from '../vision/texts.js';

const TASKS: readonly TaskName[] = ['fashion-mnist', 'semeion'];
const METHODS: readonly Line[] = [
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
];
const SEVERITIES = [0, 1, 2, 3, 4, 5];

const measureOf = (severity: number) => (severity === 0 ? 'accuracy' : `corrupted${severity}`);
const severityText = (severity: number) => (severity === 0 ? 'clean' : `severity ${severity}`);
/** The gains that the paper names. */
const PAPER: Readonly<Record<number, string>> = { 1: '+1.38', 5: '+3.56' };
const severityTicks = SEVERITIES.map((at) => ({ at, text: at === 0 ? 'clean' : String(at) }));

export const figure4: Experiment<VisionPremises> = {
  name: 'figure-4',
  counterpart: 'Figure 4: CIFAR-100-C, five severities of corruption',
  departures: [
    'Nine corruptions of grey images in the manner of CIFAR-10-C (noise, blur, contrast, occlusion, …), image i under corruption i mod 9.',
    SAME_SET_UP,
  ],
  data: TASKS.map((task) => TASK_FOLDERS[task]),
  cells: (surroundings) =>
    someTasks(TASKS, surroundings).flatMap((task) =>
      METHODS.flatMap(({ where }) =>
        seedsOf(surroundings).map((seed) =>
          visionCell(surroundings, task, String(where.method), seed),
        ),
      ),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    const run = await trainCell(cell, premises, context);
    if (run === undefined) return undefined;
    const sets = corrupted(run.data.test);
    const on = await evaluateOn(
      run.tuned.merged,
      Object.fromEntries(sets.map((set, i) => [measureOf(i + 1), set])),
      context,
    );
    return {
      ...(await measureCell(run, context)),
      ...Object.fromEntries(Object.entries(on).map(([name, { accuracy }]) => [name, accuracy])),
    };
  },
  report: (results) =>
    taskLines(results).map(({ label, where }) => {
      const gain = (severity: number) =>
        difference(
          results,
          { method: 'flat-lora', ...where },
          { method: 'lora', ...where },
          measureOf(severity),
        );
      return {
        title: label,
        paragraphs: [],
        tables: [
          resultsTable(
            'Accuracy (%), mean ± sd over seeds',
            results,
            SEVERITIES.map((severity) => ({
              label: severityText(severity),
              where,
              measure: measureOf(severity),
            })),
            METHODS,
            ACCURACY,
          ),
          differencesTable(
            'Flat-LoRA minus LoRA (points), paired by seed',
            results,
            SEVERITIES.map((severity) => ({
              label: severityText(severity),
              a: { method: 'flat-lora', ...where },
              b: { method: 'lora', ...where },
              measure: measureOf(severity),
              paper: PAPER[severity] ?? '',
            })),
            ACCURACY,
          ),
        ],
        figures: [
          ...lines({
            id: `figure-4-${where.task}`,
            title: `Accuracy under corruption, ${label}`,
            caption: `${TASK_LABELS[where.task as TaskName]}: accuracy by severity, mean ± sd over seeds.`,
            xLabel: 'severity of corruption',
            yLabel: 'accuracy (%)',
            spread: 'bars',
            xTicks: severityTicks,
            series: METHODS.map((method, style) => ({
              label: method.label,
              style,
              points: SEVERITIES.flatMap((severity) =>
                pointsOver(
                  results,
                  [{ at: severity, where: { ...method.where, ...where } }],
                  measureOf(severity),
                  100,
                ),
              ),
            })),
          }),
          ...lines({
            id: `figure-4-gain-${where.task}`,
            title: `Gain under corruption, ${label}`,
            caption:
              'Flat-LoRA minus LoRA in points, with its 95 % interval; the paper names the gain at severities 1 and 5 (+1.38, +3.56).',
            xLabel: 'severity of corruption',
            yLabel: 'difference (points)',
            spread: 'bars',
            fromZero: true,
            xTicks: severityTicks,
            series: [
              {
                label: 'here',
                style: 0,
                points: SEVERITIES.flatMap((s) => differencePoint(s, gain(s), 100)),
              },
              {
                label: 'paper',
                style: 1,
                points: plainPoints([
                  [1, 1.38],
                  [5, 3.56],
                ]),
              },
            ],
          }),
        ],
      };
    }),
};
