/** Pictures of results: charts of the report room with their legends inside, as one `svg` each. */
import type { PairedDifference } from '../report/index.js';
import {
  type BandPoint,
  bandOverSeeds,
  bandPoint,
  barChart,
  element,
  type LineChart,
  lineChart,
  type Markup,
  marker,
  type Series,
  seriesColour,
  seriesDash,
  WIDTH,
} from '../report/parts.js';
import type { CellResult, Figure } from './experiment.js';
import { measured, select, type Where } from './tables.js';

const ROW = 18;

/** Rows of a legend, as many entries in each as fit (about 6.4 pixels a character). */
function legendRows(series: readonly Series[]): readonly (readonly [Series, number])[][] {
  const rows: [Series, number][][] = [[]];
  let x = 8;
  for (const one of series) {
    const width = 44 + 6.4 * one.label.length;
    if (x + width > WIDTH && rows.at(-1)?.length !== 0) {
      rows.push([]);
      x = 8;
    }
    rows.at(-1)?.push([one, x]);
    x += width;
  }
  return rows;
}

const heightOf = (markup: string): number => Number(/viewBox="0 0 \S+ (\S+)"/.exec(markup)?.[1]);

/** An svg with others below one another; each keeps its own coordinates. */
function stacked(parts: readonly { readonly markup: Markup; readonly height: number }[]): string {
  let y = 0;
  const placed = parts.map(({ markup, height }) => {
    const inner = {
      markup: markup.markup.replace('<svg ', `<svg width="${WIDTH}" height="${height}" y="${y}" `),
    };
    y += height;
    return inner;
  });
  return element(
    'svg',
    { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${WIDTH} ${y}` },
    ...placed,
  ).markup;
}

function legend(series: readonly Series[]): { readonly markup: Markup; readonly height: number } {
  const rows = legendRows(series);
  const height = ROW * rows.length + 4;
  const entries = rows.flatMap((row, r) =>
    row.flatMap(([{ label, style }, x]) => {
      const y = 12 + ROW * r;
      return [
        element('path', {
          class: 'line',
          stroke: seriesColour(style),
          'stroke-dasharray': seriesDash(style),
          d: `M${x},${y}h26`,
        }),
        marker(style, x + 13, y),
        element('text', { x: x + 32, y: y + 4 }, label),
      ];
    }),
  );
  return {
    markup: element(
      'svg',
      { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${WIDTH} ${height}` },
      ...entries,
    ),
    height,
  };
}

export interface Lines extends Omit<LineChart, 'description' | 'format' | 'fromZero'> {
  readonly caption: string;
  readonly fromZero?: boolean;
}

/** A line chart with its legend; no figure when nothing was measured. */
export function lines({ caption, fromZero = false, ...chart }: Lines): readonly Figure[] {
  const series = chart.series.filter(({ points }) => points.length > 0);
  const drawn = lineChart({
    ...chart,
    series,
    fromZero,
    description: caption,
    format: (value) => String(Number(value.toPrecision(4))),
  });
  if (drawn === null) return [];
  const plot = { markup: drawn, height: heightOf(drawn.markup) };
  return [{ caption, svg: stacked(series.length > 1 ? [legend(series), plot] : [plot]) }];
}

/** A point for each x whose cells were measured: mean ± sample standard deviation over seeds. */
export const pointsOver = (
  results: readonly CellResult[],
  xs: readonly { readonly at: number; readonly where: Where }[],
  measure: string,
  factor = 1,
): readonly BandPoint[] =>
  xs.flatMap(({ at, where }) => {
    const values = measured(results, where, measure).filter(Number.isFinite);
    return values.length === 0
      ? []
      : [
          bandPoint(
            at,
            values.map((v) => factor * v),
          ),
        ];
  });

/** A point of a paired difference: its mean, its 95 % interval as the bar. */
export const differencePoint = (
  at: number,
  { mean, low, high }: PairedDifference,
  factor = 1,
): readonly BandPoint[] =>
  mean === null
    ? []
    : [
        {
          x: at,
          mean: factor * mean,
          low: factor * (low ?? mean),
          high: factor * (high ?? mean),
        },
      ];

/** Points without spread, such as the paper's. */
export const plainPoints = (points: readonly (readonly [number, number])[]): readonly BandPoint[] =>
  points.map(([x, y]) => ({ x, mean: y, low: y, high: y }));

/** A curve that the cells measured, mean ± standard deviation over seeds. */
export const curvesOver = (
  results: readonly CellResult[],
  where: Where,
  measure: string,
): readonly BandPoint[] =>
  bandOverSeeds(
    select(results, where).flatMap(({ measures }) => {
      const curve = measures[measure];
      return Array.isArray(curve) ? [curve as readonly (readonly [number, number])[]] : [];
    }),
  );

export interface Bars {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  readonly xLabel: string;
  readonly bars: readonly {
    readonly label: string;
    readonly text: string;
    readonly values: readonly number[];
  }[];
}

/** Horizontal bars from zero: mean, spread, and every seed as a dot. */
export function bars({ caption, bars: given, ...chart }: Bars): readonly Figure[] {
  const drawn = barChart({
    ...chart,
    description: caption,
    bars: given.map((bar, style) => ({
      ...bar,
      style,
      values: bar.values.filter(Number.isFinite),
    })),
  });
  return drawn === null ? [] : [{ caption, svg: drawn.markup }];
}
