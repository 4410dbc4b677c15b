/** Pictures of flatness: which points they show, and that every one has axes with names. */
import { heatMap } from '../../src/report/charts/heatMap.js';
import { heightScale } from '../../src/report/charts/heightScale.js';
import { lineChart } from '../../src/report/charts/lineChart.js';
import {
  interpolationLines,
  landscapeLines,
  landscapeOf,
  riseLines,
  spectrumLines,
} from '../../src/report/charts/sharpness.js';
import { all, parse } from './page.js';

const about = { id: 'chart', of: 'training loss' };
const texts = (spec: Parameters<typeof lineChart>[0]) =>
  all(parse(lineChart(spec)?.markup ?? ''), 'text').map(({ text }) => text);

test('eigenvalues: mean ± deviation over seeds, by rank', () => {
  const spec = spectrumLines(about, [
    {
      label: 'LoRA',
      style: 0,
      eigenvalues: [
        [5, 2],
        [7, Number.NaN],
      ],
    },
    { label: 'Flat-LoRA', style: 1, eigenvalues: [[3, 1, 0.5]] },
  ]);
  const [lora, flat] = spec.series;
  expect(lora?.points).toEqual([
    { x: 1, mean: 6, low: 6 - Math.SQRT2, high: 6 + Math.SQRT2 },
    { x: 2, mean: 2, low: 2, high: 2 },
  ]);
  expect(flat?.points.map(({ x }) => x)).toEqual([1, 2, 3]);
  expect(texts(spec)).toEqual(
    expect.arrayContaining(['eigenvalue, the largest first', 'curvature (loss / weight²)', '3']),
  );
});

test('rises: radii stand at their logarithms and are written as they are', () => {
  const spec = riseLines(about, { radii: [0.01, 0.1, 1], label: 'radius ρ' }, [
    { label: 'LoRA', style: 0, rises: [[1, 2, 3]] },
  ]);
  expect(spec.series[0]?.points.map(({ x, mean }) => [x, mean])).toEqual([
    [-2, 1],
    [-1, 2],
    [0, 3],
  ]);
  expect(texts(spec)).toEqual(
    expect.arrayContaining(['0.01', '0.1', '1', 'radius ρ (logarithmic)', 'rise of the loss']),
  );
});

test('lines: the band is over directions', () => {
  const lines = {
    coordinates: [-1, 0, 1],
    losses: [
      [3, 1, 5],
      [3, 1, 3],
    ],
  };
  const spec = landscapeLines(about, [{ label: 'LoRA', style: 0, ...lines }]);
  expect(spec.series[0]?.points[2]).toEqual({
    x: 1,
    mean: 4,
    low: 4 - Math.SQRT2,
    high: 4 + Math.SQRT2,
  });
  expect(spec.description).toContain('2 random filter-normalised directions');
  expect(texts(spec)).toContain('step along the direction (row norms)');
});

test('between two solutions: over seeds, ends named', () => {
  const path = (losses: readonly number[]) => ({ coordinates: [0, 0.5, 1], losses });
  const spec = interpolationLines(
    about,
    ['LoRA', 'Flat-LoRA'],
    [{ label: 'test loss', style: 2, paths: [path([1, 4, 2]), path([1, 2, 2])] }],
  );
  expect(spec.series[0]?.points.map(({ mean }) => mean)).toEqual([1, 3, 2]);
  expect(texts(spec)).toContain('from LoRA (0) to Flat-LoRA (1)');
});

test('a surface as a landscape: rows run along the second direction', () => {
  const surface = {
    coordinates: [-1, 1],
    // At (−1, 1) the loss is 9.
    losses: [
      [1, 9],
      [3, 4],
    ],
  };
  const landscape = landscapeOf('what', [{ method: 'lora', label: 'LoRA', surface }]);
  expect(landscape.surfaces[0]?.loss).toEqual([
    [1, 3],
    [9, 4],
  ]);
  const scale = heightScale(landscape);
  if (scale === null) throw new Error('the losses are finite');
  const [drawn] = landscape.surfaces;
  if (drawn === undefined) throw new Error('one surface');
  const squares = all(
    parse(heatMap({ id: 'm', title: 't', description: 'd' }, landscape, drawn, scale).markup),
    'rect',
  ).filter(
    (rect) => rect.attributes.class === undefined && rect.attributes.fill === scale.colour(9),
  );
  // Left column (first direction −1), upper row (second direction 1).
  const [square] = squares;
  expect(Number(square?.attributes.x)).toBeLessThan(60);
  expect(Number(square?.attributes.y)).toBeLessThan(20);
});
