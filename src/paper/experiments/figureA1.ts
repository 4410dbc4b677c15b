/** Figure A1: training loss, test loss and their gap over the course of training. */

import { orThrow } from '../../autodiff/index.js';
import { evaluator } from '../../training/index.js';
import { seedsOf } from '../cells.js';
import { curvesOver, lines } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { differencesTable, measuresTable } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { scores } from '../vision/model.js';
import { measureCell, prepareVision, trainCell, type VisionPremises } from '../vision/run.js';
import { SAME_SET_UP } from '../vision/texts.js';

const METHODS = [
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
];

const CURVES = [
  { measure: 'trainCurve', name: 'training loss', caption: 'Training loss, without noise' },
  { measure: 'testCurve', name: 'test loss', caption: 'Test loss' },
  { measure: 'gapCurve', name: 'test − training loss', caption: 'The gap between the two losses' },
];

export const figureA1: Experiment<VisionPremises> = {
  name: 'figure-a1',
  counterpart: 'Figure A1: losses and the generalisation gap during training',
  departures: [
    'Losses are those of the merged weights, without noise, on all training images and on the validation and test images, ten times in a run.',
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    METHODS.flatMap(({ where }) =>
      seedsOf(surroundings).map((seed) =>
        visionCell(surroundings, 'fashion-mnist', where.method, seed),
      ),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    const steps = cell.steps as number;
    const { evaluate, dispose } = evaluator(scores, context.backend, { batchSize: 100 });
    const curves: Record<'trainCurve' | 'testCurve' | 'gapCurve', [number, number][]> = {
      trainCurve: [],
      testCurve: [],
      gapCurve: [],
    };
    const run = await trainCell(cell, premises, context, {
      every: Math.max(1, Math.floor(steps / 10)),
      look: async ({ adapters, adapter, base, images, data }, step) => {
        const merged = orThrow(adapter.merge(base, adapters));
        const train = (await evaluate(merged, images)).loss as number;
        const test = (await evaluate(merged, data.test)).loss as number;
        curves.trainCurve.push([step, train]);
        curves.testCurve.push([step, test]);
        curves.gapCurve.push([step, test - train]);
      },
    });
    await dispose();
    return run && { ...(await measureCell(run, context)), ...curves };
  },
  report: (results) => [
    {
      title: 'Fashion-MNIST',
      paragraphs: [],
      tables: [
        measuresTable('At the end, mean ± sd over seeds', results, METHODS, [
          { label: 'Training loss', measure: 'trainLoss', format: 'significant' },
          { label: 'Test loss', measure: 'testLoss', format: 'significant' },
          { label: 'Gap', measure: 'gap', format: 'significant' },
        ]),
        differencesTable(
          'Flat-LoRA minus LoRA, paired by seed',
          results,
          ['trainLoss', 'testLoss', 'gap'].map((measure) => ({
            label: { trainLoss: 'training loss', testLoss: 'test loss', gap: 'gap' }[
              measure
            ] as string,
            measure,
            a: { method: 'flat-lora' },
            b: { method: 'lora' },
            paper: { trainLoss: 'higher', testLoss: 'lower', gap: 'smaller' }[measure] as string,
          })),
          { measure: 'gap', format: 'significant' },
        ),
      ],
      figures: CURVES.flatMap(({ measure, name, caption }) =>
        lines({
          id: `figure-a1-${measure}`,
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
