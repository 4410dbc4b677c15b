/**
 * From results to tables: means over seeds, and differences of two ways to do a thing, paired by seed
 * with a 95 % interval. Seeds that are missing or diverged are left out and counted.
 */
import { FlatloraError } from '../autodiff/index.js';
import {
  aggregate,
  type PairedDifference,
  pairedDifference,
  type Table,
  verdictOf,
} from '../report/index.js';
import { type Format, formatMeasured, formatSigned, MISSING } from '../report/parts.js';
import type { Cell, CellResult } from './experiment.js';

/** Which cells: those that have all of these settings. */
export type Where = Readonly<Record<string, string | number>>;

export const select = (results: readonly CellResult[], where: Where): readonly CellResult[] =>
  results.filter(({ cell }) =>
    Object.entries(where).every(([name, value]) => cell[name] === value),
  );

/** The different values of a setting, in the order of the cells. */
export const valuesOf = <T extends Cell[string]>(
  results: readonly CellResult[],
  name: string,
): readonly T[] => [...new Set(results.map(({ cell }) => cell[name] as T))];

const numberOf = ({ measures }: CellResult, measure: string): number => {
  const value = measures[measure];
  return typeof value === 'number' ? value : Number.NaN;
};

/** A measure of the cells that fit, in their order. */
export const measured = (
  results: readonly CellResult[],
  where: Where,
  measure: string,
): readonly number[] => select(results, where).map((result) => numberOf(result, measure));

/** A measure and how it is shown; `percent` takes fractions. */
export interface Shown {
  readonly measure: string;
  readonly format: Format;
  /** Which direction is wanted; it decides the words "better" and "worse", nothing else. */
  readonly better?: 'higher' | 'lower';
}

/** "64.3 ± 1.2"; "(4 of 5)" where runs have no number. */
export function meanText(values: readonly number[], format: Format): string {
  const { mean, standardDeviation, n, seeds } = aggregate(values);
  if (n === 0) return MISSING;
  const spread =
    standardDeviation === null ? '' : ` ± ${formatMeasured(standardDeviation, format, 2)}`;
  return `${formatMeasured(mean, format)}${spread}${n < seeds ? ` (${n} of ${seeds})` : ''}`;
}

/** What pairs agree in. */
const PAIRED_BY = ['task', 'seed'];

/**
 * `a − b` over the pairs of cells with the same seed and the same task: over seeds where `a` and `b`
 * name a task, else over tasks and seeds.
 * @throws FlatloraError 'argument' when two cells of `b` have the same task and seed.
 */
export function difference(
  results: readonly CellResult[],
  a: Where,
  b: Where,
  measure: string,
): PairedDifference {
  const pair = ({ cell }: CellResult) => JSON.stringify(PAIRED_BY.map((name) => cell[name]));
  const partners = new Map<string, CellResult>();
  for (const result of select(results, b)) {
    if (partners.has(pair(result))) {
      throw new FlatloraError(
        'argument',
        `difference: two cells of ${JSON.stringify(b)} have ${PAIRED_BY} ${pair(result)}, expected one`,
      );
    }
    partners.set(pair(result), result);
  }
  const pairs = select(results, a).flatMap((result) => {
    const partner = partners.get(pair(result));
    return partner === undefined ? [] : [[result, partner] as const];
  });
  return pairedDifference(
    pairs.map(([x]) => numberOf(x, measure)),
    pairs.map(([, y]) => numberOf(y, measure)),
  );
}

/** "higher (better)", "no difference shown", "too few pairs". */
export function verdictText(d: PairedDifference, better: Shown['better']): string {
  const verdict = verdictOf(d);
  if (verdict === 'none') return 'too few pairs';
  if (verdict === 'no difference shown' || better === undefined) return verdict;
  return `${verdict} (${verdict === better ? 'better' : 'worse'})`;
}

/** A line of a table of differences: what is compared, and where. */
export interface Comparison {
  readonly label: string;
  readonly a: Where;
  readonly b: Where;
  /** The same difference in the paper, as text. */
  readonly paper?: string;
  /** Another measure than that of the table. */
  readonly measure?: string;
}

/** Comparisons down; mean ± sd of the difference, its interval, and what it shows. */
export function differencesTable(
  caption: string,
  results: readonly CellResult[],
  comparisons: readonly Comparison[],
  { measure, format, better }: Shown,
): Table {
  const hasPaper = comparisons.some(({ paper }) => paper !== undefined);
  return {
    caption,
    head: [
      'Difference',
      'Mean ± sd',
      '95 % interval',
      'Shown',
      'Pairs',
      ...(hasPaper ? ['In the paper'] : []),
    ],
    rows: comparisons.map(({ label, a, b, paper, measure: own }) => {
      const d = difference(results, a, b, own ?? measure);
      const spread =
        d.standardDeviation === null ? '' : ` ± ${formatMeasured(d.standardDeviation, format, 2)}`;
      return [
        label,
        d.n === 0 ? MISSING : `${formatSigned(d.mean, format)}${spread}`,
        d.low === null
          ? MISSING
          : `${formatSigned(d.low, format)} to ${formatSigned(d.high, format)}`,
        verdictText(d, better),
        String(d.n),
        ...(hasPaper ? [paper ?? ''] : []),
      ];
    }),
    numeric: true,
  };
}

/** A row or column of a table of results. */
export interface Line {
  readonly label: string;
  readonly where: Where;
  /** Another measure than that of the table. */
  readonly measure?: string;
}

/** Rows and columns of conditions, mean ± sample standard deviation over seeds in each field. */
export const resultsTable = (
  caption: string,
  results: readonly CellResult[],
  rows: readonly Line[],
  columns: readonly Line[],
  { measure, format }: Shown,
): Table => ({
  caption,
  head: ['', ...columns.map(({ label }) => label)],
  rows: rows.map((row) => [
    row.label,
    ...columns.map((column) =>
      meanText(
        measured(
          results,
          { ...row.where, ...column.where },
          row.measure ?? column.measure ?? measure,
        ),
        format,
      ),
    ),
  ]),
  numeric: true,
});

/** Rows of conditions, a column for each measure. */
export const measuresTable = (
  caption: string,
  results: readonly CellResult[],
  rows: readonly Line[],
  columns: readonly (Shown & { readonly label: string })[],
): Table => ({
  caption,
  head: ['', ...columns.map(({ label }) => label)],
  rows: rows.map(({ label, where }) => [
    label,
    ...columns.map(({ measure, format }) => meanText(measured(results, where, measure), format)),
  ]),
  numeric: true,
});

/** How all intervals are to be read; once in a report. */
export const HOW_TO_READ =
  'Intervals are Student-t intervals of the paired mean over seeds, each at 95 % and not corrected for ' +
  'their number: where there is no difference at all, about one in twenty leaves out zero. A seed ' +
  'decides the training examples, the start of the adapters, the order of batches and the noise.';
