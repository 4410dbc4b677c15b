/** Table 4: following instructions in Alpaca's format. */
import { seedsOf } from '../cells.js';
import { decoderCell, METHODS, on } from '../decoder/cells.js';
import { FOLDERS } from '../decoder/data.js';
import { FOLDER } from '../decoder/model.js';
import { DEPARTURES, scoreTables, settingsParagraph } from '../decoder/report.js';
import { type DecoderPremises, prepareDecoder, runCell } from '../decoder/run.js';
import type { Experiment } from '../experiment.js';

const ADAPTATIONS = on('stories', 'simple', 'alpaca');

const PAPER = [
  ['Full fine-tuning', '52.36 ± 0.45', '38.23 ± 0.47', '35.38 ± 0.35', '15.44 ± 0.35'],
  ['LoRA, r 8', '51.22 ± 0.38', '37.26 ± 0.63', '34.77 ± 0.22', '13.01 ± 0.93'],
  ['Flat-LoRA, r 8', '51.88 ± 0.55', '38.18 ± 0.71', '35.22 ± 0.26', '15.24 ± 0.61'],
];

export const table4: Experiment<DecoderPremises> = {
  name: 'table-4',
  counterpart: 'Table 4: Llama 2-13B on Alpaca, scored by InstructEval',
  departures: [
    ...DEPARTURES,
    'The benchmarks of InstructEval ask for knowledge that such a model has not. Instead: four kinds of generated instructions about three sentences (who has a thing, what somebody has, how a thing looks, who has the thing that looks so), scored by exact match; and the 523 of 1,174 real instructions (Alpaca’s form, and Self-Instruct’s seed tasks) that have at most 384 tokens, by the held-out loss of the response.',
    'Format and loss are Alpaca’s: its two templates, and cross-entropy of the response alone.',
  ],
  data: [...new Set([FOLDER, ...ADAPTATIONS.flatMap(({ task }) => FOLDERS[task])])],
  cells: (surroundings) =>
    (surroundings.quick ? ADAPTATIONS.slice(0, 1) : ADAPTATIONS).flatMap((adaptation) =>
      METHODS.flatMap(({ where }) =>
        seedsOf(surroundings).map((seed) =>
          decoderCell(surroundings, adaptation, where.method, seed),
        ),
      ),
    ),
  prepare: prepareDecoder,
  run: runCell,
  report: (results) => [
    {
      title: 'Held-out loss and exact match',
      paragraphs: [settingsParagraph()],
      tables: [
        ...scoreTables(results),
        {
          caption: "The paper's own numbers (%)",
          head: ['', 'MMLU', 'DROP', 'BBH', 'HumanEval'],
          rows: PAPER,
          numeric: true,
        },
      ],
      figures: [],
    },
  ],
};
