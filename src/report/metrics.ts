/** The quantities of the table: how each is read from a run, named, shown and judged. */
import type { Format } from './format.js';
import { mean, standardDeviation } from './statistics.js';
import { isMeasured, type Measured, type MethodSummary, type SeedRun } from './summary.js';

export interface Metric {
  readonly id: string;
  readonly label: string;
  /** The unit after formatting; empty for pure numbers. */
  readonly unit: string;
  /** The unit of a difference: points, where the quantity is in per cent. */
  readonly differenceUnit: string;
  readonly format: Format;
  /** Which direction is wanted, if any; it decides the words "better" and "worse", nothing else. */
  readonly better: 'higher' | 'lower' | 'neither';
  /** Whether it varies with the seed, so that paired differences mean something. */
  readonly varies: boolean;
  /** Whether a ratio to the baseline means something (a positive quantity with a true zero). */
  readonly ratio: boolean;
  readonly read: (run: SeedRun) => Measured;
}

/** Severities of the corruption suite, 1 to 5. */
export const SEVERITIES: readonly number[] = [1, 2, 3, 4, 5];

const accuracy = (id: string, label: string, read: Metric['read']): Metric => ({
  id,
  label,
  unit: '%',
  differenceUnit: 'points',
  format: 'percent',
  better: 'higher',
  varies: true,
  ratio: false,
  read,
});

const positive = (
  id: string,
  label: string,
  unit: string,
  format: Format,
  read: Metric['read'],
): Metric => ({
  id,
  label,
  unit,
  differenceUnit: unit,
  format,
  better: 'lower',
  varies: true,
  ratio: true,
  read,
});

/** The mean over severities, only when every one of them was measured. */
const meanCorruption = (run: SeedRun): Measured =>
  run.corruption.length > 0 && run.corruption.every(isMeasured)
    ? mean(run.corruption.filter(isMeasured))
    : null;

/** Every row of the table, in order. */
export const METRICS: readonly Metric[] = [
  accuracy('targetAccuracy', 'Target test accuracy', (run) => run.targetAccuracy),
  accuracy('corruptedAccuracy', 'Corrupted, mean of severities', meanCorruption),
  ...SEVERITIES.map((severity) =>
    accuracy(
      `corruption${severity}`,
      `Corrupted, severity ${severity}`,
      (run) => run.corruption[severity - 1] ?? null,
    ),
  ),
  positive('testLoss', 'Target test loss', '', 'significant', (run) => run.testLoss),
  {
    ...positive(
      'finalTrainLoss',
      'Final training loss',
      '',
      'significant',
      (run) => run.finalTrainLoss,
    ),
    // A lower training loss is not by itself wanted: the test loss is.
    better: 'neither',
  },
  positive(
    'topHessianEigenvalue',
    'Top Hessian eigenvalue',
    '',
    'significant',
    (run) => run.topHessianEigenvalue,
  ),
  positive('meanLossRise', 'Mean loss rise', '', 'significant', (run) => run.meanLossRise),
  positive('secondsPerStep', 'Time per step', 'ms', 'milliseconds', (run) => run.secondsPerStep),
  {
    ...positive(
      'trainedParameters',
      'Trained parameters',
      '',
      'count',
      (run) => run.trainedParameters,
    ),
    varies: false,
  },
  {
    ...positive('extraBytes', 'Extra bytes', '', 'count', (run) => run.extraBytes),
    varies: false,
  },
];

/** The metric with this identifier. */
export const metricById = (id: string): Metric | undefined =>
  METRICS.find((metric) => metric.id === id);

/** A metric over a method's seeds. */
export interface Aggregate {
  /** Seeds that ran. */
  readonly seeds: number;
  /** Seeds with a number. */
  readonly n: number;
  readonly mean: Measured;
  /** null for fewer than two numbers. */
  readonly standardDeviation: Measured;
}

/** Mean and sample standard deviation of what was measured. */
export function aggregate(values: readonly Measured[]): Aggregate {
  const measured = values.filter(isMeasured);
  return {
    seeds: values.length,
    n: measured.length,
    mean: measured.length > 0 ? mean(measured) : null,
    standardDeviation: measured.length > 1 ? standardDeviation(measured) : null,
  };
}

export const aggregateMetric = (method: MethodSummary, metric: Metric): Aggregate =>
  aggregate(method.runs.map(metric.read));
