/** Figure 3: a diffusion model learns a new style from 23 images, with LoRA and with Flat-LoRA. */

import type { Table } from '../../report/index.js';
import {
  SHOWN,
  settingsOf,
  styleCell,
  styleSearch,
  UNTRAINED,
  WITHHELD,
} from '../diffusion/cells.js';
import { imageGrid } from '../diffusion/imageGrid.js';
import { SIDE } from '../diffusion/model.js';
import { fromText } from '../diffusion/png.js';
import { prepareStyle, type StylePremises } from '../diffusion/premises.js';
import { KEPT_PER_CLASS, runStyle } from '../diffusion/run.js';
import type { CellResult, Experiment, Figure } from '../experiment.js';
import { differencesTable, measuresTable, type Shown, select } from '../tables.js';

const METHODS = ['lora', 'flat-lora'];

const LINES = [
  { label: 'Before adaptation', where: { method: 'before' } },
  { label: 'LoRA', where: { method: 'lora' } },
  { label: 'Flat-LoRA', where: { method: 'flat-lora' } },
  { label: 'Real digits in the style', where: { method: 'real' } },
];

interface Column extends Shown {
  readonly label: string;
}

const COLUMNS: readonly Column[] = [
  {
    label: 'Content: classes shown (%)',
    measure: 'contentShown',
    format: 'percent',
    better: 'higher',
  },
  {
    label: 'Content: classes withheld (%)',
    measure: 'contentWithheld',
    format: 'percent',
    better: 'higher',
  },
  {
    label: 'Style: distance from the square',
    measure: 'style',
    format: 'significant',
    better: 'lower',
  },
  {
    label: 'The same, classes withheld',
    measure: 'styleWithheld',
    format: 'significant',
    better: 'lower',
  },
  {
    label: 'Kernel distance to real images',
    measure: 'distance',
    format: 'significant',
    better: 'lower',
  },
  { label: 'Distance to the nearest training image', measure: 'nearest', format: 'significant' },
  { label: 'Loss on other images', measure: 'testLoss', format: 'significant', better: 'lower' },
  { label: 'Loss on the 23 images', measure: 'trainLoss', format: 'significant' },
];

const DIGITS = Array.from({ length: 10 }, (_, i) => String(i));

/** The samples of a result: row r has sample r of every class. */
function sampleRows(result: CellResult | undefined): readonly (readonly Uint8Array[])[] {
  const images = fromText(String(result?.measures.samples ?? ''));
  const perClass = images.length / DIGITS.length;
  return Array.from({ length: perClass }, (_, row) =>
    DIGITS.map((_digit, i) => images[i * perClass + row] as Uint8Array),
  );
}

/** The picture of Figure 3: the same noise in every column of samples. */
function pictures(results: readonly CellResult[]): readonly Figure[] {
  const first = (method: string) => select(results, { method })[0];
  const lora = first('lora');
  if (lora === undefined) return [];
  const training = fromText(String(lora.measures.training));
  const perRow = Math.ceil(training.length / 2);
  const { seed } = lora.cell;
  const caption =
    `Top: the ${training.length} training images of seed ${seed} (no ${WITHHELD.join(', no ')}). Below, column by ` +
    `column from the same noise, ${KEPT_PER_CLASS} samples of each class: before adaptation, with LoRA, with Flat-LoRA.`;
  return [
    {
      caption,
      svg: imageGrid(
        caption,
        DIGITS.map((d, i) => (WITHHELD.includes(i) ? `${d}*` : d)),
        [
          { label: 'Training', rows: [training.slice(0, perRow), training.slice(perRow)] },
          { label: 'Before', rows: sampleRows(first('before')) },
          { label: 'LoRA', rows: sampleRows(lora) },
          { label: 'Flat-LoRA', rows: sampleRows(first('flat-lora')) },
          { label: 'Real', rows: sampleRows(first('real')) },
        ],
      ),
    },
  ];
}

/** Flat-LoRA − LoRA in every measure. */
function differences(results: readonly CellResult[]): Table {
  const caption = 'Flat-LoRA minus LoRA, paired by seed';
  const pair = { a: { method: 'flat-lora' }, b: { method: 'lora' } };
  const tables = COLUMNS.map((column) =>
    differencesTable(caption, results, [{ label: column.label, ...pair }], column),
  );
  return { ...(tables[0] as Table), rows: tables.flatMap(({ rows }) => rows) };
}

export const figure3: Experiment<StylePremises> = {
  name: 'figure-3',
  counterpart: 'Figure 3: SDXL learns "3D icons" from 23 images',
  departures: [
    `Instead of SDXL: a diffusion transformer (316,676 parameters) on digits of ${SIDE}×${SIDE} pixels, pre-trained by this library on MNIST; the prompt is the class.`,
    `Instead of 3D icons, whose mark is a square behind the thing shown: digits on a shaded square. The 23 images show the classes ${SHOWN.join(', ')}; ${WITHHELD.join(', ')} are withheld, so that the style must carry over to them.`,
    'Rank and α 4, batch 1, 500 steps, a constant learning rate and σ = 0.1 as in the paper; the learning rate is searched for, and one label in ten is left out for classifier-free guidance.',
    'The paper shows one picture and no numbers; here there are scores.',
  ],
  data: ['mnist'],
  cells: (surroundings) => [
    ...UNTRAINED.map((method) => styleCell(surroundings, method, 0)),
    ...METHODS.flatMap((method) =>
      Array.from({ length: surroundings.seeds }, (_, seed) =>
        styleCell(surroundings, method, seed),
      ),
    ),
  ],
  prepare: prepareStyle,
  run: runStyle,
  search: styleSearch,
  report: (results) => [
    {
      title: 'Images',
      paragraphs: ['Classes with a star were in no training image.'],
      tables: [],
      figures: pictures(results),
    },
    {
      title: 'Scores',
      paragraphs: [
        `Learning rates, found with other seeds against validation images: LoRA ${settingsOf('lora').learningRate}, Flat-LoRA ${settingsOf('flat-lora').learningRate}.`,
        'Content: how often a classifier that knows plain and styled digits (both from MNIST) reads the class that was asked for. Style: root mean squared difference of an image from the square over the pixels around the digit, 0 to 1. Kernel distance: squared maximum mean discrepancy (Bińkowski et al. 2018) of the classifier’s features to those of 1,000 real digits in the style, all classes. Losses are denoising losses, of the same 1,000 images and of the training images, at fixed times and noise.',
      ],
      tables: [
        measuresTable('Mean ± sd over seeds', results, LINES, COLUMNS),
        differences(results),
      ],
      figures: [],
    },
  ],
};
