/** The report as one HTML file: no script, no request, light and dark, screen and paper. */
import { findings } from '../comparisons.js';
import { element, fragment, type Markup } from '../markup.js';
import type { Summary } from '../summary.js';
import {
  dataTable,
  differenceTables,
  resultsTable,
  runFacts,
  runsTable,
  settingsTable,
  type Table,
} from '../tables.js';
import { barFigures, landscapeFigures, lineFigures } from './figures.js';
import { htmlDocument } from './frame.js';

/**
 * The whole report as a self-contained HTML document, which is well-formed XML as well. It has no
 * script and refers to nothing outside itself; texts of the summary are escaped.
 */
export const renderHtml = (summary: Summary): string =>
  htmlDocument(summary.title, header(summary), sections(summary));

const header = (summary: Summary): Markup => {
  const drawn = summary.data.some(({ origin }) => origin === 'drawn');
  return fragment(
    element('h1', {}, summary.title),
    element(
      'p',
      { class: 'soft' },
      `flatlora ${summary.version}, ${summary.machine.backend}, ${summary.date}`,
    ),
    drawn
      ? element(
          'p',
          { class: 'notice' },
          'This run used digits that the library draws itself. Its numbers are not results on real images.',
        )
      : null,
  );
};

function sections(summary: Summary): readonly (Markup | null)[] {
  const said = findings(summary);
  return [
    section(
      'What the numbers say',
      said.length > 0
        ? [
            element(
              'ul',
              { class: 'findings' },
              said.map((line) => element('li', {}, line)),
            ),
          ]
        : [],
    ),
    section('Results', [htmlTable(resultsTable(summary))]),
    section(
      'Differences',
      differenceTables(summary).map((differences) => htmlTable(differences)),
    ),
    section('Training and robustness', charts(lineFigures(summary))),
    section('Accuracy, sharpness and cost', charts(barFigures(summary), 'charts pairs')),
    section('Loss landscape', landscape(summary)),
    section('Settings', [htmlTable(settingsTable(summary))]),
    section('Every run', [htmlTable(runsTable(summary), 'scroll wide')]),
    section('How this was made', [htmlTable(dataTable(summary)), facts(summary)]),
  ];
}

/** A section with its heading, or nothing when it has no content. */
function section(heading: string, content: readonly (Markup | null)[]): Markup | null {
  const present = content.filter((part) => part !== null);
  return present.length === 0
    ? null
    : element('section', {}, element('h2', {}, heading), ...present);
}

const charts = (figures: readonly Markup[], kind = 'charts'): readonly Markup[] =>
  figures.length === 0 ? [] : [element('div', { class: kind }, figures)];

function landscape(summary: Summary): readonly Markup[] {
  const figures = landscapeFigures(summary);
  if (figures.length === 0) return [];
  return [
    element(
      'p',
      {},
      `${summary.landscape?.description ?? ''} All surfaces share one height axis and one colour ` +
        'scale; lines are levels of equal loss; the cross marks the trained model.',
    ),
    ...charts(figures, 'charts pairs'),
  ];
}

/** A table that scrolls sideways by itself where the screen is narrow, by keyboard too. */
export function htmlTable({ caption, head, rows, numeric }: Table, kind = 'scroll'): Markup | null {
  if (rows.length === 0 || head.length < 2) return null;
  return element(
    'div',
    { class: kind, role: 'region', tabindex: '0', 'aria-label': caption },
    element(
      'table',
      { class: numeric ? 'numeric' : null },
      element('caption', {}, caption),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          head.map((text) => element('th', { scope: 'col' }, text)),
        ),
      ),
      element(
        'tbody',
        {},
        rows.map(([name = '', ...cells]) =>
          element(
            'tr',
            {},
            element('th', { scope: 'row' }, name),
            cells.map((cell) => element('td', {}, unbroken(cell))),
          ),
        ),
      ),
    ),
  );
}

/** Where a narrow cell breaks: before a ± and after an interval's first end, not elsewhere. */
const unbroken = (cell: string): string => cell.replace(/ (±|to) /g, ' $1\u00a0');

const facts = (summary: Summary): Markup =>
  element(
    'dl',
    { class: 'facts' },
    runFacts(summary).map(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
  );
