/** Table 5: LoRA's variants, each with and without the noise of Flat-LoRA. */
import { methodLabel } from '../../finetune/methods.js';
import { compareWays, plainWay } from '../text/compare.js';

const VARIANTS = ['lora', 'pissa', 'lora-ga', 'dora', 'adalora', 'lora+'];

const PAPER = [
  ['LoRA', '82.87 ± 0.22', '88.56 ± 0.37'],
  ['PiSSA', '83.18 ± 0.24', '88.96 ± 0.44'],
  ['LoRA-GA', '83.13 ± 0.45', '88.73 ± 0.48'],
  ['DoRA', '83.16 ± 0.15', '89.46 ± 0.37'],
  ['AdaLoRA', '82.58 ± 0.56', '88.79 ± 0.33'],
  ['LoRA+', '82.65 ± 0.23', '89.30 ± 0.47'],
  ['Flat-LoRA', '83.61 ± 0.38', '89.59 ± 0.37'],
  ['Flat-PiSSA', '83.51 ± 0.48', '89.89 ± 0.71'],
  ['Flat-LoRA-GA', '83.41 ± 0.45', '89.20 ± 0.49'],
  ['Flat-DoRA', '83.56 ± 0.27', '89.99 ± 0.47'],
  ['Flat-AdaLoRA', '83.13 ± 0.28', '89.23 ± 0.34'],
  ['Flat-LoRA+', '83.56 ± 0.46', '89.61 ± 0.44'],
];

export const table5 = compareWays({
  name: 'table-5',
  counterpart: "Table 5: LoRA's variants on CoLA and MRPC",
  departures: [
    'Each Flat- version has the settings of the method itself and the σ of Flat-LoRA, so that only the noise differs.',
  ],
  tasks: ['cola', 'mrpc'],
  ways: VARIANTS.flatMap((method) => [
    plainWay(methodLabel(method), method),
    plainWay(methodLabel(`flat-${method}`), `flat-${method}`),
  ]),
  pairs: VARIANTS.map((method) => [methodLabel(`flat-${method}`), methodLabel(method)]),
  paper: { head: ['', 'CoLA', 'MRPC'], rows: PAPER },
});
