/** What the reports of all vision experiments say alike. */
import type { CellResult } from '../experiment.js';
import { type Line, type Shown, valuesOf } from '../tables.js';
import { TASK_FOLDERS, TASK_LABELS, TASKS, type TaskName } from './data.js';

/** What is smaller than in the paper, and why; told once, with Table 2. */
export const DEPARTURES: readonly string[] = [
  'Instead of CLIP ViT-B/32: a ViT of width 64 and three blocks (154,000 parameters) on 16×16 grey images, pre-trained by this library on MNIST; its head stays frozen, as in the paper.',
  'Instead of whole training sets: 20 images per class, drawn anew by each seed, and 200 steps of 32 images; batches, warm-up 3 %, cosine and α = 16 as in the paper.',
  'A learning rate and σ found on validation images with other seeds, since those of the paper belong to a model hundreds of times as large; no weight decay.',
];

/** For every experiment after Table 2. */
export const SAME_SET_UP =
  'Model, images, training and settings as in table-2: a small ViT pre-trained on MNIST, 20 images per class, 200 steps.';

/** Folders of the data directory that all five tasks need. */
export const ALL_FOLDERS: readonly string[] = TASKS.map((task) => TASK_FOLDERS[task]);

export const ACCURACY: Shown = { measure: 'accuracy', format: 'percent', better: 'higher' };

/** A line for each task that has results. */
export const taskLines = (results: readonly CellResult[]): readonly Line[] =>
  valuesOf<TaskName>(results, 'task').map((task) => ({
    label: TASK_LABELS[task],
    where: { task },
  }));
