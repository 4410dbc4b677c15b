/** Table 6: where to look for flatness, and how. SAM and Flat-LoRA over A, B and over W. */
import { compareWays } from '../text/compare.js';

const WAYS = [
  { label: 'LoRA', method: 'lora' },
  { label: 'SAM on A, B', method: 'lora-sam' },
  { label: 'SAM on W', method: 'sam' },
  { label: 'Flat-LoRA on A, B', method: 'flat-lora', way: 'factors', changes: { on: 'factors' } },
  { label: 'Flat-LoRA on W', method: 'flat-lora', way: 'weights' },
];

export const table6 = compareWays({
  name: 'table-6',
  counterpart: 'Table 6: SAM and Flat-LoRA, over the factors and over the weights',
  departures: [
    'Flat-LoRA on A, B has the σ of W. The time is the median of the first steps of a run that has the machine to itself; memory is what lies on the device between two steps. What a step needs while it runs is in table-7.',
  ],
  timed: true,
  tasks: ['cola', 'mrpc'],
  ways: WAYS,
  pairs: [
    ...WAYS.slice(1).map(({ label }): [string, string] => [label, 'LoRA']),
    ['Flat-LoRA on W', 'Flat-LoRA on A, B'],
    ['Flat-LoRA on W', 'SAM on W'],
  ],
  paper: {
    head: ['', 'CoLA', 'MRPC', 'Additional memory', 'Training time'],
    rows: [
      ['LoRA', '82.87 ± 0.59', '88.56 ± 0.37', '', '1×'],
      ['SAM on A, B', '83.31 ± 0.48', '88.98 ± 0.22', 'O((m + n) r)', '2×'],
      ['SAM on W', '83.67 ± 0.39', '89.26 ± 0.32', 'O(m n)', '2×'],
      ['Flat-LoRA on A, B', '83.19 ± 0.70', '88.81 ± 0.51', 'O(m + r)', '1×'],
      ['Flat-LoRA on W', '83.61 ± 0.38', '89.59 ± 0.37', 'O(m)', '1×'],
    ],
  },
});
