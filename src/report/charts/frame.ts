/**
 * What the two-dimensional charts share: the accessible SVG shell, axes, colours and markers.
 *
 * The charts are our own: d3-scale and d3-contour do the arithmetic (ticks, isolines), a few lines
 * draw. A chart library would save little beside the 3-D surfaces, which none draws as SVG without
 * a DOM, and it would write fixed colours where these use the page's variables and so follow dark
 * mode and print.
 */
import type { ScaleLinear } from 'd3-scale';
import { type Child, element, hundredths, type Markup } from '../markup.js';

export type Scale = ScaleLinear<number, number>;

/** All charts are drawn for this width, which is about one phone or one column of three. */
export const WIDTH = 360;

/** Free space around the plot area for tick labels and axis titles. */
export const MARGIN = { top: 10, right: 12, bottom: 42, left: 48 } as const;

/** How many series have colours and markers of their own; further ones repeat them. */
export const STYLES = 6;

/** The colour of series i: a variable of the style sheet. */
export const seriesColour = (i: number): string => `var(--series-${i % STYLES})`;

const DASHES: readonly (string | null)[] = [null, '6 3', '2 2', '8 3 2 3', '10 4', '4 4'];

/** Dash pattern of series i, so that lines differ without colour too. */
export const seriesDash = (i: number): string | null => DASHES[i % STYLES] ?? null;

export interface ChartText {
  /** Unique in the page; the title and description take their identifiers from it. */
  readonly id: string;
  readonly title: string;
  /** What the chart shows, for those who do not see it. */
  readonly description: string;
}

/** An SVG image with its title and description. */
export const svg = (text: ChartText, height: number, ...children: Child[]): Markup =>
  element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: 'img',
      'aria-labelledby': `${text.id}-title ${text.id}-desc`,
    },
    element('title', { id: `${text.id}-title` }, text.title),
    element('desc', { id: `${text.id}-desc` }, text.description),
    ...children,
  );

/** Points as the `d` of a path; closed where asked. */
export const pathData = (points: readonly (readonly [number, number])[], close = false): string =>
  points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${hundredths(x)},${hundredths(y)}`).join('') +
  (close ? 'Z' : '');

export interface AxisText {
  readonly label: string;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

/** Grid lines, tick labels and axis titles of a plot whose scales have pixel ranges. */
export function axes(x: Scale, y: Scale, xAxis: AxisText, yAxis: AxisText): readonly Markup[] {
  const [left = 0, right = 0] = x.range();
  const [bottom = 0, top = 0] = y.range();
  return [
    ...yAxis.ticks.flatMap(({ at, text }) => [
      element('line', { class: 'grid', x1: left, x2: right, y1: y(at), y2: y(at) }),
      element('text', { x: left - 6, y: y(at) + 4, 'text-anchor': 'end' }, text),
    ]),
    ...xAxis.ticks.flatMap(({ at, text }) => [
      element('line', { class: 'axis', x1: x(at), x2: x(at), y1: bottom, y2: bottom + 4 }),
      element('text', { x: x(at), y: bottom + 16, 'text-anchor': 'middle' }, text),
    ]),
    element('line', { class: 'axis', x1: left, x2: right, y1: bottom, y2: bottom }),
    element(
      'text',
      { class: 'name', x: (left + right) / 2, y: bottom + 34, 'text-anchor': 'middle' },
      xAxis.label,
    ),
    element(
      'text',
      {
        class: 'name',
        transform: `translate(12 ${hundredths((top + bottom) / 2)}) rotate(-90)`,
        'text-anchor': 'middle',
      },
      yAxis.label,
    ),
  ];
}

/** A scale's ticks with its own texts. */
export const ticksOf = (scale: Scale, count: number): AxisText['ticks'] => {
  const format = scale.tickFormat(count);
  return scale.ticks(count).map((at) => ({ at, text: format(at) }));
};

const SHAPES: readonly (readonly (readonly [number, number])[])[] = [
  Array.from({ length: 12 }, (_, k) => [Math.cos((k * Math.PI) / 6), Math.sin((k * Math.PI) / 6)]),
  [
    [-0.9, -0.9],
    [0.9, -0.9],
    [0.9, 0.9],
    [-0.9, 0.9],
  ],
  [
    [0, -1.2],
    [1.1, 0.8],
    [-1.1, 0.8],
  ],
  [
    [0, -1.3],
    [1.1, 0],
    [0, 1.3],
    [-1.1, 0],
  ],
  [
    [0, 1.2],
    [1.1, -0.8],
    [-1.1, -0.8],
  ],
  [
    [-1.2, -0.5],
    [1.2, -0.5],
    [1.2, 0.5],
    [-1.2, 0.5],
  ],
];

/** The marker of series i at a point, with an optional tooltip. */
export const marker = (i: number, x: number, y: number, tip?: string, size = 4): Markup =>
  element(
    'path',
    {
      class: 'marker',
      fill: seriesColour(i),
      d: pathData(
        (SHAPES[i % STYLES] ?? []).map(([dx, dy]) => [x + size * dx, y + size * dy]),
        true,
      ),
    },
    ...(tip === undefined ? [] : [element('title', {}, tip)]),
  );
