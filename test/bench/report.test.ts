/** Tables and the picture of a benchmark's results. */
import { SaxesParser } from 'saxes';
import { ownTime, rowsOf } from '../../bench/src/harness/compare.js';
import { benchChart } from '../../bench/src/report/chart.js';
import { duration, milliseconds, percent, short } from '../../bench/src/report/numbers.js';
import { bestOf, limitOf, type Results, resultsText } from '../../bench/src/report/results.js';
import { table } from '../../bench/src/report/table.js';

const entrant = (name: string, times: number[]) => ({
  name,
  process: undefined as never,
  runner: 'matmul/512',
  times,
  difference: 1e-6,
});

const entrants = [
  entrant('flatlora wasm', [2, 2, 2]),
  entrant('slow & old', [8, 10, 9]),
  entrant('fast', [1, 1, 1]),
];
const rows = rowsOf('matmul/512', entrants);
const times = ownTime('matmul/512', entrants);

const results: Results = {
  machine: { cpu: 'A processor', threads: 2, node: '20.0.0', platform: 'linux x64' },
  engines: [{ name: 'flatlora wasm', version: '1', threads: 2 }],
  peaks: [
    { name: 'plain', value: 100, unit: 'GFLOP/s' },
    { name: 'fused', value: 200, unit: 'GFLOP/s' },
    { name: 'copy', value: 900, unit: 'GB/s' },
  ],
  works: [{ work: 'matmul/512', about: '', flops: 2 * 512 ** 3 }],
  times,
  rows,
  missing: [{ work: 'mlp', peer: 'gpu.js', reason: 'no derivatives' }],
  growth: [{ what: 'Time', unit: 'ms', points: [{ size: 1, value: 2 }], exponent: 1 }],
  notes: ['A note.'],
};

test('rows have what scripts read', () => {
  expect(rows[0]).toMatchObject({
    work: 'matmul/512',
    subject: 'flatlora wasm',
    peer: 'slow & old',
    ratio: 4.5,
    subjectMs: 2,
    peerMs: 9,
  });
  expect(rows[1]?.ratio).toBe(0.5);
});

test('the text tells times, rates, shares of the limit, ratios, and what is missing', () => {
  const text = resultsText(results);
  expect(text).toContain('2.00 ms');
  // 2·512³ operations in 2 ms, of 200 GFLOP/s.
  expect(text).toMatch(/134\s+67 %/);
  expect(text).toContain('4.50×');
  expect(text).toMatch(/mlp\s+gpu\.js\s+no derivatives/);
  expect(text).toContain('A note.');
});

test('without peers the own time is still told', () => {
  expect(resultsText({ ...results, rows: [] })).toContain('2.00 ms');
});

test('the limit is the greatest rate of arithmetic; of two measurements the better counts', () => {
  expect(limitOf(results.peaks)?.name).toBe('fused');
  const again = results.peaks.map((peak) => ({ ...peak, value: peak.name === 'plain' ? 120 : 1 }));
  expect(bestOf(results.peaks, again).map(({ value }) => value)).toEqual([120, 200, 900]);
  expect(bestOf(results.peaks, [])).toEqual(results.peaks);
  expect(bestOf([], again)).toEqual(again);
});

test('the picture is well-formed and holds every row once', () => {
  const svg = benchChart(results);
  const circles: string[] = [];
  const texts: string[] = [];
  const parser = new SaxesParser();
  parser.on('opentag', ({ name }) => circles.push(name));
  parser.on('text', (text) => texts.push(text));
  parser.on('error', (error) => {
    throw error;
  });
  parser.write(svg).close();
  // A dot for every row and one for every peer in the legend.
  expect(circles.filter((name) => name === 'circle').length).toBe(rows.length + 2);
  expect(texts).toContain('slow & old');
  expect(svg).not.toContain('NaN');
});

test('columns line up', () => {
  const lines = table(
    ['a', 'b'],
    [
      ['long name', '1'],
      ['x', '22'],
    ],
  ).split('\n');
  expect(lines).toEqual(['a           b', '─────────  ──', 'long name   1', 'x          22']);
});

test('numbers for people', () => {
  expect([0.01234, 1.2345, 123.4].map(short)).toEqual(['0.0123', '1.23', '123']);
  expect([0.0005, 5, 20_000].map(milliseconds)).toEqual(['0.500 µs', '5.00 ms', '20.0 s']);
  expect([0.054, 0.754].map(percent)).toEqual(['5.4 %', '75 %']);
  expect([12.4, 80, 119.6].map(duration)).toEqual(['12 s', '1 min 20 s', '2 min 0 s']);
});
