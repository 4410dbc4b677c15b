/** Figures A1c and A1d: losses and their gap over the course of training, MRPC. */

import { orThrow } from '../../autodiff/index.js';
import { seedsOf } from '../cells.js';
import { curvesOver, lines } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { differencesTable, measuresTable } from '../tables.js';
import { textCell } from '../text/cells.js';
import {
  firstOf,
  measureCell,
  PROBE,
  prepareText,
  scorer,
  type TextPremises,
  trainCell,
} from '../text/run.js';
import { foldersOf, SAME_SET_UP } from '../text/texts.js';

const TASK = 'mrpc';
const METHODS = [
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
];

const CURVES = [
  { measure: 'trainCurve', name: 'training loss', caption: 'Training loss, without noise' },
  { measure: 'testCurve', name: 'test loss', caption: 'Test loss' },
  { measure: 'gapCurve', name: 'test − training loss', caption: 'The gap between the two losses' },
] as const;

type Curve = [number, number][];

/** What the paper says of each measure under Flat-LoRA. */
const MEASURES = [
  { measure: 'trainLoss', label: 'Training loss', paper: 'higher' },
  { measure: 'testLoss', label: 'Test loss', paper: 'lower' },
  { measure: 'gap', label: 'Gap', paper: 'smaller' },
];

export const figureA1Text: Experiment<TextPremises> = {
  name: 'figure-a1-text',
  counterpart: 'Figure A1c–d: losses and the generalisation gap during training, MRPC',
  departures: [
    'Losses are those of the merged weights, without noise, over the words of the two classes, on 256 training examples and on the test set, six times in a run.',
    SAME_SET_UP,
  ],
  data: foldersOf([TASK]),
  cells: (surroundings) =>
    METHODS.flatMap(({ where }) =>
      seedsOf(surroundings).map((seed) => textCell(surroundings, TASK, where.method, seed)),
    ),
  prepare: prepareText,
  run: async (cell, premises, context) => {
    const { score, dispose } = scorer(await premises.task(TASK), context);
    const [trainCurve, testCurve, gapCurve]: [Curve, Curve, Curve] = [[], [], []];
    const run = await trainCell(cell, premises, context, {
      every: Math.max(1, Math.floor((cell.steps as number) / 6)),
      look: async ({ adapters, adapter, base, examples, data }, step) => {
        const merged = orThrow(adapter.merge(base, adapters));
        const train = (await score(merged, firstOf(examples, PROBE))).loss;
        const test = (await score(merged, data.test)).loss;
        trainCurve.push([step, train]);
        testCurve.push([step, test]);
        gapCurve.push([step, test - train]);
      },
    });
    await dispose();
    return run && { ...(await measureCell(run, context)), trainCurve, testCurve, gapCurve };
  },
  report: (results) => [
    {
      title: 'MRPC',
      paragraphs: [],
      tables: [
        measuresTable(
          'At the end, mean ± sd over seeds',
          results,
          METHODS,
          MEASURES.map(({ label, measure }) => ({ label, measure, format: 'significant' })),
        ),
        differencesTable(
          'Flat-LoRA minus LoRA, paired by seed',
          results,
          MEASURES.map(({ label, measure, paper }) => ({
            label,
            measure,
            paper,
            a: { method: 'flat-lora' },
            b: { method: 'lora' },
          })),
          { measure: 'gap', format: 'significant' },
        ),
      ],
      figures: CURVES.flatMap(({ measure, name, caption }) =>
        lines({
          id: `figure-a1-text-${measure}`,
          title: caption,
          caption: `${caption}, mean ± sd over seeds.`,
          xLabel: 'optimiser step',
          yLabel: name,
          spread: 'band',
          fromZero: true,
          series: METHODS.map(({ label, where }, style) => ({
            label,
            style,
            points: curvesOver(results, where, measure),
          })),
        }),
      ),
    },
  ],
};
