/** The report of a run: a `Summary` in, text, Markdown or HTML out. Everything here is pure. */
export { pairedComparisons, type Verdict, verdictOf } from './comparisons.js';
export { renderHtml } from './html/page.js';
export { renderMarkdown } from './markdown.js';
export { type Aggregate, aggregate, METRICS, type Metric, SEVERITIES } from './metrics.js';
export {
  mean,
  type PairedDifference,
  pairedDifference,
  standardDeviation,
  studentCritical,
} from './statistics.js';
export * from './summary.js';
export type { Table } from './tables.js';
export { renderText } from './text.js';
