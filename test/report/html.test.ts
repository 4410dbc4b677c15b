import fc from 'fast-check';
import { renderHtml, type Summary } from '../../src/report/index.js';
import {
  differenceTables,
  resultsTable,
  runsTable,
  settingsTable,
} from '../../src/report/tables.js';
import { runs } from '../tooling/property.js';
import { exampleLandscape, exampleMethods, exampleSummary } from './fixture.js';
import { all, type Node, parse } from './page.js';

const html = renderHtml(exampleSummary());
const page = parse(html);

/** Attributes that hold coordinates. */
const GEOMETRY = [
  'd',
  'x',
  'y',
  'x1',
  'x2',
  'y1',
  'y2',
  'cx',
  'cy',
  'r',
  'width',
  'height',
  'viewBox',
  'transform',
];

/** What must hold for every page, whatever the summary says. */
function expectSound(root: Node): void {
  const elements = all(root);
  const names = new Set(elements.map(({ name }) => name));
  for (const name of [
    'script',
    'link',
    'img',
    'image',
    'iframe',
    'object',
    'embed',
    'use',
    'a',
    'base',
  ]) {
    expect(names).not.toContain(name);
  }
  const attributes = elements.flatMap((node) => Object.entries(node.attributes));
  const wrong = attributes.filter(
    ([name, value]) =>
      /^on|href|^src|^style$|http-equiv/i.test(name) ||
      (GEOMETRY.includes(name) && /NaN|Infinity|undefined|e[+-]?\d/.test(value)),
  );
  expect(wrong).toEqual([]);
  const ids = attributes.filter(([name]) => name === 'id').map(([, value]) => value);
  expect(new Set(ids).size).toBe(ids.length);
  for (const image of elements.filter((node) => node.attributes.role === 'img')) {
    const [title, description] = image.children;
    expect([title?.name, description?.name]).toEqual(['title', 'desc']);
    expect(title?.text).not.toBe('');
    expect(image.attributes['aria-labelledby']).toBe(
      `${title?.attributes.id} ${description?.attributes.id}`,
    );
  }
}

describe('the page', () => {
  test('is well-formed, without script or reference to anything outside', () => {
    expectSound(page);
    expect(html.startsWith('<!DOCTYPE html>\n<html lang="en">')).toBe(true);
    const style = all(page, 'style')
      .map(({ text }) => text)
      .join('');
    expect(style).not.toMatch(/url\(|@import|@font-face|[<&]/);
    // The one address is the name of SVG's namespace, which nobody loads.
    const addresses = html.match(/[a-z]+:\/\/[^"\s]*/g) ?? [];
    expect(new Set(addresses)).toEqual(new Set(['http://www.w3.org/2000/svg']));
  });

  test('has the three kinds of curve, four bars and two views of two surfaces', () => {
    const images = all(page, 'svg').filter((node) => node.attributes.role === 'img');
    expect(images.map((node) => node.children[0]?.attributes.id)).toEqual([
      'training-loss-title',
      'validation-accuracy-title',
      'corruption-title',
      'bars-targetAccuracy-title',
      'bars-topHessianEigenvalue-title',
      'bars-meanLossRise-title',
      'bars-secondsPerStep-title',
      'surface-0-title',
      'map-0-title',
      'surface-1-title',
      'map-1-title',
    ]);
  });

  test('has tables with captions, scopes and every number', () => {
    const summary = exampleSummary();
    const tables = all(page, 'table');
    const expected = [
      resultsTable(summary),
      ...differenceTables(summary),
      settingsTable(summary),
      runsTable(summary),
    ];
    for (const [i, table] of expected.entries()) {
      const drawn = tables[i] as Node;
      expect(drawn.children[0]).toMatchObject({ name: 'caption', text: table.caption });
      const cells = all(drawn, 'tr').map((row) =>
        row.children.map(({ text }) => text.replace(/\u00a0/g, ' ')),
      );
      expect(cells).toEqual([table.head, ...table.rows]);
      expect(all(drawn, 'th').map((cell) => cell.attributes.scope)).toEqual([
        ...table.head.map(() => 'col'),
        ...table.rows.map(() => 'row'),
      ]);
    }
  });

  test('draws both surfaces on one scale', () => {
    const fills = (id: string) => {
      const image = all(page, 'svg').find(
        (node) => node.children[0]?.attributes.id === `${id}-title`,
      );
      return all(image as Node, 'text').map(({ text }) => text);
    };
    expect(fills('surface-0')).toEqual(fills('surface-1'));
    expect(fills('map-0')).toEqual(fills('map-1'));
  });

  test('paints a surface from the farthest cell to the nearest', () => {
    const plane: Summary = {
      ...exampleSummary(),
      landscape: {
        description: '',
        x: [-1, 0, 1],
        y: [-1, 0, 1],
        surfaces: [
          {
            method: 'a',
            label: 'A',
            loss: [
              [1, 2, 3],
              [4, 5, 6],
              [7, 8, 9],
            ],
          },
        ],
      },
    };
    const image = all(parse(renderHtml(plane)), 'svg').find(
      (node) => node.children[0]?.attributes.id === 'surface-0-title',
    );
    const cells = all(image as Node, 'path').filter((node) => node.attributes.class === 'cell');
    // Losses rise to the back here, so the brightest cell comes first and the darkest last.
    const brightness = cells.map(({ attributes }) =>
      (attributes.fill?.match(/\d+/g) ?? []).reduce((sum, part) => sum + Number(part), 0),
    );
    expect(brightness).toHaveLength(4);
    expect(brightness[0]).toBe(Math.max(...brightness));
    expect(brightness[3]).toBe(Math.min(...brightness));
  });

  test('is the same for the same summary', () => {
    expect(renderHtml(exampleSummary())).toBe(html);
    expect(renderHtml(JSON.parse(JSON.stringify(exampleSummary())))).toBe(html);
  });

  test('marks drawn data before everything else', () => {
    const summary = exampleSummary();
    const drawn = {
      ...summary,
      data: summary.data.map((fact) => ({ ...fact, origin: 'drawn' as const })),
    };
    expect(all(parse(renderHtml(drawn)), 'p').some((p) => p.attributes.class === 'notice')).toBe(
      true,
    );
    expect(all(page, 'p').some((p) => p.attributes.class === 'notice')).toBe(false);
  });
});

describe('summaries with gaps', () => {
  test('no methods, no landscape, no notes', () => {
    const empty = { ...exampleSummary([], []), landscape: null, notes: [], data: [], settings: {} };
    const root = parse(renderHtml(empty));
    expectSound(root);
    expect(all(root, 'h2').map(({ text }) => text)).toEqual(['How this was made']);
  });

  test('one method, one seed', () => {
    const root = parse(renderHtml(exampleSummary([7], exampleMethods([7]).slice(1, 2))));
    expectSound(root);
    expect(root.text).not.toContain('no difference shown');
    expect(all(root, 'table').some(({ text }) => text.includes('LoRA, 1 seed'))).toBe(true);
  });

  test('a landscape with holes says how many', () => {
    const landscape = exampleLandscape();
    const holed = {
      ...landscape,
      surfaces: landscape.surfaces.map((surface) => ({
        ...surface,
        loss: surface.loss.map((row, r) => row.map((loss, c) => (r === 3 && c < 4 ? null : loss))),
      })),
    };
    const root = parse(renderHtml({ ...exampleSummary(), landscape: holed }));
    expectSound(root);
    expect(root.text).toContain('4 of 625 points not finite and left out');
    const blank = { ...landscape, surfaces: [{ method: 'a', label: 'A', loss: [[Number.NaN]] }] };
    expect(renderHtml({ ...exampleSummary(), landscape: blank })).not.toContain('Loss landscape');
  });

  test('hostile text stays text', () => {
    const hostile = `</title></style><script>alert(1)</script>"'&amp;<!--]]>\u0000\u001b[31m\ud800`;
    const summary = exampleSummary();
    const root = parse(
      renderHtml({
        ...summary,
        title: hostile,
        command: hostile,
        notes: [hostile],
        settings: { [hostile]: hostile },
        methods: summary.methods.map((method) => ({ ...method, label: hostile })),
        landscape: { ...exampleLandscape(), description: hostile },
      }),
    );
    expectSound(root);
    expect(all(root, 'h1')[0]?.text).toContain(`<script>alert(1)</script>"'&amp;<!--]]>`);
  });

  test('any numbers and any texts give a sound page', () => {
    const measured = fc.oneof(
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      fc.constantFrom(null, Number.NaN, Number.POSITIVE_INFINITY, 0, -0, 1e-300),
    );
    const run = fc.record({
      seed: fc.integer({ min: 0, max: 5 }),
      targetAccuracy: measured,
      corruption: fc.array(measured, { maxLength: 6 }),
      topHessianEigenvalue: measured,
      meanLossRise: measured,
      trainLossCurve: fc.array(fc.tuple(fc.nat(300), measured), { maxLength: 5 }),
      validationCurve: fc.array(fc.tuple(fc.nat(300), measured), { maxLength: 5 }),
      finalTrainLoss: measured,
      testLoss: measured,
      secondsPerStep: measured,
      trainedParameters: measured,
      extraBytes: measured,
    });
    const method = fc.record({
      name: fc.constantFrom('lora', 'flat-lora', 'full'),
      label: fc.string({ unit: 'binary' }),
      settings: fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.double(), fc.boolean())),
      runs: fc.array(run, { maxLength: 3 }),
    });
    const axis = [-1, 0, 1];
    const grid = fc.array(fc.array(measured, { maxLength: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(method, { maxLength: 4 }), grid, (methods, loss) => {
        const surfaces = [{ method: 'lora', label: 'LoRA', loss }];
        const landscape = { description: '', x: axis, y: axis, surfaces };
        const summary = { ...exampleSummary([1], methods), landscape };
        const text = renderHtml(summary);
        expectSound(parse(text));
        expect(renderHtml(JSON.parse(JSON.stringify(summary)))).toBe(text);
      }),
      { numRuns: runs(40) },
    );
  });
});
