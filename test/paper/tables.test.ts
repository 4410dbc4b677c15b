/** Tables and charts of results. */
import { SaxesParser } from 'saxes';
import { differencePoint, lines, pointsOver } from '../../src/paper/charts.js';
import type { CellResult } from '../../src/paper/experiment.js';
import { judge } from '../../src/paper/search.js';
import { difference, differencesTable, meanText, resultsTable } from '../../src/paper/tables.js';

const result = (method: string, task: string, seed: number, score: number): CellResult => ({
  cell: { method, task, seed, ...(method === 'flat-lora' && { sigma: 0.1 }) },
  measures: { score },
});

const RESULTS: readonly CellResult[] = [
  result('lora', 'a', 0, 0.5),
  result('lora', 'a', 1, 0.7),
  result('lora', 'b', 0, 0.1),
  result('flat-lora', 'a', 1, 0.9),
  result('flat-lora', 'a', 0, 0.6),
  result('flat-lora', 'b', 0, 0.4),
];
const FLAT = { method: 'flat-lora' };
const LORA = { method: 'lora' };

test('differences are paired by task and seed, in whatever order results come', () => {
  const onA = difference(RESULTS, { ...FLAT, task: 'a' }, { ...LORA, task: 'a' }, 'score');
  expect(onA.n).toBe(2);
  expect(onA.mean).toBeCloseTo(0.15, 12);
  // t(0.975, 1) = 12.706: 0.15 ± 12.706 · 0.0707 / √2
  expect(onA.low).toBeCloseTo(0.15 - 12.7062 * 0.05, 4);
  const overAll = difference(RESULTS, FLAT, LORA, 'score');
  expect(overAll.n).toBe(3);
  expect(overAll.mean).toBeCloseTo(0.2, 12);
});

test('two cells that would be the same partner are a mistake, not a choice', () => {
  const twice = [...RESULTS, result('lora', 'a', 0, 0.3)];
  expect(() => difference(twice, FLAT, LORA, 'score')).toThrow(/two cells/);
});

test('runs without a number are left out and counted', () => {
  expect(meanText([0.5, Number.NaN, 0.7], 'percent')).toBe('60.0 ± 14.1 (2 of 3)');
  expect(meanText([], 'percent')).toBe('n/a');
  const diverged = [...RESULTS.slice(1), result('lora', 'a', 0, Number.NaN)];
  expect(difference(diverged, FLAT, LORA, 'score').n).toBe(2);
});

test('tables say what was compared and what it shows', () => {
  const rows = [{ label: 'a', where: { task: 'a' } }];
  const shown = { measure: 'score', format: 'percent', better: 'higher' } as const;
  const table = resultsTable('t', RESULTS, rows, [{ label: 'LoRA', where: LORA }], shown);
  expect(table.rows).toEqual([['a', '60.0 ± 14.1']]);
  const same = RESULTS.flatMap((r) =>
    r.cell.method === 'lora'
      ? [
          r,
          {
            cell: { ...r.cell, method: 'better' },
            measures: { score: Number(r.measures.score) + 0.1 },
          },
        ]
      : [],
  );
  const differences = differencesTable(
    't',
    same,
    [{ label: 'x', a: { method: 'better' }, b: LORA, paper: '+1' }],
    shown,
  );
  expect(differences.head.at(-1)).toBe('In the paper');
  expect(differences.rows[0]?.slice(3)).toEqual(['higher (better)', '3', '+1']);
});

test('charts are well-formed, have a legend, and are left out when nothing was measured', () => {
  const series = ['LoRA', 'Flat-LoRA & more'].map((label, style) => ({
    label,
    style,
    points: pointsOver(RESULTS, [{ at: 1, where: { task: 'a' } }], 'score', 100),
  }));
  const chart = {
    id: 'x',
    title: 't',
    caption: 'c',
    xLabel: 'x',
    yLabel: 'y',
    spread: 'bars',
  } as const;
  const [figure] = lines({ ...chart, series });
  const parser = new SaxesParser();
  const texts: string[] = [];
  parser.on('error', (error) => {
    throw error;
  });
  parser.on('text', (text) => texts.push(text));
  parser.write(figure?.svg ?? '').close();
  expect(texts).toEqual(expect.arrayContaining(['LoRA', 'Flat-LoRA & more', 'x', 'y']));
  expect(lines({ ...chart, series: [{ label: 'none', style: 0, points: [] }] })).toEqual([]);
});

test('a point of a difference has its interval as its bar', () => {
  const d = { n: 3, mean: 0.1, standardDeviation: 0.1, low: -0.1, high: 0.3 };
  expect(differencePoint(2, d, 100)).toEqual([{ x: 2, mean: 10, low: -10, high: 30 }]);
  expect(differencePoint(2, { ...d, mean: null })).toEqual([]);
});

test('a search takes the best mean over seeds, and nothing that diverged', () => {
  const cell = (method: string, rate: number, seed: number, score: number): CellResult => ({
    cell: { method, rate, seed },
    measures: { score },
  });
  const { best, trials } = judge(
    [
      cell('lora', 3, 0, 0.99),
      cell('lora', 3, 1, Number.NaN),
      cell('lora', 1, 0, 0.9),
      cell('lora', 1, 1, 0.1),
      cell('lora', 2, 0, 0.6),
      cell('lora', 2, 1, 0.6),
      cell('full', 1, 0, 0.2),
    ],
    {
      cells: () => [],
      trial: ({ method, rate }) => ({ method: String(method), settings: { rate: Number(rate) } }),
      score: 'score',
    },
  );
  expect(best).toEqual({ lora: { rate: 2 }, full: { rate: 1 } });
  expect(trials).toHaveLength(4);
});
