/** Beyond the paper: what it costs that the released code adds and subtracts its noise in bfloat16. */

import { foldIn, key, orThrow } from '../../autodiff/index.js';
import { lora } from '../../flatlora/index.js';
import { shuffledBatches, takeRows } from '../../training/index.js';
import { seedsOf } from '../cells.js';
import type { Cell, Experiment, Measures, RunContext } from '../experiment.js';
import { fineTune } from '../fineTune.js';
import { differencesTable, measuresTable } from '../tables.js';
import { methodSettings, visionCell } from '../vision/cells.js';
import { TASK_FOLDERS, type TaskName, trainingImages } from '../vision/data.js';
import {
  displacedBy,
  displacedByBatch,
  driftingBase,
  matricesAt,
  minus,
  normOf,
  roundedBase,
} from '../vision/drift.js';
import { type Batch, TARGET_MODULES, taskLoss, type Weights } from '../vision/model.js';
import { evaluateOn, prepareVision, trainCell, type VisionPremises } from '../vision/run.js';
import { ACCURACY, SAME_SET_UP } from '../vision/texts.js';

/** Additions and subtractions a step: 10 in 200 steps drift as one does in 2,000. */
const CYCLES = 10;

const ROWS = [
  { label: 'Ours: W is never written', where: { way: 'ours' } },
  { label: 'As released', where: { way: 'released' } },
];

/** Flat-LoRA as the released code trains it, measured on the clean base and on the drifted one. */
async function released(
  cell: Cell,
  { base: exact, task }: VisionPremises,
  context: RunContext,
): Promise<Measures | undefined> {
  const { seed, steps, perClass, batchSize, sigma, cycles } = cell as Record<string, number> & {
    seed: number;
    steps: number;
    perClass: number;
    batchSize: number;
    sigma: number;
    cycles: number;
  };
  const base = roundedBase(exact);
  const data = await task(cell.task as TaskName);
  const images = trainingImages(data, perClass, seed);
  const own = key(seed);
  const order = shuffledBatches(foldIn(own, 1), images.labels.shape[0] as number, batchSize);
  const paths = orThrow(lora({ targetModules: TARGET_MODULES }).targets(base));
  const start = matricesAt(base, paths);
  const drift = driftingBase(start, { sigma, totalSteps: steps, cycles, key: foldIn(own, 4) });
  const tuned = await fineTune<Weights, Batch>(
    {
      loss: taskLoss,
      base,
      method: 'lora',
      settings: methodSettings({ ...cell, sigma: 0 }),
      transform: displacedByBatch,
      batch: (step) => ({
        ...takeRows(images, order(step)),
        displacement: minus(drift.seenAt(step), start),
      }),
      totalSteps: steps,
      key: own,
      identity: cell,
    },
    context,
  );
  if (tuned === undefined) return undefined;
  const moved = minus(drift.end(), start);
  const drifted = displacedBy(tuned.merged, moved);
  const [onClean, onDrifted] = [
    await evaluateOn(tuned.merged, { test: data.test }, context),
    await evaluateOn(drifted, { test: data.test }, context),
  ];
  return {
    accuracy: onClean.test.accuracy,
    accuracyOnDrifted: onDrifted.test.accuracy,
    testLoss: onClean.test.loss,
    drift: (100 * normOf(moved)) / normOf(start),
  };
}

export const beyondDrift: Experiment<VisionPremises> = {
  name: 'beyond-drift',
  counterpart: 'Beyond the paper: noise added and subtracted in bfloat16, as in the released code',
  departures: [
    `The frozen matrices hold numbers of bfloat16 in both; as released, ε is added to them in place and subtracted again ${CYCLES} times a step, so that 200 steps drift as 2,000 do. The norms in ε are of the base alone.`,
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    ROWS.flatMap(({ where }) =>
      seedsOf(surroundings).map((seed) =>
        visionCell(surroundings, 'fashion-mnist', 'flat-lora', seed, {
          ...where,
          cycles: surroundings.quick ? 2 : CYCLES,
        }),
      ),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    if (cell.way === 'released') return released(cell, premises, context);
    const run = await trainCell(cell, { ...premises, base: roundedBase(premises.base) }, context);
    if (run === undefined) return undefined;
    const on = await evaluateOn(run.tuned.merged, { test: run.data.test }, context);
    return {
      accuracy: on.test.accuracy,
      testLoss: on.test.loss,
      drift: 0,
      accuracyOnDrifted: on.test.accuracy,
    };
  },
  report: (results) => [
    {
      title: 'Fashion-MNIST',
      paragraphs: [
        'The saved adapter of the released code is put on the clean base, not on the one that it was trained with; both are measured.',
      ],
      tables: [
        measuresTable('Mean ± sd over seeds', results, ROWS, [
          { label: 'Drift ‖W_T − W_0‖ / ‖W_0‖ (%)', measure: 'drift', format: 'significant' },
          { label: 'Accuracy on the clean base (%)', ...ACCURACY },
          { label: 'On the drifted base (%)', measure: 'accuracyOnDrifted', format: 'percent' },
          { label: 'Test loss', measure: 'testLoss', format: 'significant' },
        ]),
        differencesTable(
          'Ours minus as released (points), paired by seed',
          results,
          [
            { label: 'on the clean base', a: { way: 'ours' }, b: { way: 'released' } },
            {
              label: 'on the drifted base',
              a: { way: 'ours' },
              b: { way: 'released' },
              measure: 'accuracyOnDrifted',
            },
          ],
          ACCURACY,
        ),
      ],
      figures: [],
    },
  ],
};
