/** Horizontal bars from zero: the mean of each method, its spread, and every seed as a dot. */
import { scaleLinear } from 'd3-scale';
import { element, type Markup } from '../markup.js';
import { bandPoint } from './curves.js';
import { type ChartText, seriesColour, svg, ticksOf, WIDTH } from './frame.js';
import { extent } from './lineChart.js';

const ROW = 46;
const LEFT = 16;
const RIGHT = 16;

export interface Bar {
  readonly label: string;
  /** The mean and spread as text. */
  readonly text: string;
  readonly style: number;
  /** One per seed, finite. */
  readonly values: readonly number[];
}

export interface BarChart extends ChartText {
  readonly xLabel: string;
  readonly bars: readonly Bar[];
}

/** The chart, or null when no bar has a value. A bar without values keeps its label. */
export function barChart(chart: BarChart): Markup | null {
  const points = chart.bars.map(({ values }) => (values.length > 0 ? bandPoint(0, values) : null));
  const all = [
    ...chart.bars.flatMap(({ values }) => values),
    ...points.flatMap((point) => (point === null ? [] : [point.low, point.high])),
  ];
  if (all.length === 0) return null;
  const x = scaleLinear()
    .domain(extent([0, ...all]))
    .nice(5)
    .range([LEFT, WIDTH - RIGHT]);
  const bottom = 6 + ROW * chart.bars.length;
  const rows = chart.bars.map((bar, i) => {
    const top = 6 + ROW * i;
    const point = points[i] ?? null;
    const middle = top + 29;
    return element(
      'g',
      {},
      element('text', { class: 'strong', x: LEFT, y: top + 12 }, bar.label),
      element('text', { x: WIDTH - RIGHT, y: top + 12, 'text-anchor': 'end' }, bar.text),
      ...(point === null
        ? []
        : [
            element('rect', {
              class: 'bar',
              fill: seriesColour(bar.style),
              x: Math.min(x(0), x(point.mean)),
              y: middle - 9,
              width: Math.abs(x(point.mean) - x(0)),
              height: 18,
            }),
            element('path', {
              class: 'whisker',
              d:
                `M${x(point.low).toFixed(2)},${middle}H${x(point.high).toFixed(2)}` +
                [point.low, point.high]
                  .map((end) => `M${x(end).toFixed(2)},${middle - 4}v8`)
                  .join(''),
            }),
          ]),
      ...bar.values.map((value) =>
        element('circle', { class: 'seed', cx: x(value), cy: middle + 5, r: 2.5 }),
      ),
    );
  });
  return svg(
    chart,
    bottom + 42,
    ticksOf(x, 5).flatMap(({ at, text }) => [
      element('line', { class: 'grid', x1: x(at), x2: x(at), y1: 6, y2: bottom }),
      element('text', { x: x(at), y: bottom + 16, 'text-anchor': 'middle' }, text),
    ]),
    rows,
    element('line', { class: 'axis', x1: x(0), x2: x(0), y1: 6, y2: bottom }),
    element(
      'text',
      { class: 'name', x: WIDTH / 2, y: bottom + 34, 'text-anchor': 'middle' },
      chart.xLabel,
    ),
  );
}
