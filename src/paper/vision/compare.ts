/** Experiments that compare methods on a few tasks: Tables 5, 6 and A4 in their vision form. */

import { hasMethod } from '../../finetune/methods.js';
import { type Changes, seedsOf, settingsText, someTasks } from '../cells.js';
import type { Cell, CellResult, Experiment, Section, Surroundings } from '../experiment.js';
import {
  type Comparison,
  differencesTable,
  type Line,
  measuresTable,
  resultsTable,
  type Where,
} from '../tables.js';
import { isSearched, settingsOf, visionCell } from './cells.js';
import { TASK_FOLDERS, type TaskName } from './data.js';
import { prepareVision, runCell, type VisionPremises } from './run.js';
import { ACCURACY, SAME_SET_UP, taskLines } from './texts.js';

/** A way to fine-tune: a method, with settings of its own where two ways are of one method. */
export interface Way {
  readonly label: string;
  readonly method: string;
  /** Tells ways of one method apart; part of the cell. */
  readonly way?: string;
  readonly changes?: Changes;
}

export interface ComparisonOfWays {
  readonly name: string;
  readonly counterpart: string;
  readonly departures?: readonly string[];
  readonly tasks: readonly TaskName[];
  readonly ways: readonly Way[];
  /** Each way minus which other one, by label. */
  readonly pairs: readonly (readonly [string, string])[];
  /** Rows of the paper's own table. */
  readonly paper: {
    readonly head: readonly string[];
    readonly rows: readonly (readonly string[])[];
  };
  readonly paragraphs?: readonly string[];
}

/** The ways whose methods are there. */
const available = (ways: readonly Way[]): readonly Way[] =>
  ways.filter(({ method }) => hasMethod(method));

const whereOf = ({ method, way }: Way): Where => (way === undefined ? { method } : { method, way });

/** Ways down: accuracy on each task, losses over all tasks. */
function sections(
  results: readonly CellResult[],
  { ways, pairs, paper, paragraphs = [] }: ComparisonOfWays,
): readonly Section[] {
  const there = available(ways);
  const rows: readonly Line[] = there.map((way) => ({ label: way.label, where: whereOf(way) }));
  const named = new Map(rows.map((row) => [row.label, row.where]));
  const columns = taskLines(results);
  const comparisons = pairs.flatMap(([a, b]): Comparison[] => {
    const [x, y] = [named.get(a), named.get(b)];
    return x === undefined || y === undefined
      ? []
      : [{ label: `${a} − ${b}, all tasks`, a: x, b: y }];
  });
  return [
    {
      title: 'Accuracy on the test set',
      paragraphs,
      tables: [
        resultsTable('Accuracy (%), mean ± sd over seeds', results, rows, columns, ACCURACY),
        differencesTable(
          'Differences (points), paired by task and seed',
          results,
          comparisons,
          ACCURACY,
        ),
        measuresTable('Losses, mean ± sd over seeds and tasks', results, rows, [
          { label: 'Training loss', measure: 'trainLoss', format: 'significant' },
          { label: 'Test loss', measure: 'testLoss', format: 'significant' },
          { label: 'Gap', measure: 'gap', format: 'significant' },
        ]),
        {
          caption:
            'Settings of each method, by a search with as many trials each unless said otherwise',
          head: ['', 'Settings'],
          rows: there.map(({ label, method, changes }) => [
            label,
            `${settingsText({ ...settingsOf(method), ...changes })}${isSearched(method) ? '' : ' (not searched)'}`,
          ]),
          numeric: false,
        },
        { caption: "The paper's own numbers (%)", numeric: true, ...paper },
      ],
      figures: [],
    },
  ];
}

/** An experiment of some ways on some tasks. */
export function compareWays(of: ComparisonOfWays): Experiment<VisionPremises> {
  return {
    name: of.name,
    counterpart: of.counterpart,
    departures: [...(of.departures ?? []), SAME_SET_UP],
    data: of.tasks.map((task) => TASK_FOLDERS[task]),
    cells: (surroundings: Surroundings): readonly Cell[] =>
      someTasks(of.tasks, surroundings).flatMap((task) =>
        available(of.ways).flatMap(({ method, way, changes }) =>
          seedsOf(surroundings).map((seed) =>
            visionCell(surroundings, task, method, seed, {
              ...changes,
              ...(way !== undefined && { way }),
            }),
          ),
        ),
      ),
    prepare: prepareVision,
    run: runCell,
    report: (results) => sections(results, of),
  };
}

/** A way for a method by its own name. */
export const plainWay = (label: string, method: string): Way => ({ label, method });
