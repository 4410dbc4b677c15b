/** A page of tables and pictures for people: one file, no scripts. */
import {
  element,
  htmlTable,
  type LineChart,
  lineChart,
  type Markup,
  STYLE,
  styleSheet,
} from '../report/parts.js';

export interface Page {
  readonly title: string;
  /** Name and value, at the head. */
  readonly facts: readonly (readonly [string, string])[];
  readonly charts: readonly LineChart[];
  readonly tables: readonly {
    readonly caption: string;
    readonly head: readonly string[];
    readonly rows: readonly (readonly string[])[];
  }[];
  /** Markup that is there already, such as a surface. */
  readonly pictures?: readonly Markup[];
}

const figure = (chart: LineChart): Markup | null => {
  const drawn = lineChart(chart);
  return drawn === null
    ? null
    : element('figure', {}, element('figcaption', {}, chart.description), drawn);
};

export function renderPage({ title, facts, charts, tables, pictures = [] }: Page): string {
  const page = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      element('title', {}, title),
      styleSheet(STYLE),
    ),
    element(
      'body',
      {},
      element(
        'main',
        {},
        element('h1', {}, title),
        element(
          'dl',
          { class: 'facts' },
          facts.map(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
        ),
        element('div', { class: 'charts pairs' }, [...charts.map(figure), ...pictures]),
        tables.map((table) => htmlTable({ ...table, numeric: false })),
      ),
    ),
  );
  return `<!DOCTYPE html>\n${page.markup}\n`;
}
