/**
 * Strokes to pixels. Only +, −, ×, ÷ and the square root are used, which every JavaScript engine
 * rounds alike, so a drawing has the same bits everywhere.
 */
import { clamp } from './clamp.js';
import type { Glyph, Point, Stroke } from './glyphs.js';

/** A straight piece of a stroke, in pixels. */
export interface Segment {
  readonly from: Point;
  readonly to: Point;
}

/** Straight pieces per span of a smooth stroke: at 16 pixels their corners do not show. */
const PIECES = 5;

/** Uniform Catmull–Rom: the cubic from b to c whose slopes come from the neighbours a and d. */
const catmullRom = (a: number, b: number, c: number, d: number, t: number): number =>
  b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));

/** The points of a stroke's outline as a polyline. */
export function flattenStroke({ kind, points }: Stroke): readonly Point[] {
  if (kind === 'straight' || points.length < 3) return points;
  const count = points.length;
  const at = (i: number): Point =>
    (kind === 'loop'
      ? points[(i + count) % count]
      : points[Math.min(Math.max(i, 0), count - 1)]) as Point;
  const spans = kind === 'loop' ? count : count - 1;
  const line: Point[] = [at(0)];
  for (let span = 0; span < spans; span++) {
    const [a, b, c, d] = [at(span - 1), at(span), at(span + 1), at(span + 2)];
    for (let piece = 1; piece <= PIECES; piece++) {
      const t = piece / PIECES;
      line.push([catmullRom(a[0], b[0], c[0], d[0], t), catmullRom(a[1], b[1], c[1], d[1], t)]);
    }
  }
  return line;
}

/** The segments of a glyph after every point went through `map` (unit box → pixels). */
export const glyphSegments = (glyph: Glyph, map: (point: Point) => Point): readonly Segment[] =>
  glyph.flatMap((stroke) => {
    const line = flattenStroke(stroke).map(map);
    return line.slice(1).map((to, i) => ({ from: line[i] as Point, to }));
  });

/** Squared distance from a point to a segment. */
function squaredDistance(x: number, y: number, { from, to }: Segment): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((x - from[0]) * dx + (y - from[1]) * dy) / length;
  const t = clamp(along, 1);
  const [ex, ey] = [x - from[0] - t * dx, y - from[1] - t * dy];
  return ex * ex + ey * ey;
}

/** How a pen marks paper, in pixels. */
export interface Pen {
  /** Half of the stroke's width. */
  readonly radius: number;
  /** Width of the edge over which ink fades from full to none; 1 is plain antialiasing. */
  readonly softness: number;
}

/**
 * Ink per pixel, 0 to 1: full inside the stroke, fading linearly over the edge with the distance
 * from the pixel's centre to the nearest segment.
 * @returns [side · side], row-major; pixel (row, column) has its centre at (column + ½, row + ½).
 */
export function rasterise(segments: readonly Segment[], pen: Pen, side: number): Float64Array {
  return Float64Array.from({ length: side * side }, (_, pixel) => {
    const x = (pixel % side) + 0.5;
    const y = Math.floor(pixel / side) + 0.5;
    let nearest = Number.POSITIVE_INFINITY;
    for (const segment of segments) {
      const distance = squaredDistance(x, y, segment);
      if (distance < nearest) nearest = distance;
    }
    const ink = (pen.radius - Math.sqrt(nearest)) / pen.softness + 0.5;
    return clamp(ink, 1);
  });
}
