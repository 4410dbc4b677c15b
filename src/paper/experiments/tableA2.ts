/** Table A2: how strong the noise should be. */
import { seedsOf } from '../cells.js';
import { lines, plainPoints, pointsOver } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { differencesTable, measuresTable } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { prepareVision, runCell, type VisionPremises } from '../vision/run.js';
import { ACCURACY, SAME_SET_UP } from '../vision/texts.js';

/** σ against accuracy (%) of ViT-B/32 on CIFAR-100. */
const PAPER = [
  [0, 87.74],
  [0.01, 88.14],
  [0.05, 88.37],
  [0.1, 88.65],
  [0.15, 88.64],
  [0.2, 88.06],
] as const;

/** The paper's values, and larger ones. */
const SIGMAS = [0, 0.05, 0.1, 0.2, 0.4, 0.8];
const FEW = [0, 0.2];

export const tableA2: Experiment<VisionPremises> = {
  name: 'table-a2',
  counterpart: 'Table A2: the strength of the noise',
  departures: [
    'Larger σ are tried than in the paper (0.4, 0.8): matrices of 64 columns are disturbed as much as those of 768 at the same σ, but this model bears more.',
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    (surroundings.quick ? FEW : SIGMAS).flatMap((sigma) =>
      seedsOf(surroundings).map((seed) =>
        visionCell(surroundings, 'fashion-mnist', 'flat-lora', seed, { sigma }),
      ),
    ),
  prepare: prepareVision,
  run: runCell,
  report: (results, { quick }) => {
    const sigmas = quick ? FEW : SIGMAS;
    const rows = sigmas.map((sigma) => ({ label: `σ = ${sigma}`, where: { sigma } }));
    const ours = pointsOver(
      results,
      sigmas.map((sigma) => ({ at: sigma, where: { sigma } })),
      'accuracy',
      100,
    );
    return [
      {
        title: 'Fashion-MNIST, LoRA of rank 8 under noise',
        paragraphs: [],
        tables: [
          measuresTable('Mean ± sd over seeds', results, rows, [
            { label: 'Accuracy (%)', ...ACCURACY },
            { label: 'Training loss', measure: 'trainLoss', format: 'significant' },
            { label: 'Test loss', measure: 'testLoss', format: 'significant' },
          ]),
          differencesTable(
            'Accuracy minus that of σ = 0 (points), paired by seed',
            results,
            sigmas.slice(1).map((sigma) => ({
              label: `σ = ${sigma}`,
              a: { sigma },
              b: { sigma: 0 },
            })),
            ACCURACY,
          ),
        ],
        figures: [
          ...lines({
            id: 'table-a2-ours',
            title: 'Accuracy by noise',
            caption: 'Here: accuracy on Fashion-MNIST by σ, mean ± sd over seeds.',
            xLabel: 'σ',
            yLabel: 'accuracy (%)',
            spread: 'bars',
            series: [{ label: 'here', style: 0, points: ours }],
          }),
          ...lines({
            id: 'table-a2-paper',
            title: 'Accuracy by noise in the paper',
            caption: 'In the paper: ViT-B/32 on CIFAR-100.',
            xLabel: 'σ',
            yLabel: 'accuracy (%)',
            spread: 'bars',
            series: [{ label: 'paper', style: 1, points: plainPoints(PAPER) }],
          }),
        ],
      },
    ];
  },
};
