/** Table 3: a pre-trained Llama adapted to new text and to word problems. */
import { seedsOf } from '../cells.js';
import { decoderCell, decoderSearch, METHODS, on } from '../decoder/cells.js';
import { FOLDERS } from '../decoder/data.js';
import { FOLDER } from '../decoder/model.js';
import { DEPARTURES, scoreTables, settingsParagraph } from '../decoder/report.js';
import { type DecoderPremises, prepareDecoder, runCell } from '../decoder/run.js';
import type { Experiment } from '../experiment.js';

/** Our own decoder has read the speeches, and knows the signs of GSM8K's notes. */
const ADAPTATIONS = [
  ...on('stories', 'names', 'shakespeare', 'speeches', 'one-step', 'two-step'),
  ...on('own', 'shakespeare', 'two-step', 'gsm8k'),
];

const PAPER = [
  ['Full fine-tuning', '5.30 ± 0.11', '59.36 ± 0.85', '35.31 ± 2.13'],
  ['LoRA, r 8', '5.96 ± 0.03', '57.47 ± 0.45', '24.85 ± 0.52'],
  ['Flat-LoRA, r 8', '6.16 ± 0.05', '60.65 ± 0.63', '27.93 ± 0.79'],
];

export const table3: Experiment<DecoderPremises> = {
  name: 'table-3',
  counterpart: 'Table 3: Llama 2-7B on chat, mathematics and code',
  departures: [
    ...DEPARTURES,
    'Chat (MT-Bench) and code (HumanEval) are beyond such a model. Instead: text unlike what it was trained on (names, Shakespeare, inaugural addresses), by its held-out loss.',
    'Mathematics: word problems in the style of GSM8K are generated: one or two steps of addition and subtraction with results from 0 to 18, answers step by step in words; no problem of the test is among the training examples. GSM8K itself (problems of at most 256 tokens, all from the training file) is asked of our own decoder alone: stories260K has never seen the signs of its notes (`<<3+5=8>>`, `####`), and adapters leave the embedding as it is.',
  ],
  data: [...new Set([FOLDER, ...ADAPTATIONS.flatMap(({ task }) => FOLDERS[task])])],
  cells: (surroundings) =>
    (surroundings.quick
      ? [...on('stories', 'shakespeare'), ...on('own', 'two-step')]
      : ADAPTATIONS
    ).flatMap((adaptation) =>
      METHODS.flatMap(({ where }) =>
        seedsOf(surroundings).map((seed) =>
          decoderCell(surroundings, adaptation, where.method, seed),
        ),
      ),
    ),
  prepare: prepareDecoder,
  run: runCell,
  search: decoderSearch,
  report: (results) => [
    {
      title: 'Held-out loss and exact match',
      paragraphs: [settingsParagraph()],
      tables: [
        ...scoreTables(results),
        {
          caption: "The paper's own numbers (MT-Bench score; GSM8K and HumanEval in %)",
          head: ['', 'MT-Bench', 'GSM8K', 'HumanEval'],
          rows: PAPER,
          numeric: true,
        },
      ],
      figures: [],
    },
  ],
};
