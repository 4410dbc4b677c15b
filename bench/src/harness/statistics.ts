/** Medians, paired ratios and their spread. */
import type { PairedTimes } from './job.js';

/** The value below which a share `q` of the numbers lies, between neighbours linear. */
export function quantile(xs: readonly number[], q: number): number {
  const sorted = [...xs].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  if (low === undefined || high === undefined) return Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (xs: readonly number[]): number => quantile(xs, 0.5);

/**
 * An interval that holds the true median with at least 95 % whatever the distribution: between the
 * k-th smallest and the k-th largest number, k from the binomial tail. Fewer than six numbers cannot
 * bound it.
 */
export function medianInterval(xs: readonly number[]): readonly [low: number, high: number] | null {
  const sorted = [...xs].sort((a, b) => a - b);
  const n = sorted.length;
  // P(fewer than k of n numbers lie below the median), k growing, in logarithms against underflow.
  let [k, tail, logTerm] = [0, 0, -n * Math.LN2];
  while (tail + Math.exp(logTerm) <= 0.025 && k < n) {
    tail += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
    k++;
  }
  if (k === 0) return null;
  return [sorted[k - 1] as number, sorted[n - k] as number];
}

export interface Ratio {
  readonly ratio: number;
  /** 10th and 90th percentile of the rounds. */
  readonly low: number;
  readonly high: number;
  /** 95 % interval of the median, `ratio`; null where there are too few rounds for one. */
  readonly interval: readonly [low: number, high: number] | null;
}

/**
 * Peer's time over the subject's, round by round, so that what slows the machine for a while slows
 * both: the median of these ratios, how they spread, and how well the median is known.
 */
export function pairedRatio(subject: readonly number[], peer: readonly number[]): Ratio {
  const ratios = subject.slice(0, peer.length).map((own, round) => (peer[round] as number) / own);
  return {
    ratio: median(ratios),
    low: quantile(ratios, 0.1),
    high: quantile(ratios, 0.9),
    interval: medianInterval(ratios),
  };
}

/**
 * The ratio over several processes: the median of what each has found, with the interval of these.
 * The spread is that of all rounds.
 */
export function launchedRatio(launches: readonly PairedTimes[]): Ratio {
  const each = launches.map(({ subject, peer }) => pairedRatio(subject, peer).ratio);
  const all = pairedRatio(
    launches.flatMap(({ subject }) => subject),
    launches.flatMap(({ peer }) => peer),
  );
  return { ...all, ratio: median(each), interval: medianInterval(each) };
}

/** Times to run a job within one sample so that the clock's grain does not show. */
export const repeatsFor = (estimateMs: number, sampleMs: number): number =>
  Math.max(1, Math.min(1000, Math.ceil(sampleMs / Math.max(estimateMs, 1e-3))));

/** Rounds that fit a budget, between `least` and `most`. */
export const roundsFor = (
  roundMs: number,
  { budgetMs, least, most }: { budgetMs: number; least: number; most: number },
): number => Math.max(least, Math.min(most, Math.floor(budgetMs / roundMs)));

/** Slope of the least-squares line through (log size, log value). */
export function exponentOf(points: readonly { size: number; value: number }[]): number {
  const logs = points.map(({ size, value }) => [Math.log(size), Math.log(value)] as const);
  const mean = (xs: readonly number[]) => xs.reduce((sum, x) => sum + x, 0) / xs.length;
  const [x0, y0] = [mean(logs.map(([x]) => x)), mean(logs.map(([, y]) => y))];
  const sum = (f: (x: number, y: number) => number) =>
    logs.reduce((total, [x, y]) => total + f(x - x0, y - y0), 0);
  return sum((x, y) => x * y) / sum((x) => x * x);
}
