/** Lines of several methods over one axis: with a band (curves) or with error bars (points). */
import { scaleLinear } from 'd3-scale';
import { element, type Markup } from '../markup.js';
import type { BandPoint } from './curves.js';
import {
  type AxisText,
  axes,
  type ChartText,
  MARGIN,
  marker,
  pathData,
  type Scale,
  seriesColour,
  seriesDash,
  svg,
  ticksOf,
  WIDTH,
} from './frame.js';

const HEIGHT = 260;

export interface Series {
  readonly label: string;
  /** Which colour and marker: the position of the method in the summary. */
  readonly style: number;
  readonly points: readonly BandPoint[];
}

export interface LineChart extends ChartText {
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  /** Spread as a shaded band, or as an error bar with a marker at every point. */
  readonly spread: 'band' | 'bars';
  /** Whether the y axis starts at zero. */
  readonly fromZero: boolean;
  /** Ticks of the x axis; chosen by the scale where absent. */
  readonly xTicks?: AxisText['ticks'];
  /** How a y value is written in a tooltip. */
  readonly format: (value: number) => string;
}

/** The chart, or null when no series has a point. */
export function lineChart(chart: LineChart): Markup | null {
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) return null;
  const x = scaleLinear()
    .domain(
      extent([...points.map((point) => point.x), ...(chart.xTicks ?? []).map(({ at }) => at)]),
    )
    .range([MARGIN.left + (chart.spread === 'bars' ? 14 : 0), WIDTH - MARGIN.right]);
  const y = scaleLinear()
    .domain(
      extent([...points.flatMap(({ low, high }) => [low, high]), ...(chart.fromZero ? [0] : [])]),
    )
    .nice(5)
    .range([HEIGHT - MARGIN.bottom, MARGIN.top]);
  const draw = chart.spread === 'band' ? bandSeries : barSeries;
  return svg(
    chart,
    HEIGHT,
    axes(
      x,
      y,
      { label: chart.xLabel, ticks: chart.xTicks ?? ticksOf(x, 5) },
      { label: chart.yLabel, ticks: ticksOf(y, 5) },
    ),
    chart.series.map((series, i) => draw(chart, series, x, y, i - (chart.series.length - 1) / 2)),
  );
}

/**
 * Smallest and largest. Where they are equal, or differ by rounding only, they are moved apart, so
 * that a scale always has a length and round ticks.
 */
export function extent(values: readonly number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low > 1e-9 * size && size > 1e-200) return [low, high];
  const pad = size > 1e-200 ? 0.05 * size : 0.5;
  return [low - pad, high + pad];
}

function bandSeries(_chart: LineChart, series: Series, x: Scale, y: Scale): Markup[] {
  const { points, style } = series;
  const upper = points.map(({ x: at, high }) => [x(at), y(high)] as const);
  const lower = points.map(({ x: at, low }) => [x(at), y(low)] as const).reverse();
  const band = element('path', {
    class: 'band',
    fill: seriesColour(style),
    d: pathData([...upper, ...lower], true),
  });
  return [
    ...(points.some(({ low, high }) => low < high) ? [band] : []),
    line(series, x, y, 0),
    // A single point has no line: without a marker it would not be seen.
    ...(points.length === 1 ? points.map((point) => marker(style, x(point.x), y(point.mean))) : []),
  ];
}

function barSeries(chart: LineChart, series: Series, x: Scale, y: Scale, place: number): Markup[] {
  // Side by side by a few pixels: error bars on one another could not be told apart.
  const shift = place * 6;
  const stroke = seriesColour(series.style);
  return [
    line(series, x, y, shift),
    ...series.points.map((point) => {
      const at = x(point.x) + shift;
      const [high, low] = [y(point.high), y(point.low)];
      return element(
        'g',
        {},
        element('path', {
          class: 'error',
          stroke,
          d: `${pathData([
            [at, high],
            [at, low],
          ])}${pathData([
            [at - 3, high],
            [at + 3, high],
          ])}${pathData([
            [at - 3, low],
            [at + 3, low],
          ])}`,
        }),
        marker(series.style, at, y(point.mean), `${series.label}: ${chart.format(point.mean)}`),
      );
    }),
  ];
}

const line = ({ points, style }: Series, x: Scale, y: Scale, shift: number): Markup =>
  element('path', {
    class: 'line',
    stroke: seriesColour(style),
    'stroke-dasharray': seriesDash(style),
    d: pathData(points.map((point) => [x(point.x) + shift, y(point.mean)])),
  });
