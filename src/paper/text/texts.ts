/** What the reports of all text experiments say alike. */
import { textFolder } from '../../data/index.js';
import { settingsText } from '../cells.js';
import type { CellResult } from '../experiment.js';
import type { Settings } from '../search.js';
import { type Line, type Shown, valuesOf } from '../tables.js';
import { TASK_NAMES, type TaskName } from './data.js';
import { TASKS } from './tasks.js';

/** What is smaller than in the paper, and why; told once, with Table 1. */
export const DEPARTURES: readonly string[] = [
  'Instead of T5-base: an encoder–decoder of 0.6 million parameters (width 96, two blocks each side) with a vocabulary of 2,048, both made by this library from small corpora: span corruption, swapped words, and labelled tasks. T5’s checkpoints were trained on GLUE’s training sets, too; here the even rows of SST-2’s and CoLA’s training files are for the pre-training, the odd ones for fine-tuning. MRPC and RTE are new to the model.',
  'Instead of whole training sets: 1,000 examples, drawn anew by each seed, and 150 steps of 32; polarity (the sentences that are no phrase of SST-2) and RTE instead of MNLI and QNLI, whose training sets are not at hand.',
  'Prompts and answers as in the paper; scored by the likelier of the two words at the first position of the decoder. Tests are on GLUE’s development sets as in the paper, but settings are chosen on 300 other training examples, and no checkpoint is chosen.',
  'The learning rates are those of a small model.',
];

/** For every experiment after Table 1. */
export const SAME_SET_UP =
  'Model, prompts, training and settings as in table-1: a small encoder–decoder pre-trained here, 1,000 examples, 150 steps.';

export const ACCURACY: Shown = { measure: 'accuracy', format: 'percent', better: 'higher' };

/** Folders of the data directory. */
export const foldersOf = (tasks: readonly TaskName[]): readonly string[] => tasks.map(textFolder);

export const TASK_LABELS: Readonly<Record<TaskName, string>> = Object.fromEntries(
  TASK_NAMES.map((name) => [name, TASKS[name].label]),
) as Record<TaskName, string>;

/** A line for each task that has results. */
export const taskLines = (results: readonly CellResult[]): readonly Line[] =>
  valuesOf<TaskName>(results, 'task').map((task) => ({
    label: TASK_LABELS[task],
    where: { task },
  }));

/** CoLA's other scores: Matthews' correlation, and both out of domain. */
export const COLA_LINES: readonly Line[] = [
  { label: 'CoLA, Matthews', where: { task: 'cola' }, measure: 'matthews' },
  { label: 'CoLA out of domain', where: { task: 'cola' }, measure: 'otherAccuracy' },
  { label: 'CoLA out of domain, Matthews', where: { task: 'cola' }, measure: 'otherMatthews' },
];

export const settingsRows = (
  of: readonly { readonly label: string; readonly settings: Settings }[],
) => of.map(({ label, settings }) => [label, settingsText(settings)]);
