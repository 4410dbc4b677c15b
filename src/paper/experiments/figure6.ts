/** Figure 6: the loss around the merged weights, along two random filter-normalised directions. */

import { key, range } from '../../autodiff/index.js';
import {
  filterNormalisedDirection,
  lossSurface,
  meanLossRise,
  topHessianEigenvalue,
} from '../../flatlora/index.js';
import { programRunner } from '../../kernels/index.js';
import type { Landscape } from '../../report/index.js';
import { heatMap, heightScale, surfaceChart } from '../../report/parts.js';
import { takeRows } from '../../training/index.js';
import { seedsOf } from '../cells.js';
import type { Cell, CellResult, Experiment, Figure } from '../experiment.js';
import { differencesTable, measuresTable, type Where } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { taskLoss } from '../vision/model.js';
import { prepareVision, trainCell, type VisionPremises } from '../vision/run.js';
import { SAME_SET_UP } from '../vision/texts.js';

const RANKS = [1, 16];
const WAYS = RANKS.flatMap((rank) => [
  { label: `LoRA, r = ${rank}`, where: { method: 'lora', rank } },
  { label: `Flat-LoRA, r = ${rank}`, where: { method: 'flat-lora', rank } },
]);

/** The strength of the noise under which the mean rise of the loss is measured, for all models. */
const SIGMA = 0.2;
const REACH = 0.5;

const stored = (losses: readonly (readonly number[])[]): string => JSON.stringify(losses);

/** The surface of the first seed as the charts want it: rows by the second coordinate. */
function landscape(results: readonly CellResult[]): Landscape | null {
  const surfaces = WAYS.flatMap(({ label, where }) => {
    const found = results.find((result) => matches(result.cell, { ...where, seed: 0 }));
    const text = found?.measures.surface;
    if (typeof text !== 'string') return [];
    const losses = JSON.parse(text) as number[][];
    return [
      {
        method: label,
        label,
        loss: range(losses.length).map((j) => losses.map((row) => row[j] ?? null)),
      },
    ];
  });
  const points = surfaces[0]?.loss.length ?? 0;
  if (points === 0) return null;
  const axis = range(points).map((i) => REACH * ((2 * i) / (points - 1) - 1));
  return { description: '', x: axis, y: axis, surfaces };
}

const matches = (cell: Cell, where: Where): boolean =>
  Object.entries(where).every(([name, value]) => cell[name] === value);

function figures(results: readonly CellResult[]): readonly Figure[] {
  const ground = landscape(results);
  const scale = ground && heightScale(ground);
  if (ground === null || scale === null || ground === undefined) return [];
  return ground.surfaces.flatMap((surface, i) => {
    const caption = `${surface.label}: training loss around the merged weights of seed 0; all surfaces share directions and scale.`;
    const text = (kind: string) => ({
      id: `figure-6-${kind}-${i}`,
      title: `Loss surface of ${surface.label}`,
      description: caption,
    });
    return [
      { caption, svg: surfaceChart(text('surface'), ground, surface, scale).markup },
      { caption, svg: heatMap(text('map'), ground, surface, scale).markup },
    ];
  });
}

export const figure6: Experiment<VisionPremises> = {
  name: 'figure-6',
  counterpart: 'Figure 6: loss landscapes of LoRA and Flat-LoRA at ranks 1 and 16',
  departures: [
    `The paper gives neither range nor grid: here ±${REACH} along each direction, a direction being as long as the weights, filter by filter. Numbers over seeds beside the pictures: the top eigenvalue of the Hessian in the full parameter space, and the mean rise of the training loss under noise of σ = ${SIGMA}.`,
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    (surroundings.quick ? WAYS.slice(0, 2) : WAYS).flatMap(({ where }) =>
      seedsOf(surroundings).map((seed) =>
        visionCell(surroundings, 'fashion-mnist', where.method, seed, where),
      ),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    const run = await trainCell(cell, premises, context);
    if (run === undefined) return undefined;
    const { backend, quick } = context;
    const { merged } = run.tuned;
    const runner = programRunner(backend);
    // The training images go round the classes, so the first ones are balanced.
    const count = Math.min(50, run.images.labels.shape[0] as number);
    const probe = [takeRows(run.images, range(count))];
    const rise = await meanLossRise(runner, taskLoss, merged, probe, {
      sigma: SIGMA,
      samples: quick ? 4 : 64,
      key: key(31),
    });
    const top = await topHessianEigenvalue(runner, taskLoss, merged, probe, {
      key: key(32),
      tolerance: 0.02,
      maxIterations: quick ? 2 : 12,
    });
    const surface =
      cell.seed === 0
        ? await lossSurface(
            runner,
            taskLoss,
            merged,
            probe,
            [
              filterNormalisedDirection(merged, key(33)),
              filterNormalisedDirection(merged, key(34)),
            ],
            { points: quick ? 3 : 15, range: REACH },
          )
        : undefined;
    return {
      rise: rise.rise,
      eigenvalue: top.eigenvalue,
      ...(surface && { surface: stored(surface.losses) }),
    };
  },
  report: (results) => [
    {
      title: 'Fashion-MNIST',
      paragraphs: [],
      tables: [
        measuresTable('Mean ± sd over seeds; lower is flatter', results, WAYS, [
          { label: 'Mean loss rise', measure: 'rise', format: 'significant' },
          { label: 'Top Hessian eigenvalue', measure: 'eigenvalue', format: 'significant' },
        ]),
        ...(
          [
            ['rise', 'mean loss rise'],
            ['eigenvalue', 'top eigenvalue'],
          ] as const
        ).map(([measure, name]) =>
          differencesTable(
            `Flat-LoRA minus LoRA, ${name}, paired by seed`,
            results,
            RANKS.map((rank) => ({
              label: `rank ${rank}`,
              a: { method: 'flat-lora', rank },
              b: { method: 'lora', rank },
            })),
            { measure, format: 'significant', better: 'lower' },
          ),
        ),
      ],
      figures: figures(results),
    },
  ],
};
