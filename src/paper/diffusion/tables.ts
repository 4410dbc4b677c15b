/** The tables and charts of Figure 3's scores. */
import type { Table } from '../../report/index.js';
import { differencePoint, lines } from '../charts.js';
import type { CellResult, Figure, Surroundings } from '../experiment.js';
import {
  difference,
  differencesTable,
  type Line,
  measuresTable,
  type Shown,
  select,
  type Where,
} from '../tables.js';
import { lengths, SIGMA, SIGMAS } from './cells.js';

interface Column extends Shown {
  readonly label: string;
}

const COLUMNS: readonly Column[] = [
  {
    label: 'Content, classes shown (%)',
    measure: 'contentShown',
    format: 'percent',
    better: 'higher',
  },
  {
    label: 'Content, classes withheld (%)',
    measure: 'contentWithheld',
    format: 'percent',
    better: 'higher',
  },
  {
    label: 'Style, classes shown: distance from the square',
    measure: 'styleShown',
    format: 'significant',
    better: 'lower',
  },
  {
    label: 'Style, classes withheld',
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

const lora = (steps: number): Where => ({ method: 'lora', steps });
const flatLora = (steps: number, sigma: number): Where => ({ method: 'flat-lora', steps, sigma });

const UNTRAINED: readonly [Line, Line] = [
  { label: 'Before adaptation', where: { method: 'before' } },
  { label: 'Real digits in the style', where: { method: 'real' } },
];

/** What the paper did, and what it started from. */
export function mainTables(
  results: readonly CellResult[],
  surroundings: Surroundings,
): readonly Table[] {
  const [steps] = lengths(surroundings);
  const caption = `${steps} steps, σ = ${SIGMA}: Flat-LoRA minus LoRA, paired by seed`;
  const pair = { a: flatLora(steps, SIGMA), b: lora(steps) };
  const differences = COLUMNS.map((column) =>
    differencesTable(caption, results, [{ label: column.label, ...pair }], column),
  );
  return [
    measuresTable(
      `${steps} steps, σ = ${SIGMA}: mean ± sd over seeds`,
      results,
      [
        UNTRAINED[0],
        { label: 'LoRA', where: pair.b },
        { label: 'Flat-LoRA', where: pair.a },
        UNTRAINED[1],
      ],
      COLUMNS,
    ),
    { ...(differences[0] as Table), rows: differences.flatMap(({ rows }) => rows) },
  ];
}

/** The lengths of which there are results. */
const lengthsIn = (results: readonly CellResult[], surroundings: Surroundings) =>
  lengths(surroundings).filter(
    (steps) => select(results, { steps, method: 'flat-lora' }).length > 0,
  );

/** Every length and σ. */
export const sweepTable = (results: readonly CellResult[], surroundings: Surroundings): Table =>
  measuresTable(
    'Mean ± sd over seeds',
    results,
    lengthsIn(results, surroundings).flatMap((steps) => [
      { label: `${steps} steps, LoRA`, where: lora(steps) },
      ...SIGMAS.map((sigma) => ({
        label: `${steps} steps, σ = ${sigma}`,
        where: flatLora(steps, sigma),
      })).filter(({ where }) => select(results, where).length > 0),
    ]),
    COLUMNS,
  );

const CHARTS = ['contentWithheld', 'distance', 'testLoss'];

/** Flat-LoRA − LoRA over σ with its interval, a line for each length. */
export const sweepCharts = (
  results: readonly CellResult[],
  surroundings: Surroundings,
): readonly Figure[] =>
  COLUMNS.filter(({ measure }) => CHARTS.includes(measure)).flatMap(
    ({ label, measure, format, better }) => {
      const factor = format === 'percent' ? 100 : 1;
      return lines({
        id: `figure-3-${measure}`,
        title: label,
        caption: `${label}: Flat-LoRA minus LoRA with its 95 % interval; ${better} is better.`,
        xLabel: 'σ',
        yLabel: format === 'percent' ? 'difference (points)' : 'difference',
        spread: 'bars',
        fromZero: true,
        xTicks: SIGMAS.map((sigma, at) => ({ at, text: String(sigma) })),
        series: lengthsIn(results, surroundings).map((steps, style) => ({
          label: `${steps} steps`,
          style,
          points: SIGMAS.flatMap((sigma, at) =>
            differencePoint(
              at,
              difference(results, flatLora(steps, sigma), lora(steps), measure),
              factor,
            ),
          ),
        })),
      });
    },
  );
