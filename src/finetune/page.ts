/** A page of tables and pictures for people: one file, no scripts. */
import {
  element,
  htmlDocument,
  htmlTable,
  type LineChart,
  lineChart,
  type Markup,
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

export const renderPage = ({ title, facts, charts, tables, pictures = [] }: Page): string =>
  htmlDocument(
    title,
    element('h1', {}, title),
    element(
      'dl',
      { class: 'facts' },
      facts.map(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
    ),
    element('div', { class: 'charts pairs' }, [...charts.map(figure), ...pictures]),
    tables.map((table) => htmlTable({ ...table, numeric: false })),
  );
