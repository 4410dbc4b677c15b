/** The report's tables as data; text, Markdown and HTML only draw them. */
import { differenceText, intervalText, ratioText, verdictText } from './comparisons.js';
import { counted, formatMeasured, formatSetting } from './format.js';
import { type Aggregate, aggregateMetric, METRICS, type Metric, metricById } from './metrics.js';
import type { Summary } from './summary.js';

export interface Table {
  readonly caption: string;
  /** Column headings; the first is that of the row headings. */
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Whether the cells are numbers, to be set flush right. */
  readonly numeric: boolean;
}

const withUnit = (label: string, unit: string): string =>
  unit === '' ? label : `${label} (${unit})`;

/** "64.3 ± 1.2"; one number has no ±; "(4 of 5)" where seeds are missing. */
export function aggregateText(aggregate: Aggregate, metric: Metric): string {
  const centre = formatMeasured(aggregate.mean, metric.format);
  const spread =
    metric.varies && aggregate.standardDeviation !== null
      ? ` ± ${formatMeasured(aggregate.standardDeviation, metric.format, 2)}`
      : '';
  const partial =
    aggregate.n > 0 && aggregate.n < aggregate.seeds
      ? ` (${aggregate.n} of ${aggregate.seeds})`
      : '';
  return `${centre}${spread}${partial}`;
}

/** Metrics down, methods across: mean ± sample standard deviation over seeds. */
export function resultsTable({ methods }: Summary): Table {
  return {
    caption: 'Results: mean ± sample standard deviation over seeds',
    head: [
      'Measure',
      ...methods.map(({ label, runs }) => `${label}, ${counted(runs.length, 'seed')}`),
    ],
    rows: METRICS.map((metric) => [
      withUnit(metric.label, metric.unit),
      ...methods.map((method) => aggregateText(aggregateMetric(method, metric), metric)),
    ]),
    numeric: true,
  };
}

/** One table per compared method, in the order of the summary. */
export function differenceTables(summary: Summary): readonly Table[] {
  const label = (name: string) =>
    summary.methods.find((method) => method.name === name)?.label ?? name;
  const compared = [...new Set(summary.comparisons.map(({ method }) => method))];
  return compared.map((method) => {
    const comparisons = summary.comparisons.filter((comparison) => comparison.method === method);
    return {
      caption: `${label(method)} minus ${label(comparisons[0]?.baseline ?? '')}, paired by seed`,
      head: ['Measure', 'Mean ± sd', '95 % interval', 'Shown', 'Pairs', 'Ratio'],
      rows: comparisons.map((comparison) => {
        const metric = metricById(comparison.metric);
        return [
          metric ? withUnit(metric.label, metric.differenceUnit) : comparison.metric,
          differenceText(comparison),
          intervalText(comparison),
          verdictText(comparison),
          String(comparison.difference.n),
          ratioText(comparison),
        ];
      }),
      numeric: true,
    };
  });
}

/** Settings down, methods across; a setting that a method lacks is an empty cell. */
export function settingsTable({ methods }: Summary): Table {
  const names = [...new Set(methods.flatMap(({ settings }) => Object.keys(settings)))];
  return {
    caption: 'Settings of each method',
    head: ['Setting', ...methods.map(({ label }) => label)],
    rows: names.map((name) => [
      name,
      ...methods.map(({ settings }) => {
        const value = settings[name];
        return value === undefined ? '' : formatSetting(value);
      }),
    ]),
    numeric: true,
  };
}

/** Every run: one row per method and seed, one column per measure. */
export function runsTable({ methods }: Summary): Table {
  const metrics = METRICS.filter((metric) => metric.varies);
  return {
    caption: 'All measurements, by method and seed',
    head: ['Method, seed', ...metrics.map(({ label, unit }) => withUnit(label, unit))],
    rows: methods.flatMap(({ label, runs }) =>
      runs.map((run) => [
        `${label}, seed ${run.seed}`,
        ...metrics.map((metric) => formatMeasured(metric.read(run), metric.format)),
      ]),
    ),
    numeric: true,
  };
}

/** Which data set, which part, real or drawn, from where. */
export const dataTable = ({ data }: Summary): Table => ({
  caption: 'Data',
  head: ['Role', 'Data set', 'Images', 'Split', 'Source'],
  rows: data.map(({ role, name, origin, split, source }) => [role, name, origin, split, source]),
  numeric: false,
});

/** How the run was made: command, version, machine and the settings that all methods share. */
export const runFacts = ({
  machine,
  ...summary
}: Summary): readonly (readonly [string, string])[] => [
  ['command', summary.command],
  ['version', `flatlora ${summary.version}`],
  ['date', summary.date],
  ['backend', `${machine.backend} (${machine.backendReason})`],
  ['machine', `${machine.platform}, ${counted(machine.cores, 'core')}, Node ${machine.node}`],
  ...Object.entries(summary.settings).map(([name, value]) => [name, formatSetting(value)] as const),
];
