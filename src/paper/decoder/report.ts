/** What the reports of Tables 3 and 4 have alike. */
import type { Table } from '../../report/index.js';
import { settingsText } from '../cells.js';
import type { CellResult } from '../experiment.js';
import {
  differencesTable,
  type Line,
  measured,
  measuresTable,
  resultsTable,
  valuesOf,
} from '../tables.js';
import { METHODS, type ModelName, settingsOf } from './cells.js';
import type { TaskName } from './data.js';

/** What is smaller than in the paper, and why. */
export const DEPARTURES: readonly string[] = [
  'Instead of Llama 2: stories260K, a Llama of 260,000 parameters (width 64, five blocks, 512 tokens) that was trained on simple stories by others, and one of 540,000 (width 96, four blocks, 1,024 tokens) that this library pre-trained on speeches, Wikipedia, sentences of GLUE and exercises in arithmetic. 1,000 training examples, drawn anew by each seed, and 300 steps of 16.',
  'The learning rates are those of a small model.',
];

const LABELS: Readonly<Record<TaskName, string>> = {
  names: 'Names',
  shakespeare: 'Shakespeare',
  speeches: 'Inaugural addresses',
  'one-step': 'Word problems, one step',
  'two-step': 'Word problems, two steps',
  gsm8k: 'GSM8K, short problems',
  simple: 'Simple instructions',
  alpaca: 'Alpaca and seed tasks',
};

const MODELS: Readonly<Record<ModelName, string>> = { stories: 'stories260K', own: 'ours' };

/** A line for each task of each model. */
const taskLines = (results: readonly CellResult[]): readonly Line[] =>
  valuesOf<ModelName>(results, 'model').flatMap((model) =>
    valuesOf<TaskName>(
      results.filter(({ cell }) => cell.model === model),
      'task',
    ).map((task) => ({ label: `${LABELS[task]} (${MODELS[model]})`, where: { model, task } })),
  );

/** Each method's settings, in a sentence. */
export const settingsParagraph = (): string =>
  `Settings: ${METHODS.map(
    ({ label, where }) => `${label}: ${settingsText(settingsOf(where.method))}`,
  ).join('; ')}.`;

const LOSS = { measure: 'testLoss', format: 'significant', better: 'lower' } as const;
const EXACT = { measure: 'exact', format: 'percent', better: 'higher' } as const;
const PAIR = { a: { method: 'flat-lora' }, b: { method: 'lora' } } as const;

/** Losses of every task, exact matches of those that have them, and Flat-LoRA minus LoRA. */
export function scoreTables(results: readonly CellResult[]): readonly Table[] {
  const lines = taskLines(results);
  const scored = lines.filter(({ where }) =>
    measured(results, where, 'exact').some(Number.isFinite),
  );
  const pairs = (of: readonly Line[]) =>
    of.map(({ label, where }) => ({
      label,
      a: { ...PAIR.a, ...where },
      b: { ...PAIR.b, ...where },
    }));
  return [
    resultsTable(
      'Held-out loss (nats a token), mean ± sd over seeds',
      results,
      lines,
      [{ label: 'Before', where: { method: 'lora' }, measure: 'startLoss' }, ...METHODS],
      LOSS,
    ),
    differencesTable(
      'Held-out loss, Flat-LoRA minus LoRA, paired by seed',
      results,
      pairs(lines),
      LOSS,
    ),
    ...(scored.length === 0
      ? []
      : [
          resultsTable(
            'Exact match of greedily written answers (%), mean ± sd over seeds',
            results,
            scored,
            METHODS,
            EXACT,
          ),
          differencesTable(
            'Exact match, Flat-LoRA minus LoRA (points), paired by seed',
            results,
            pairs(scored),
            EXACT,
          ),
        ]),
    measuresTable('All tasks, mean ± sd over seeds and tasks', results, METHODS, [
      { label: 'Training loss', measure: 'trainLoss', format: 'significant' },
      { label: 'Held-out loss', measure: 'testLoss', format: 'significant' },
      { label: 'Gap', measure: 'gap', format: 'significant' },
    ]),
  ];
}
