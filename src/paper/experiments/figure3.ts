/** Figure 3: a diffusion model learns a new style from 23 images, with LoRA and with Flat-LoRA. */
import { SHOWN, settingsOf, styleCells, styleSearch, WITHHELD } from '../diffusion/cells.js';
import { SIDE } from '../diffusion/model.js';
import { pictures } from '../diffusion/pictures.js';
import { prepareStyle, type StylePremises } from '../diffusion/premises.js';
import { runStyle } from '../diffusion/run.js';
import { mainTables, sweepCharts, sweepTable } from '../diffusion/tables.js';
import type { Experiment } from '../experiment.js';

const HOW_IT_IS_SCORED = [
  'Content: how often a classifier reads the class that was asked for; it was trained on MNIST’s training images, plain and in the style, and reads 97.8 % of the test images in the style.',
  'Style: the root mean squared difference of an image from the square, over the pixels around the digit, on a scale from 0 to 1.',
  'Kernel distance: the squared maximum mean discrepancy (Bińkowski et al. 2018) of the classifier’s features to those of 1,000 real digits in the style, all classes; around 0 for images that cannot be told from them.',
  'Losses: the denoising loss on those 1,000 images and on the training images, at fixed times and noise.',
].join(' ');

export const figure3: Experiment<StylePremises> = {
  name: 'figure-3',
  counterpart: 'Figure 3: SDXL learns "3D icons" from 23 images',
  departures: [
    `Instead of SDXL: a diffusion transformer (316,676 parameters) on digits of ${SIDE}×${SIDE} pixels, pre-trained by this library on MNIST digits in front of shaded rectangles of all kinds; the prompt is the class. The 23 images are of MNIST’s training set too, so the model knows their digits, but not on this square.`,
    `Instead of 3D icons, whose mark is a square behind the thing shown: digits on one certain shaded square. The 23 images show the classes ${SHOWN.join(', ')}; ${WITHHELD.join(', ')} are withheld, so that the style must carry over to them.`,
    'Rank and α 4, batch 1, 500 steps, a constant learning rate and σ = 0.1 as in the paper; the learning rate is searched for, with as many trials for both methods. One label in ten is left out, for classifier-free guidance.',
    'The paper shows one picture and no numbers; here there are scores, and a sweep over σ and the length of training.',
  ],
  data: ['mnist'],
  cells: styleCells,
  prepare: prepareStyle,
  run: runStyle,
  search: styleSearch,
  report: (results, surroundings) => [
    {
      title: 'Images',
      paragraphs: [],
      tables: [],
      figures: pictures(results, surroundings),
    },
    {
      title: 'Scores',
      paragraphs: [
        `Learning rates, found with other seeds against validation images: LoRA ${settingsOf('lora').learningRate}, Flat-LoRA ${settingsOf('flat-lora').learningRate}; src/paper/settings/figure-3.json has all trials.`,
        HOW_IT_IS_SCORED,
      ],
      tables: mainTables(results, surroundings),
      figures: [],
    },
    {
      title: 'More noise, more steps',
      paragraphs: [],
      tables: [sweepTable(results, surroundings)],
      figures: sweepCharts(results, surroundings),
    },
  ],
};
