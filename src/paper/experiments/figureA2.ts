/** Figure A2: how much of LoRA-SAM's perturbation lies where A alone reaches. */

import { evaluationContext, treeLeaves } from '../../autodiff/index.js';
import { adapt, loraSamShare } from '../../flatlora/index.js';
import { compile } from '../../kernels/index.js';
import { seedsOf } from '../cells.js';
import { curvesOver, lines } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { measuresTable } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { taskLoss } from '../vision/model.js';
import { prepareVision, trainCell, type VisionPremises } from '../vision/run.js';
import { SAME_SET_UP } from '../vision/texts.js';

export const figureA2: Experiment<VisionPremises> = {
  name: 'figure-a2',
  counterpart: 'Figure A2: ‖ε_B A‖ / ‖ε_W‖ of LoRA-SAM during training',
  departures: ['The norms are over all layers together, on all training images.', SAME_SET_UP],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    seedsOf(surroundings).map((seed) =>
      visionCell(surroundings, 'fashion-mnist', 'lora-sam', seed),
    ),
  prepare: prepareVision,
  run: async (cell, premises, context) => {
    const { backend } = context;
    const steps = cell.steps as number;
    const shares: [number, number][] = [];
    const run = await trainCell(cell, premises, context, {
      every: Math.max(1, Math.floor(steps / 10)),
      look: async ({ adapters, adapter, base, images }, step) => {
        const share = loraSamShare(adapt(base, adapter)(taskLoss) as never, cell.rho as number);
        const program = compile(
          (factors: never, batch: never) => share(factors, batch, evaluationContext()),
          backend,
        );
        const result = await program(adapters as never, images as never);
        const [value] = treeLeaves(result);
        shares.push([step, (await backend.download(value as never)).get() as number]);
        backend.release(value as never);
        await program.dispose();
      },
    });
    if (run === undefined) return undefined;
    const values = shares.map(([, share]) => share);
    return { shares, least: Math.min(...values), last: values.at(-1) as number };
  },
  report: (results) => [
    {
      title: 'Fashion-MNIST',
      paragraphs: [
        'The paper finds more than 0.95 throughout (T5-base on MRPC): SAM over the factors looks at the row space of A alone.',
      ],
      tables: [
        measuresTable(
          'Mean ± sd over seeds',
          results,
          [{ label: 'SAM on A, B', where: {} }],
          [
            { label: 'Least share', measure: 'least', format: 'significant' },
            { label: 'At the end', measure: 'last', format: 'significant' },
          ],
        ),
      ],
      figures: lines({
        id: 'figure-a2',
        title: 'Share of the perturbation along A',
        caption: '‖ε_B A‖ / ‖ε_W‖ during training, mean ± sd over seeds.',
        xLabel: 'optimiser step',
        yLabel: '‖ε_B A‖ / ‖ε_W‖',
        spread: 'bars',
        series: [{ label: 'SAM on A, B', style: 0, points: curvesOver(results, {}, 'shares') }],
      }),
    },
  ],
};
