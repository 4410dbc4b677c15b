/** Experiments that compare methods on a few text tasks: Tables 5, 6 and A4. */

import { hasMethod } from '../../finetune/methods.js';
import { type Changes, seedsOf, someTasks } from '../cells.js';
import type { Cell, CellResult, Experiment, Section, Surroundings } from '../experiment.js';
import {
  type Comparison,
  differencesTable,
  type Line,
  measuresTable,
  resultsTable,
  type Where,
} from '../tables.js';
import { isTimed, settingsOf, textCell, timed } from './cells.js';
import type { TaskName } from './data.js';
import { prepareText, runCell, type TextPremises } from './run.js';
import { ACCURACY, COLA_LINES, foldersOf, SAME_SET_UP, settingsRows, taskLines } from './texts.js';

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
  /** Whether a step of each way is timed, too. */
  readonly timed?: boolean;
}

/** The ways whose methods are there. */
const available = (ways: readonly Way[]): readonly Way[] =>
  ways.filter(({ method }) => hasMethod(method));

const whereOf = ({ method, way }: Way): Where => (way === undefined ? { method } : { method, way });

const LOSSES = [
  { label: 'Training loss', measure: 'trainLoss', format: 'significant' },
  { label: 'Test loss', measure: 'testLoss', format: 'significant' },
  { label: 'Gap', measure: 'gap', format: 'significant' },
] as const;

const COSTS = [
  { label: 'Step (ms)', measure: 'secondsPerStep', format: 'milliseconds' },
  { label: 'Memory between steps (bytes)', measure: 'liveBytes', format: 'count' },
] as const;

/** Ways down: accuracy on each task, losses over all tasks. */
function sections(
  all: readonly CellResult[],
  { ways, pairs, paper, timed: hasTimes = false }: ComparisonOfWays,
): readonly Section[] {
  const results = all.filter(({ cell }) => !isTimed(cell));
  const times = all.filter(({ cell }) => isTimed(cell));
  const there = available(ways);
  const rows: readonly Line[] = there.map((way) => ({ label: way.label, where: whereOf(way) }));
  const named = new Map(rows.map((row) => [row.label, row.where]));
  const comparisons = pairs.flatMap(([a, b]): Comparison[] => {
    const [x, y] = [named.get(a), named.get(b)];
    return x === undefined || y === undefined
      ? []
      : [{ label: `${a} − ${b}, all tasks`, a: x, b: y }];
  });
  const lines = taskLines(results);
  const hasCola = lines.some(({ where }) => where.task === 'cola');
  const columns = [...lines, ...(hasCola ? COLA_LINES : [])];
  return [
    {
      title: 'Scores on the test sets',
      paragraphs: [],
      tables: [
        resultsTable(
          'Accuracy (%) or correlation × 100, mean ± sd over seeds',
          results,
          rows,
          columns,
          ACCURACY,
        ),
        differencesTable(
          'Differences of accuracies (points), paired by task and seed',
          results,
          comparisons,
          ACCURACY,
        ),
        measuresTable('Mean ± sd over seeds and tasks', results, rows, LOSSES),
        ...(hasTimes
          ? [measuresTable('Time and memory, mean ± sd over tasks', times, rows, COSTS)]
          : []),
        {
          caption: 'Settings of each method',
          head: ['', 'Settings'],
          rows: settingsRows(
            there.map(({ label, method }) => ({ label, settings: settingsOf(method) })),
          ),
          numeric: false,
        },
        { caption: "The paper's own numbers (%)", numeric: true, ...paper },
      ],
      figures: [],
    },
  ];
}

/** An experiment of some ways on some tasks. */
export function compareWays(of: ComparisonOfWays): Experiment<TextPremises> {
  return {
    name: of.name,
    counterpart: of.counterpart,
    departures: [...(of.departures ?? []), SAME_SET_UP],
    data: foldersOf(of.tasks),
    alone: isTimed,
    cells: (surroundings: Surroundings): readonly Cell[] =>
      someTasks(of.tasks, surroundings).flatMap((task) =>
        available(of.ways).flatMap(({ method, way, changes }) => {
          const cells = seedsOf(surroundings).map((seed) =>
            textCell(surroundings, task, method, seed, {
              ...changes,
              ...(way !== undefined && { way }),
            }),
          );
          return of.timed ? [...cells, ...cells.slice(0, 1).map(timed)] : cells;
        }),
      ),
    prepare: prepareText,
    run: runCell,
    report: (results) => sections(results, of),
  };
}

/** A way for a method by its own name. */
export const plainWay = (label: string, method: string): Way => ({ label, method });
