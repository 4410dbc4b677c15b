/** Table 2: LoRA and Flat-LoRA at ranks 8 and 16 and full fine-tuning, five vision tasks. */
import { seedsOf, settingsText, someTasks } from '../cells.js';
import type { Experiment } from '../experiment.js';
import { differencesTable, resultsTable, type Where } from '../tables.js';
import { settingsOf, visionCell } from '../vision/cells.js';
import { TASKS } from '../vision/data.js';
import { prepareVision, runCell, type VisionPremises } from '../vision/run.js';
import { visionSearch } from '../vision/search.js';
import { ACCURACY, ALL_FOLDERS, DEPARTURES, taskLines } from '../vision/texts.js';

const COLUMNS = [
  { label: 'Full fine-tuning', where: { method: 'full' } },
  { label: 'LoRA, r 8', where: { method: 'lora', rank: 8 } },
  { label: 'Flat-LoRA, r 8', where: { method: 'flat-lora', rank: 8 } },
  { label: 'LoRA, r 16', where: { method: 'lora', rank: 16 } },
  { label: 'Flat-LoRA, r 16', where: { method: 'flat-lora', rank: 16 } },
];

/** Table 2: full fine-tuning, LoRA and Flat-LoRA at rank 8, the same at rank 16. */
const PAPER = [
  ['CIFAR-10', 97.99, 97.9, 98.09, 97.99, 98.21],
  ['CIFAR-100', 89.06, 87.74, 88.64, 88.12, 89.27],
  ['Cars', 73.3, 73.22, 74.17, 73.8, 74.89],
  ['SVHN', 97.44, 97.49, 97.59, 97.56, 97.71],
  ['DTD', 76.8, 76.86, 77.51, 77.34, 78.24],
  ['Average', 86.92, 86.64, 87.2, 86.92, 87.66],
] as const;

const ranked = (rank: number, label: string, where: Where, paper = '') => ({
  label: `Flat-LoRA − LoRA, r ${rank}, ${label}`,
  a: { method: 'flat-lora', rank, ...where },
  b: { method: 'lora', rank, ...where },
  ...(paper !== '' && { paper }),
});

export const table2: Experiment<VisionPremises> = {
  name: 'table-2',
  counterpart: 'Table 2: CLIP ViT-B/32 on five image sets',
  departures: DEPARTURES,
  data: ALL_FOLDERS,
  cells: (surroundings) =>
    someTasks(TASKS, surroundings).flatMap((task) =>
      COLUMNS.flatMap(({ where }) =>
        seedsOf(surroundings).map((seed) =>
          visionCell(surroundings, task, where.method, seed, where),
        ),
      ),
    ),
  prepare: prepareVision,
  run: runCell,
  search: visionSearch,
  report: (results) => {
    const lines = taskLines(results);
    return [
      {
        title: 'Accuracy on the test set',
        paragraphs: [
          `Settings, found on validation images: LoRA ${settingsText(settingsOf('lora'))}; Flat-LoRA ${settingsText(settingsOf('flat-lora'))}; full fine-tuning ${settingsText({ learningRate: settingsOf('full').learningRate as number })}.`,
        ],
        tables: [
          resultsTable('Accuracy (%), mean ± sd over seeds', results, lines, COLUMNS, ACCURACY),
          differencesTable(
            'Flat-LoRA minus LoRA (points), paired by seed; over all tasks paired by task and seed',
            results,
            [
              ...[8, 16].flatMap((rank) => [
                ranked(rank, 'all tasks', {}, rank === 8 ? '+0.56' : '+0.74'),
                ...lines.map(({ label, where }) => ranked(rank, label, where)),
              ]),
            ],
            ACCURACY,
          ),
          {
            caption: "The paper's own numbers (%)",
            head: ['', ...COLUMNS.map(({ label }) => label)],
            rows: PAPER.map(([name, ...numbers]) => [name, ...numbers.map((x) => x.toFixed(2))]),
            numeric: true,
          },
        ],
        figures: [],
      },
    ];
  },
};
