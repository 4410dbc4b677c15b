/**
 * A loss surface in three dimensions: orthographic projection, and the painter's algorithm (cells
 * from the farthest to the nearest), which is exact for a surface over a grid seen from above.
 */
import { type Attributes, element, type Markup } from '../markup.js';
import { isMeasured, type Landscape, type LandscapeSurface } from '../summary.js';
import { type ChartText, pathData, svg, WIDTH } from './frame.js';
import type { HeightScale } from './heightScale.js';
import { extent } from './lineChart.js';

const HEIGHT = 300;
/** Turn about the vertical axis and elevation of the eye, in radians. */
const TURN = (35 * Math.PI) / 180;
const ELEVATION = (28 * Math.PI) / 180;
/** Pixels per unit; the floor reaches from −1 to 1 in both directions. */
const SIZE = 106;
/** Height of the box in the same units. */
const TALL = 1.25;

type Point = readonly [x: number, y: number];

/** Distance from the eye along the floor: the order in which cells are painted. */
const depth = (x: number, y: number): number => x * Math.sin(TURN) + y * Math.cos(TURN);

/** Floor coordinates −1…1 and height 0…1 to pixels. */
function project(x: number, y: number, z: number): Point {
  const across = x * Math.cos(TURN) - y * Math.sin(TURN);
  const up = z * TALL * Math.cos(ELEVATION) + depth(x, y) * Math.sin(ELEVATION);
  return [WIDTH / 2 + 5 + SIZE * across, 196 - SIZE * up];
}

export function surfaceChart(
  text: ChartText,
  landscape: Landscape,
  surface: LandscapeSurface,
  scale: HeightScale,
): Markup {
  const x = unit(landscape.x);
  const y = unit(landscape.y);
  return svg(text, HEIGHT, box(scale, x, y), cells(surface, scale, x, y));
}

/** Maps coordinates to −1…1. */
const unit = (axis: readonly number[]) => {
  const [low, high] = extent(axis);
  return { axis, at: (value: number): number => (2 * (value - low)) / (high - low) - 1, low, high };
};

type Axis = ReturnType<typeof unit>;

/** One quadrilateral per four neighbouring losses that were all measured. */
function cells(surface: LandscapeSurface, scale: HeightScale, x: Axis, y: Axis): Markup[] {
  const quads: { readonly far: number; readonly drawn: Markup }[] = [];
  for (let row = 0; row + 1 < y.axis.length; row++) {
    for (let column = 0; column + 1 < x.axis.length; column++) {
      const corners = [
        [row, column],
        [row, column + 1],
        [row + 1, column + 1],
        [row + 1, column],
      ].map(([r = 0, c = 0]) => ({
        x: x.at(x.axis[c] ?? 0),
        y: y.at(y.axis[r] ?? 0),
        loss: surface.loss[r]?.[c],
      }));
      const losses = corners.map(({ loss }) => loss).filter(isMeasured);
      if (losses.length < 4) continue;
      const points = corners.map((corner, i) =>
        project(corner.x, corner.y, scale.height(losses[i] ?? 0)),
      );
      quads.push({
        far: Math.max(...corners.map((corner) => depth(corner.x, corner.y))),
        drawn: element('path', {
          class: 'cell',
          fill: scale.colour(losses.reduce((sum, loss) => sum + loss, 0) / 4),
          d: pathData(points, true),
        }),
      });
    }
  }
  return quads.sort((a, b) => b.far - a.far).map(({ drawn }) => drawn);
}

/** The floor, the two back walls with a line per level, and the labels of the three axes. */
function box(scale: HeightScale, x: Axis, y: Axis): Markup[] {
  const path = (points: readonly Point[], attributes: Attributes, close = false) =>
    element('path', { ...attributes, d: pathData(points, close) });
  const label = ([px, py]: Point, text: string, anchor: string, kind: string | null = null) =>
    element('text', { x: px, y: py, 'text-anchor': anchor, class: kind }, text);
  const floor = [project(-1, -1, 0), project(1, -1, 0), project(1, 1, 0), project(-1, 1, 0)];
  const wall = (z: number) => [project(-1, 1, z), project(1, 1, z), project(1, -1, z)];
  const ends = (axis: Axis) =>
    [axis.low, 0, axis.high].filter((value) => value >= axis.low && value <= axis.high);
  const shifted = ([px, py]: Point, dx: number, dy: number): Point => [px + dx, py + dy];
  const number = (value: number) => String(Number(value.toPrecision(3))).replace('-', '−');
  return [
    path(floor, { class: 'floor' }, true),
    ...scale.levels.flatMap((level) => [
      path(wall(scale.height(level)), { class: 'grid' }),
      label(shifted(project(-1, 1, scale.height(level)), -6, 4), scale.text(level), 'end'),
    ]),
    ...[project(-1, 1, 0), project(1, 1, 0), project(1, -1, 0)].map((foot, i) =>
      path([foot, wall(1)[i] ?? foot], { class: 'axis' }),
    ),
    ...ends(x).map((value) =>
      label(shifted(project(x.at(value), -1, 0), 4, 15), number(value), 'start'),
    ),
    ...ends(y).map((value) =>
      label(shifted(project(-1, y.at(value), 0), -1, 17), number(value), 'end'),
    ),
    label(shifted(project(0, -1, 0), 30, 34), 'direction 1', 'middle', 'name'),
    label(shifted(project(-1, 0, 0), -34, 36), 'direction 2', 'middle', 'name'),
    label(shifted(project(-1, 1, 1), 0, -10), 'loss', 'middle', 'name'),
  ];
}
