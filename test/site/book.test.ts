/** The book: what it quotes is there, its mathematics is well-formed, its experiments agree with the theory. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderPage } from '../../site/build/markdown.js';
import { quoteOf, quotesIn } from '../../site/build/quotes.js';
import { activations, rowSpace, smoothing } from '../../site/src/book/experiments.js';
import { type Backend, wasmBackend } from '../../src/kernels/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = ['docs/theory', 'docs/tour'].flatMap((folder) =>
  readdirSync(path.join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join(folder, name)),
);
const read = (page: string) => readFileSync(path.join(root, page), 'utf8');

describe.each(pages)('%s', (page) => {
  test('renders, its mathematics in KaTeX’s strict mode', () => {
    const { title, html } = renderPage(read(page), root);
    expect(title.length).toBeGreaterThan(5);
    expect(html).not.toMatch(/\$`|```|katex-error/);
    expect(html).not.toMatch(/<a href="(?!#\d\d-)/);
  });

  const quotes = quotesIn(read(page));
  if (quotes.length === 0) return;
  test.each(quotes)('quotes %s', (reference) => {
    const { text, name } = quoteOf(root, reference);
    expect(text).toContain(name);
    // A whole declaration: as many brackets open as close.
    const count = (c: string) => text.split(c).length;
    expect(count('{')).toBe(count('}'));
    expect(count('(')).toBe(count(')'));
    expect(text.split('\n').length).toBeLessThan(110);
  });
});

test('a quote of a name that is gone stops the build', () => {
  expect(() => quoteOf(root, 'src/autodiff/core/value.ts#Valu')).toThrow(
    'src/autodiff/core/value.ts: there is no Valu to quote',
  );
  expect(() => quoteOf(root, 'src/autodiff/core/nowhere.ts#Value')).toThrow('ENOENT');
  expect(() => renderPage('```source\nsrc/index.ts#nothing\n```\n', root)).toThrow('no nothing');
});

test('mathematics with a mistake stops the build', () => {
  expect(() => renderPage('$`\\frac{1}`$', root)).toThrow();
});

describe('experiments', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await wasmBackend({ threads: 1 });
  });
  afterAll(() => backend.dispose());

  // The mean of 4,000 squares of variables with kurtosis below 3·(1 + 2/n)(…) ≤ 9: its relative deviation is
  // below √(8/4000) = 4.5 %; five of them are passed by chance less than once in a million.
  test.each([
    [2, 0.5],
    [64, 0],
    [64, 1.5],
    [512, 0.5],
  ])('activations: n = %d, σ = %d', async (n, sigma) => {
    const { measured, expected, histogram, edges } = await activations(backend, {
      n,
      sigma,
      seed: 1,
    });
    expect(Math.abs(measured / expected - 1)).toBeLessThan(0.23);
    const width = (edges[1] as number) - (edges[0] as number);
    expect(histogram.reduce((sum, d) => sum + d * width, 0)).toBeGreaterThan(0.98);
  });

  test('row space: all of LoRA-SAM at B = 0, a part later; the noise as chance has it', async () => {
    const start = await rowSpace(backend, { rank: 2, size: 0, rho: 0.05, seed: 2 });
    expect(start.samInside).toBeGreaterThan(0.9999);
    expect(start.share).toBeCloseTo(1, 4);
    expect(Math.abs(start.noiseInside - start.chance)).toBeLessThan(0.08);
    const later = await rowSpace(backend, { rank: 2, size: 1, rho: 0.05, seed: 2 });
    expect(later.samInside).toBeLessThan(0.9);
    expect((await rowSpace(backend, { rank: 8, size: 0, rho: 0.05, seed: 2 })).chance).toBe(1 / 3);
  });

  test('smoothing: the curvature stays below Lemma 3.1’s bound, and falls with σ', async () => {
    const curvatures: number[] = [];
    for (const sigma of [0.02, 0.1, 0.6]) {
      const { curvature, bound } = await smoothing(backend, { sigma });
      expect(curvature).toBeLessThan(bound);
      expect(curvature).toBeGreaterThan(0);
      curvatures.push(curvature);
    }
    expect(curvatures).toEqual([...curvatures].sort((a, b) => b - a));
  });
});
