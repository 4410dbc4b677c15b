/** Paired differences against the baseline, and the sentences that say what they show. */
import { counted, formatMeasured, formatSigned, inSentence } from './format.js';
import { METRICS, metricById } from './metrics.js';
import { mean, type PairedDifference, pairedDifference } from './statistics.js';
import {
  isMeasured,
  type Measured,
  type MethodSummary,
  type PairedComparison,
  type Summary,
} from './summary.js';

/** What an interval shows; `none` when there are fewer than two pairs. */
export type Verdict = 'higher' | 'lower' | 'no difference shown' | 'none';

/**
 * Every varying metric of every method minus the baseline's, paired by seed: a seed that only one
 * of the two ran, or where either number is missing, is no pair. Empty when the baseline is absent.
 * @param methods the methods of a summary.
 * @param baseline the `name` of the method to subtract; `lora` by default.
 */
export function pairedComparisons(
  methods: readonly MethodSummary[],
  baseline = 'lora',
): readonly PairedComparison[] {
  const base = methods.find((method) => method.name === baseline);
  if (base === undefined) return [];
  return methods
    .filter((method) => method !== base)
    .flatMap((method) => {
      const pairs = method.runs.flatMap((run) => {
        const partner = base.runs.find((other) => other.seed === run.seed);
        return partner === undefined ? [] : [[run, partner] as const];
      });
      return METRICS.filter((metric) => metric.varies).map((metric) => {
        const a = pairs.map(([run]) => metric.read(run));
        const b = pairs.map(([, partner]) => metric.read(partner));
        return {
          metric: metric.id,
          method: method.name,
          baseline,
          difference: pairedDifference(a, b),
          ratio: metric.ratio ? ratioOfMeans(a, b) : null,
        };
      });
    });
}

function ratioOfMeans(a: readonly Measured[], b: readonly Measured[]): Measured {
  const both = a.flatMap((value, i) => {
    const partner = b[i];
    return isMeasured(value) && isMeasured(partner) ? [[value, partner] as const] : [];
  });
  const below = mean(both.map(([, partner]) => partner));
  const above = mean(both.map(([value]) => value));
  return below > 0 && above > 0 ? above / below : null;
}

/** Whether the interval lies above zero, below it, or contains it. */
export function verdictOf({ low, high }: PairedDifference): Verdict {
  if (!isMeasured(low) || !isMeasured(high)) return 'none';
  return low > 0 ? 'higher' : high < 0 ? 'lower' : 'no difference shown';
}

/** The verdict with its judgement: "higher (better)", "no difference shown", "too few pairs". */
export function verdictText(comparison: PairedComparison): string {
  const verdict = verdictOf(comparison.difference);
  if (verdict === 'none') return 'too few pairs';
  if (verdict === 'no difference shown') return verdict;
  const wanted = metricById(comparison.metric)?.better ?? 'neither';
  return wanted === 'neither' ? verdict : `${verdict} (${wanted === verdict ? 'better' : 'worse'})`;
}

/** "+0.4 ± 1.1", without a unit; one pair has no ±. */
export function differenceText({ metric, difference }: PairedComparison): string {
  const format = metricById(metric)?.format ?? 'significant';
  const centre = formatSigned(difference.mean, format);
  return difference.standardDeviation === null
    ? centre
    : `${centre} ± ${formatMeasured(difference.standardDeviation, format, 2)}`;
}

/** "−0.9 to +1.7", without a unit. */
export function intervalText({ metric, difference }: PairedComparison): string {
  const format = metricById(metric)?.format ?? 'significant';
  return difference.low === null || difference.high === null
    ? 'n/a'
    : `${formatSigned(difference.low, format)} to ${formatSigned(difference.high, format)}`;
}

/** "0.52×", or "n/a". */
export const ratioText = ({ ratio }: PairedComparison): string =>
  isMeasured(ratio) ? `${formatMeasured(ratio, 'significant')}×` : '';

/** The metrics that deserve a sentence of their own; the rest are in the table. */
const HEADLINES = ['targetAccuracy', 'corruptedAccuracy', 'topHessianEigenvalue', 'meanLossRise'];

/** What the numbers say, one sentence per method and headline metric, then how to read them. */
export function findings(summary: Summary): readonly string[] {
  const label = (name: string) =>
    summary.methods.find((method) => method.name === name)?.label ?? name;
  const sentences = summary.comparisons
    .filter((comparison) => HEADLINES.includes(comparison.metric))
    .map((comparison) => sentence(comparison, label));
  const intervals = summary.comparisons.filter(({ difference }) => difference.low !== null).length;
  return [
    ...warnings(summary),
    ...sentences,
    ...(intervals > 0 ? [howToRead(intervals)] : []),
    ...summary.notes,
  ];
}

function sentence(comparison: PairedComparison, label: (name: string) => string): string {
  const metric = metricById(comparison.metric);
  const name = inSentence(metric?.label ?? comparison.metric);
  const unit = metric?.differenceUnit ? ` ${metric.differenceUnit}` : '';
  const { n } = comparison.difference;
  const who = `${label(comparison.method)} − ${label(comparison.baseline)}, ${name}`;
  if (n === 0) return `${who}: no pairs.`;
  if (n === 1) return `${who}: ${differenceText(comparison)}${unit} in one pair; no interval.`;
  const interval = `95 % interval ${intervalText(comparison)}, ${counted(n, 'pair')}`;
  return `${who}: ${differenceText(comparison)}${unit} (${interval}): ${verdictText(comparison)}.`;
}

const howToRead = (intervals: number): string =>
  `The ${intervals} intervals are Student-t intervals of the paired mean over seeds, each at 95 % ` +
  'and not corrected for their number: where there is no difference at all, about one in twenty ' +
  'leaves out zero. They cover what the seed changes, not the choice of training and test images.';

function warnings(summary: Summary): readonly string[] {
  const drawn = summary.data.filter((fact) => fact.origin === 'drawn').map((fact) => fact.role);
  const incomplete = summary.methods.flatMap((method) => {
    const missing = METRICS.filter((metric) =>
      method.runs.some((run) => !isMeasured(metric.read(run))),
    );
    return missing.length > 0
      ? [`${method.label}: not measured in every seed: ${missing.map((m) => m.label).join('; ')}.`]
      : [];
  });
  return [
    ...(drawn.length > 0
      ? [
          `Drawn data (${[...new Set(drawn)].join(', ')}): digits that this library draws itself; ` +
            'these are not results on real images.',
        ]
      : []),
    ...incomplete,
  ];
}
