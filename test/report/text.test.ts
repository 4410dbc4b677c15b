import { formatMeasured, formatSigned } from '../../src/report/format.js';
import {
  type MethodSummary,
  pairedComparisons,
  renderMarkdown,
  renderText,
  type SeedRun,
} from '../../src/report/index.js';
import { METRICS } from '../../src/report/metrics.js';
import { exampleMethods, exampleSummary } from './fixture.js';

const run = (seed: number, given: Partial<SeedRun>): SeedRun => ({
  seed,
  targetAccuracy: null,
  corruption: [],
  topHessianEigenvalue: null,
  meanLossRise: null,
  trainLossCurve: [],
  validationCurve: [],
  finalTrainLoss: null,
  testLoss: null,
  secondsPerStep: null,
  trainedParameters: null,
  extraBytes: null,
  ...given,
});

/** Methods with these target accuracies by seed 0, 1, 2, … */
const method = (
  name: string,
  label: string,
  accuracies: readonly (number | null)[],
): MethodSummary => ({
  name,
  label,
  settings: { rank: 4 },
  runs: accuracies.map((targetAccuracy, seed) => run(seed, { targetAccuracy })),
});

const lora = method('lora', 'LoRA', [0.5, 0.6, 0.55]);
const line = (text: string, start: string) =>
  text.split('\n').find((candidate) => candidate.startsWith(start));

describe('formatMeasured', () => {
  test.each([
    [0.6466, 'percent', '64.7'],
    [-0.0001, 'percent', '0.0'],
    [-0.012, 'percent', '−1.2'],
    [0.0482, 'milliseconds', '48.2'],
    [139658, 'count', '139,658'],
    [1234567.5, 'count', '1,234,567.5'],
    [61, 'significant', '61.0'],
    [0.99951, 'significant', '1.00'],
    [1234.5, 'significant', '1,235'],
    [-0.00012345, 'significant', '−1.23e−4'],
    [99999.9, 'significant', '1.00e5'],
    [1.5e9, 'significant', '1.50e9'],
    [0, 'significant', '0'],
    [null, 'percent', 'n/a'],
    [Number.NaN, 'count', 'n/a'],
    [Number.NEGATIVE_INFINITY, 'significant', 'n/a'],
  ] as const)('%p as %s is %s', (value, format, text) => {
    expect(formatMeasured(value, format)).toBe(text);
  });

  test('the plus sign belongs to what is shown, not to what was rounded away', () => {
    expect(formatSigned(0.012, 'percent')).toBe('+1.2');
    expect(formatSigned(0.0001, 'percent')).toBe('0.0');
    expect(formatSigned(0, 'significant')).toBe('0');
  });
});

describe('comparisons', () => {
  const of = (methods: readonly MethodSummary[]) =>
    pairedComparisons(methods).filter(({ metric }) => metric === 'targetAccuracy');

  test('subtract the baseline seed by seed, whatever their order', () => {
    const flat = method('flat-lora', 'Flat-LoRA', [0.53, 0.62, 0.56]);
    const shuffled = { ...flat, runs: [...flat.runs].reverse() };
    const [comparison] = of([shuffled, lora]);
    expect(comparison).toMatchObject({ method: 'flat-lora', baseline: 'lora', ratio: null });
    expect(comparison?.difference.mean).toBeCloseTo(0.02, 12);
    expect(comparison?.difference.standardDeviation).toBeCloseTo(0.01, 12);
    // 0.02 ± 4.30265273 · 0.01 / √3
    expect(comparison?.difference.low).toBeCloseTo(0.02 - 0.0248413771, 10);
    expect(comparison?.difference.high).toBeCloseTo(0.02 + 0.0248413771, 10);
  });

  test('use only the seeds that both have', () => {
    const [comparison] = of([lora, method('flat-lora', 'Flat-LoRA', [0.6, null])]);
    expect(comparison?.difference).toMatchObject({ n: 1, low: null });
  });

  test('give the ratio of means over the pairs', () => {
    const timed = (name: string, times: readonly number[]): MethodSummary => ({
      ...method(name, name, []),
      runs: times.map((secondsPerStep, seed) => run(seed, { secondsPerStep })),
    });
    const found = pairedComparisons([
      timed('lora', [0.1, 0.3]),
      timed('flat-lora', [0.2, 0.3, 99]),
    ]);
    expect(found.find(({ metric }) => metric === 'secondsPerStep')?.ratio).toBeCloseTo(1.25, 12);
  });

  test('are none without a baseline, and none of what does not vary', () => {
    expect(pairedComparisons(exampleMethods([1]).slice(2))).toEqual([]);
    const metrics = pairedComparisons(exampleMethods([1, 2])).map(({ metric }) => metric);
    expect(metrics).not.toContain('trainedParameters');
    expect(metrics).toHaveLength(2 * METRICS.filter(({ varies }) => varies).length);
  });
});

describe('renderText', () => {
  test('tables and sentences hold the numbers worked out by hand', () => {
    const flat = method('flat-lora', 'Flat-LoRA', [0.53, 0.62, 0.56]);
    const text = renderText(exampleSummary([0, 1, 2], [lora, flat]));
    expect(line(text, 'Target test accuracy (%)')).toMatch(/ 55\.0 ± 5\.0 +57\.0 ± 4\.6$/);
    expect(line(text, 'Target test accuracy (points)')).toMatch(
      / \+2\.0 ± 1\.0 +−0\.5 to \+4\.5 +no difference shown +3$/,
    );
    expect(text.replace(/\n {2}/g, ' ')).toContain(
      '- Flat-LoRA − LoRA, target test accuracy: +2.0 ± 1.0 points ' +
        '(95 % interval −0.5 to +4.5, 3 pairs): no difference shown.',
    );
    expect(line(text, 'Top Hessian eigenvalue')).toMatch(/ n\/a +n\/a$/);
  });

  test.each([
    [[0.6, 0.71, 0.64], 'higher (better)'],
    [[0.4, 0.51, 0.44], 'lower (worse)'],
    [[0.4, 0.61, 0.74], 'no difference shown'],
    [[0.4], 'too few pairs'],
  ])('accuracies %p against LoRA: %s', (accuracies, verdict) => {
    const text = renderText(
      exampleSummary([0, 1, 2], [lora, method('flat-lora', 'Flat-LoRA', accuracies)]),
    );
    expect(line(text, 'Target test accuracy (points)')).toContain(verdict);
  });

  test('one seed: no spread, no interval, no claim', () => {
    const text = renderText(exampleSummary([1]));
    expect(line(text, 'Target test accuracy (%)')).not.toContain('±');
    expect(text).toContain('in one pair; no interval.');
    expect(text).not.toMatch(/no difference shown|\((better|worse)\)/);
  });

  test('a diverged seed is counted and named', () => {
    const text = renderText(
      exampleSummary([0, 1, 2], [lora, method('flat-lora', 'Flat-LoRA', [0.5, Number.NaN, 0.6])]),
    );
    expect(line(text, 'Target test accuracy (%)')).toContain('55.0 ± 7.1 (2 of 3)');
    expect(text).toContain('Flat-LoRA: not measured in every seed: Target test accuracy;');
    expect(text).not.toContain('NaN');
  });

  test('drawn data are named as such', () => {
    const summary = exampleSummary();
    const drawn = {
      ...summary,
      data: summary.data.map((fact) => ({ ...fact, origin: 'drawn' as const })),
    };
    expect(renderText(drawn)).toContain('not results on real images');
    expect(renderText(summary)).not.toContain('not results on real images');
  });

  test('control characters of the summary do not reach the terminal', () => {
    const hostile = 'a\u001b[2Jb\u0007c\r\nd\u009be';
    const text = renderText({
      ...exampleSummary(),
      title: hostile,
      command: hostile,
      notes: [hostile],
      settings: { [hostile]: hostile },
    });
    expect(text.replace(/\n/g, '')).not.toMatch(/\p{Cc}/u);
  });

  test('works without methods', () => {
    expect(renderText({ ...exampleSummary([], []), notes: [] })).not.toMatch(/Measure|undefined/);
  });
});

describe('renderMarkdown', () => {
  const markdown = renderMarkdown(exampleSummary());

  test('every table is rectangular and holds the same cells as the text', () => {
    const rows = markdown.split('\n').filter((row) => row.startsWith('|'));
    const text = renderText(exampleSummary());
    const cells = rows.map((row) => row.slice(2, -2).split(' | '));
    for (const [i, row] of cells.entries()) {
      if (row.every((cell) => /^-+:?$/.test(cell)))
        expect(row).toHaveLength(cells[i - 1]?.length ?? -1);
    }
    const numbers = cells.flat().filter((cell) => / ± /.test(cell));
    expect(numbers.length).toBeGreaterThan(50);
    for (const number of numbers) expect(text).toContain(number);
  });

  test('text cannot become a table, a link or a tag', () => {
    const hostile = 'a | b\n# [x](y) <b>&amp; `c` *d* _e_ \\';
    const summary = exampleSummary();
    const said = renderMarkdown({
      ...summary,
      title: hostile,
      methods: summary.methods.map((one) => ({ ...one, label: hostile })),
    });
    const escaped = 'a \\| b # \\[x\\](y) &lt;b&gt;&amp;amp; \\`c\\` \\*d\\* \\_e\\_ \\\\';
    expect(said.split('\n')[0]).toBe(`# ${escaped}`);
    expect(said).not.toContain('<b>');
  });

  test('is the same for the same summary, written and read', () => {
    const summary = exampleSummary();
    expect(renderMarkdown(JSON.parse(JSON.stringify(summary)))).toBe(markdown);
  });
});
