/** Figure 5a: ranks 1, 4, 16 and 64 at α = 16, MRPC. */
import { seedsOf } from '../cells.js';
import { differencePoint, lines, pointsOver } from '../charts.js';
import type { Experiment } from '../experiment.js';
import { difference, differencesTable, type Line, resultsTable } from '../tables.js';
import { textCell } from '../text/cells.js';
import { prepareText, runCell, type TextPremises } from '../text/run.js';
import { ACCURACY, foldersOf, SAME_SET_UP } from '../text/texts.js';

const RANKS = [1, 4, 16, 64];
const FEW = [1, 4];
const METHODS: readonly Line[] = [
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
];

export const figure5a: Experiment<TextPremises> = {
  name: 'figure-5a',
  counterpart: 'Figure 5a: ranks 1, 4, 16 and 64, MRPC with T5-base',
  departures: [
    'Rank 64 is two thirds of the full rank here. The learning rate is that of rank 8.',
    SAME_SET_UP,
  ],
  data: foldersOf(['mrpc']),
  cells: (surroundings) =>
    (surroundings.quick ? FEW : RANKS).flatMap((rank) =>
      METHODS.flatMap(({ where }) =>
        seedsOf(surroundings).map((seed) =>
          textCell(surroundings, 'mrpc', String(where.method), seed, { rank }),
        ),
      ),
    ),
  prepare: prepareText,
  run: runCell,
  report: (results, { quick }) => {
    const ranks = quick ? FEW : RANKS;
    const xTicks = ranks.map((rank, at) => ({ at, text: String(rank) }));
    const pair = (rank: number) =>
      [
        { method: 'flat-lora', rank },
        { method: 'lora', rank },
      ] as const;
    return [
      {
        title: 'MRPC',
        paragraphs: [],
        tables: [
          resultsTable(
            'Accuracy (%), mean ± sd over seeds',
            results,
            ranks.map((rank) => ({ label: `rank ${rank}`, where: { rank } })),
            METHODS,
            ACCURACY,
          ),
          differencesTable(
            'Flat-LoRA minus LoRA (points), paired by seed',
            results,
            ranks.map((rank) => ({ label: `rank ${rank}`, a: pair(rank)[0], b: pair(rank)[1] })),
            ACCURACY,
          ),
        ],
        figures: [
          ...lines({
            id: 'figure-5a-accuracy',
            title: 'Accuracy by rank',
            caption: 'Accuracy on MRPC by rank, mean ± sd over seeds.',
            xLabel: 'rank',
            yLabel: 'accuracy (%)',
            spread: 'bars',
            xTicks,
            series: METHODS.map(({ label, where }, style) => ({
              label,
              style,
              points: pointsOver(
                results,
                ranks.map((rank, at) => ({ at, where: { ...where, rank } })),
                'accuracy',
                100,
              ),
            })),
          }),
          ...lines({
            id: 'figure-5a-gain',
            title: 'Gain by rank',
            caption:
              'Flat-LoRA minus LoRA in points, with its 95 % interval. In the paper it is +1.10 on average over the ranks.',
            xLabel: 'rank',
            yLabel: 'difference (points)',
            spread: 'bars',
            fromZero: true,
            xTicks,
            series: [
              {
                label: 'Flat-LoRA − LoRA',
                style: 0,
                points: ranks.flatMap((rank, at) =>
                  differencePoint(at, difference(results, ...pair(rank), 'accuracy'), 100),
                ),
              },
            ],
          }),
        ],
      },
    ];
  },
};
