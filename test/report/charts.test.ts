import { barChart } from '../../src/report/charts/barChart.js';
import { bandOverSeeds, MOST_POINTS, thinned } from '../../src/report/charts/curves.js';
import { heatMap } from '../../src/report/charts/heatMap.js';
import { heightScale } from '../../src/report/charts/heightScale.js';
import { extent, lineChart } from '../../src/report/charts/lineChart.js';
import { STYLE } from '../../src/report/html/style.js';
import type { Markup } from '../../src/report/markup.js';
import type { Curve, Landscape, LandscapeSurface } from '../../src/report/summary.js';
import { all, type Node, parse } from './page.js';

const text = { id: 'chart', title: 'A title', description: 'A description.' };
const drawn = (chart: Markup | null): Node => parse(chart?.markup ?? '');
const number = (node: Node | undefined, attribute: string) => Number(node?.attributes[attribute]);

/** The corners of a path of M and L commands. */
const corners = (d = ''): readonly (readonly number[])[] =>
  [...d.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);

describe('curves', () => {
  test('mean and band at each step, over the seeds that have it', () => {
    const curves: Curve[] = [
      [
        [0, 1],
        [10, 5],
        [20, null],
      ],
      [
        [0, 3],
        [10, Number.NaN],
        [30, 7],
      ],
    ];
    const spread = Math.SQRT2;
    expect(bandOverSeeds(curves)).toEqual([
      { x: 0, mean: 2, low: 2 - spread, high: 2 + spread },
      { x: 10, mean: 5, low: 5, high: 5 },
      { x: 30, mean: 7, low: 7, high: 7 },
    ]);
  });

  test('a long curve is averaged piece by piece, a short one left alone', () => {
    const long: Curve = Array.from({ length: 250 }, (_, i) => [i, 2 * i]);
    const short = thinned(long);
    expect(short.length).toBeLessThanOrEqual(MOST_POINTS);
    expect(short.slice(0, 2)).toEqual([
      [1, 2],
      [4, 8],
    ]);
    expect(short.at(-1)).toEqual([249, 498]);
    expect(thinned(long.slice(0, MOST_POINTS))).toEqual(long.slice(0, MOST_POINTS));
  });
});

test('extent separates what is equal or equal up to rounding', () => {
  expect(extent([3, 1, 2])).toEqual([1, 3]);
  expect(extent([0, 0])).toEqual([-0.5, 0.5]);
  const [low, high] = extent([0.1 + 0.2, 0.3]);
  expect(high - low).toBeGreaterThan(0.02);
});

test('a line goes through its points', () => {
  const points = [0, 1, 2].map((x) => ({ x, mean: 10 * x, low: 10 * x - 1, high: 10 * x + 1 }));
  const chart = drawn(
    lineChart({
      ...text,
      xLabel: 'x',
      yLabel: 'y',
      series: [{ label: 'A', style: 0, points }],
      spread: 'band',
      fromZero: true,
      format: String,
    }),
  );
  const paths = all(chart, 'path');
  const line = corners(paths.find((path) => path.attributes.class === 'line')?.attributes.d);
  const [[x0 = 0, y0 = 0] = [], [x1 = 0, y1 = 0] = [], [x2 = 0, y2 = 0] = []] = line;
  expect(x1 - x0).toBeCloseTo(x2 - x1, 1);
  expect(y0 - y1).toBeCloseTo(y1 - y2, 1);
  expect(y0).toBeGreaterThan(y2);
  const band = corners(paths.find((path) => path.attributes.class === 'band')?.attributes.d);
  // Upper edge from left to right, lower edge back: 1 unit above and below the line.
  expect(band).toHaveLength(6);
  expect((band[5]?.[1] ?? 0) - y0).toBeCloseTo((y0 - y1) / 10, 1);
  expect(y0 - (band[0]?.[1] ?? 0)).toBeCloseTo((y0 - y1) / 10, 1);
});

test('bars start at zero, are as long as their means, and show every seed', () => {
  const bars = [
    { label: 'A', text: '10', style: 0, values: [8, 12] },
    { label: 'B', text: '5', style: 1, values: [5] },
    { label: 'C', text: 'n/a', style: 2, values: [] },
  ];
  const chart = drawn(barChart({ ...text, xLabel: 'x', bars }));
  const [a, b, none] = all(chart, 'rect');
  expect(number(a, 'width') / number(b, 'width')).toBeCloseTo(2, 2);
  expect([number(a, 'x'), number(b, 'x')]).toEqual([16, 16]);
  expect(none).toBeUndefined();
  expect(all(chart, 'circle')).toHaveLength(3);
  expect(barChart({ ...text, xLabel: 'x', bars: bars.slice(2) })).toBeNull();
});

test('the map puts the first row at the bottom and isolines where the loss crosses a level', () => {
  const axis = [-1, -0.5, 0, 0.5, 1];
  const surface = { method: 'a', label: 'A', loss: axis.map((y) => axis.map(() => 2 + y)) };
  const landscape: Landscape = { description: '', x: axis, y: axis, surfaces: [surface] };
  const scale = heightScale(landscape);
  if (scale === null) throw new Error('the losses are finite');
  const chart = drawn(heatMap(text, landscape, surface, scale));
  const squares = all(chart, 'rect').filter((rect) => rect.attributes.class === undefined);
  expect(squares[0]?.attributes.fill).toBe(scale.colour(1));
  const [bottom, side] = [240, 230 / 5];
  expect(number(squares[0], 'y')).toBeCloseTo(bottom - side, 1);
  expect(number(squares[24], 'y')).toBeCloseTo(bottom - 5 * side, 1);
  expect(number(squares[24], 'x') - number(squares[0], 'x')).toBeCloseTo(4 * side, 1);
  // Loss is 2 + y, and the square of 230 pixels reaches from y = −1.25 to 1.25.
  const inside = scale.levels.filter((level) => level > 1);
  const expected = inside.map((level) => 230 * (1 - (level - 2 + 1.25) / 2.5));
  const isolines = all(chart, 'path').filter((path) => path.attributes.class === 'isoline');
  const found = isolines
    .flatMap((path) => corners(path.attributes.d))
    .filter(([x = 0, y = 0]) => x > 60 && x < 170 && y > 0 && y < 230)
    .map(([, y]) => y ?? 0);
  expect(inside).toEqual([1.5, 2, 2.5, 3]);
  for (const y of expected) expect(found.some((one) => Math.abs(one - y) < 0.1)).toBe(true);
  for (const one of found) expect(expected.some((y) => Math.abs(one - y) < 0.1)).toBe(true);
});

test('no isoline follows the border of a hole', () => {
  const axis = [0, 1, 2, 3, 4, 5];
  const flat = {
    method: 'a',
    label: 'A',
    loss: axis.map((y) => axis.map((x) => (x + y < 5 ? 3 : null))),
  };
  const other = { method: 'b', label: 'B', loss: axis.map(() => axis.map((x) => x)) };
  const landscape: Landscape = { description: '', x: axis, y: axis, surfaces: [flat, other] };
  const scale = heightScale(landscape);
  if (scale === null) throw new Error('some losses are finite');
  const isolines = (surface: LandscapeSurface) =>
    all(drawn(heatMap(text, landscape, surface, scale)), 'path')
      .filter((path) => path.attributes.class === 'isoline')
      .flatMap((path) => corners(path.attributes.d))
      .filter(([x = 0, y = 0]) => x > 0 && x < 230 && y > 0 && y < 230);
  expect(isolines(flat)).toEqual([]);
  expect(isolines(other).length).toBeGreaterThan(0);
});

test('one height scale reaches over all surfaces', () => {
  const surfaces = [[[1, 2]], [[0.2, 9.7]]].map((loss) => ({ method: 'a', label: 'A', loss }));
  const scale = heightScale({ description: '', x: [0, 1], y: [0], surfaces });
  const [low = Number.NaN, high = Number.NaN] = scale?.height.domain() ?? [];
  expect(low).toBeLessThanOrEqual(0.2);
  expect(high).toBeGreaterThanOrEqual(9.7);
  expect(scale?.colour(low)).not.toBe(scale?.colour(high));
});

describe('colours', () => {
  const luminance = (hex: string): number => {
    const [r = 0, g = 0, b = 0] = [1, 3, 5]
      .map((i) => Number.parseInt(hex.slice(i, i + 2), 16) / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a: string, b: string): number => {
    const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const [, light = '', dark = ''] = STYLE.split(/^ {2}color-scheme:/m);

  test.each([
    ['light', light],
    ['dark', dark],
  ])('%s: text has a contrast of 4.5 and series of 3 (WCAG 2.2)', (_, sheet) => {
    const colour = (name: string) => sheet.match(`--${name}: (#[0-9a-f]{6})`)?.[1] ?? '';
    for (const ground of [colour('page'), colour('card')]) {
      for (const name of ['ink', 'soft']) {
        expect(contrast(colour(name), ground)).toBeGreaterThanOrEqual(4.5);
      }
      for (let i = 0; i < 6; i++) {
        expect(contrast(colour(`series-${i}`), ground)).toBeGreaterThanOrEqual(3);
      }
    }
    expect(contrast(colour('ink'), colour('notice'))).toBeGreaterThanOrEqual(4.5);
  });
});
