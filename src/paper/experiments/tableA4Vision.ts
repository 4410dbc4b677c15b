/** Table A4 on images: LoRA variants with another optimiser or another start. */
import { methodLabel } from '../../finetune/methods.js';
import { compareWays, plainWay } from '../vision/compare.js';

const METHODS = ['lora', 'obar', 'nbar', 'lora-pro', 'galore', 'corda', 'flat-lora'];

export const tableA4Vision = compareWays({
  name: 'table-a4-vision',
  counterpart: 'Table A4 on images: oBAR, nBAR, LoRA-Pro, GaLore and CorDA',
  departures: ['Images instead of MRPC and CoLA.'],
  tasks: ['fashion-mnist'],
  ways: METHODS.map((method) => plainWay(methodLabel(method), method)),
  pairs: METHODS.slice(0, -1).map((method) => ['Flat-LoRA', methodLabel(method)]),
  paper: {
    head: ['', 'MRPC', 'CoLA'],
    rows: [
      ['oBAR', '88.58 ± 0.35', '83.07 ± 0.87'],
      ['nBAR', '88.63 ± 0.42', '82.78 ± 0.68'],
      ['LoRA-Pro', '89.23 ± 0.33', '83.17 ± 0.28'],
      ['GaLore', '88.90 ± 1.12', '83.14 ± 0.57'],
      ['CorDA', '89.76 ± 0.52', '83.38 ± 0.47'],
      ['Flat-LoRA', '89.59 ± 0.37', '83.61 ± 0.38'],
    ],
  },
});
