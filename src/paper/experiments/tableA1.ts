/** Table A1: noise on the linear layers, or on all weights. */
import { compareWays } from '../vision/compare.js';

const WAYS = [
  { label: 'LoRA', method: 'lora' },
  { label: 'Flat-LoRA (linear)', method: 'flat-lora', way: 'linear' },
  { label: 'Flat-LoRA (all)', method: 'flat-lora', way: 'all', changes: { on: 'all' } },
];

export const tableA1 = compareWays({
  name: 'table-a1',
  counterpart: 'Table A1: noise on the linear layers or on all parameters',
  tasks: ['fashion-mnist', 'cifar-100'],
  ways: WAYS,
  pairs: [
    ['Flat-LoRA (linear)', 'LoRA'],
    ['Flat-LoRA (all)', 'LoRA'],
    ['Flat-LoRA (all)', 'Flat-LoRA (linear)'],
  ],
  paper: {
    head: ['', 'CIFAR-10', 'CIFAR-100'],
    rows: [
      ['LoRA', '97.90 ± 0.02', '87.74 ± 0.13'],
      ['Flat-LoRA (linear)', '98.09 ± 0.04', '88.64 ± 0.23'],
      ['Flat-LoRA (all)', '98.13 ± 0.03', '88.76 ± 0.19'],
    ],
  },
});
