/** Beyond the paper: where the noise helps. Fewer or more images, wrong labels, more steps. */
import { type Changes, seedsOf } from '../cells.js';
import { differencePoint, lines } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { difference, differencesTable, type Line, resultsTable, select } from '../tables.js';
import { visionCell } from '../vision/cells.js';
import { TASK_FOLDERS } from '../vision/data.js';
import { prepareVision, runCell, type VisionPremises } from '../vision/run.js';
import { ACCURACY, SAME_SET_UP } from '../vision/texts.js';

const METHODS: readonly Line[] = [
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
];

const SIGMA = 0.4;

/** One thing changed at a time. */
const AXES: readonly {
  readonly name: string;
  readonly label: string;
  readonly values: readonly number[];
}[] = [
  { name: 'wrong', label: 'share of wrong labels', values: [0, 0.2, 0.4, 0.6] },
  { name: 'perClass', label: 'images per class', values: [5, 20, 80] },
  { name: 'steps', label: 'steps', values: [50, 200, 600] },
];

const CONDITIONS = AXES.flatMap(({ name, values }) =>
  values.map((value) => ({ axis: name, value, changes: { [name]: value } as Changes })),
);

export const beyondRegimes: Experiment<VisionPremises> = {
  name: 'beyond-regimes',
  counterpart: 'Beyond the paper: the regimes in which the noise helps',
  departures: [
    `One thing is changed at a time; the learning rate stays. The noise is strong, σ = ${SIGMA}: the search of table-2, on few images with right labels, found less.`,
    SAME_SET_UP,
  ],
  data: [TASK_FOLDERS['fashion-mnist']],
  cells: (surroundings) =>
    (surroundings.quick ? CONDITIONS.filter(({ value }) => value === 0.4) : CONDITIONS).flatMap(
      ({ axis, value, changes }) =>
        METHODS.flatMap(({ where }) =>
          seedsOf(surroundings).map((seed) =>
            visionCell(surroundings, 'fashion-mnist', String(where.method), seed, {
              ...changes,
              ...(where.method === 'flat-lora' && { sigma: SIGMA }),
              axis,
              value,
            }),
          ),
        ),
    ),
  prepare: prepareVision,
  run: runCell,
  report: (results) =>
    AXES.flatMap(({ name: axis, label, values }) => {
      const own = select(results, { axis });
      const there = values.filter((value) => select(own, { value }).length > 0);
      if (there.length === 0) return [];
      const pair = (value: number) =>
        [
          { method: 'flat-lora', value },
          { method: 'lora', value },
        ] as const;
      return [
        {
          title: `Fashion-MNIST by ${label}`,
          paragraphs: [],
          tables: [
            resultsTable(
              'Accuracy (%), mean ± sd over seeds',
              own,
              there.map((value) => ({ label: `${label}: ${value}`, where: { value } })),
              METHODS,
              ACCURACY,
            ),
            differencesTable(
              'Flat-LoRA minus LoRA (points), paired by seed',
              own,
              there.map((value) => {
                const [a, b] = pair(value);
                return { label: `${label}: ${value}`, a, b };
              }),
              ACCURACY,
            ),
          ],
          figures: lines({
            id: `beyond-regimes-${axis}`,
            title: `Gain by ${label}`,
            caption: `Flat-LoRA minus LoRA in points by ${label}, with its 95 % interval.`,
            xLabel: label,
            yLabel: 'difference (points)',
            spread: 'bars',
            fromZero: true,
            xTicks: there.map((value, at) => ({ at, text: String(value) })),
            series: [
              {
                label: 'Flat-LoRA − LoRA',
                style: 0,
                points: there.flatMap((value, at) =>
                  differencePoint(at, difference(own, ...pair(value), 'accuracy'), 100),
                ),
              },
            ],
          }),
        },
      ];
    }),
};
