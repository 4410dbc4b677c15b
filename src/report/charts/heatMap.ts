/** A loss surface from above: one square per grid point, isolines, and the colour bar. */
import { contours } from 'd3-contour';
import { scaleLinear } from 'd3-scale';
import { element, hundredths, type Markup } from '../markup.js';
import { isMeasured, type Landscape, type LandscapeSurface } from '../summary.js';
import { axes, type ChartText, pathData, svg, ticksOf } from './frame.js';
import type { HeightScale } from './heightScale.js';
import { extent } from './lineChart.js';

const SIDE = 230;
const LEFT = 52;
const TOP = 10;
const HEIGHT = TOP + SIDE + 44;
const BAR = { x: LEFT + SIDE + 14, width: 12 } as const;

export function heatMap(
  text: ChartText,
  landscape: Landscape,
  surface: LandscapeSurface,
  scale: HeightScale,
): Markup {
  const [columns, rows] = [landscape.x.length, landscape.y.length];
  // A grid point owns the square around it, so the picture reaches half a step beyond the ends.
  const x = axisScale(landscape.x).range([LEFT, LEFT + SIDE]);
  const y = axisScale(landscape.y).range([TOP + SIDE, TOP]);
  const [width, height] = [SIDE / columns, SIDE / rows];
  const squares = surface.loss.slice(0, rows).flatMap((line, row) =>
    line.slice(0, columns).map((loss, column) =>
      isMeasured(loss)
        ? element('rect', {
            x: LEFT + column * width,
            y: TOP + SIDE - (row + 1) * height,
            // A hundredth more closes the hair lines between neighbours.
            width: width + 0.4,
            height: height + 0.4,
            fill: scale.colour(loss),
          })
        : null,
    ),
  );
  return svg(
    text,
    HEIGHT,
    axes(
      x,
      y,
      { label: 'direction 1', ticks: ticksOf(x, 5) },
      { label: 'direction 2', ticks: ticksOf(y, 5) },
    ),
    element('g', { 'shape-rendering': 'crispEdges' }, squares),
    isolines(landscape, surface, scale),
    element('rect', { class: 'outline', x: LEFT, y: TOP, width: SIDE, height: SIDE }),
    outlined('origin', cross(x(0), y(0), 6)),
    colourBar(scale),
  );
}

const axisScale = (axis: readonly number[]) => {
  const [low, high] = extent(axis);
  const half = (high - low) / Math.max(1, axis.length - 1) / 2;
  return scaleLinear().domain([low - half, high + half]);
};

const cross = (x: number, y: number, size: number): string =>
  pathData([
    [x - size, y],
    [x + size, y],
  ]) +
  pathData([
    [x, y - size],
    [x, y + size],
  ]);

/**
 * Lines of equal loss at the levels of the scale. The grid is continued by one repeated row and
 * column on every side, and a nested image cuts them off again: d3-contour closes its rings outside
 * the grid, which would show as bent lines along the border.
 */
function isolines(landscape: Landscape, surface: LandscapeSurface, scale: HeightScale): Markup {
  const [columns, rows] = [landscape.x.length, landscape.y.length];
  const inside = (i: number, count: number) => Math.min(Math.max(i - 1, 0), count - 1);
  const values = Array.from({ length: (rows + 2) * (columns + 2) }, (_, i) => {
    const row = inside(Math.floor(i / (columns + 2)), rows);
    const loss = surface.loss[row]?.[inside(i % (columns + 2), columns)];
    return isMeasured(loss) ? loss : Number.NaN;
  });
  // A segment beside a missing loss would follow the hole, not a level: it is left out.
  const known = (column: number, row: number) =>
    [0, 1].every((dx) =>
      [0, 1].every((dy) =>
        Number.isFinite(
          values[(Math.floor(row - 0.5) + dy) * (columns + 2) + Math.floor(column - 0.5) + dx],
        ),
      ),
    );
  const toPixels = ([column = 0, row = 0]: readonly number[]) =>
    `${hundredths(((column - 1) * SIDE) / columns)},${hundredths(SIDE - ((row - 1) * SIDE) / rows)}`;
  const segments = (ring: readonly (readonly number[])[]) =>
    ring.slice(1).map((to, i) => {
      const from = ring[i] ?? to;
      const middle = [0, 1].map((k) => ((from[k] ?? 0) + (to[k] ?? 0)) / 2);
      return known(middle[0] ?? 0, middle[1] ?? 0) ? { from, to } : null;
    });
  const lines = contours()
    .size([columns + 2, rows + 2])
    .thresholds([...scale.levels])(values)
    .flatMap(({ coordinates }) => coordinates.flat())
    .flatMap((ring) =>
      segments(ring).map((segment, i, drawn) =>
        segment === null
          ? ''
          : `${drawn[i - 1] ? '' : `M${toPixels(segment.from)}`}L${toPixels(segment.to)}`,
      ),
    )
    .join('');
  return element(
    'svg',
    { x: LEFT, y: TOP, width: SIDE, height: SIDE, viewBox: `0 0 ${SIDE} ${SIDE}` },
    outlined('isoline', lines),
  );
}

/** A light line over a wider dark one, to be seen on every colour of the map. */
const outlined = (kind: string, d: string): Markup[] => [
  element('path', { class: `${kind} under`, d }),
  element('path', { class: kind, d }),
];

function colourBar(scale: HeightScale): Markup[] {
  const at = (loss: number) => TOP + SIDE * (1 - scale.height(loss));
  const bands = 46;
  return [
    ...Array.from({ length: bands }, (_, i) =>
      element('rect', {
        x: BAR.x,
        y: TOP + (SIDE * i) / bands,
        width: BAR.width,
        height: SIDE / bands + 0.4,
        fill: scale.colour(scale.height.invert(1 - (i + 0.5) / bands)),
      }),
    ),
    ...scale.levels.map((level) =>
      element('text', { x: BAR.x + BAR.width + 5, y: at(level) + 4 }, scale.text(level)),
    ),
    element('text', { class: 'name', x: BAR.x, y: TOP + SIDE + 16 }, 'loss'),
  ];
}
