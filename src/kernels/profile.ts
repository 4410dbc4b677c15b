/** How long each kernel of a program takes: rows, a table for people, a trace for Chrome. */
import type { Cost } from './plan/cost.js';

/** One kernel's time and what it did in it. */
export interface KernelTime extends Cost {
  readonly kernel: string;
  /** Milliseconds: the median of the repeats. */
  readonly ms: number;
  readonly gigaflopsPerSecond: number;
  readonly gigabytesPerSecond: number;
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

/**
 * Rows of a profile.
 * @param times by repeat, the milliseconds of each kernel; at least one repeat.
 */
export const kernelTimes = (
  names: readonly string[],
  costs: readonly Cost[],
  times: readonly (readonly number[])[],
): readonly KernelTime[] =>
  names.map((kernel, i) => {
    const ms = median(times.map((repeat) => repeat[i] as number));
    const { flops, bytes } = costs[i] ?? { flops: 0, bytes: 0 };
    const rate = (amount: number) => (ms > 0 ? amount / ms / 1e6 : 0);
    return {
      kernel,
      ms,
      flops,
      bytes,
      gigaflopsPerSecond: rate(flops),
      gigabytesPerSecond: rate(bytes),
    };
  });

/** The kernels as a table, slowest first, with the sum of all. @param most rows; 30 by default. */
export function printProfile(rows: readonly KernelTime[], most = 30): string {
  const total = rows.reduce((n, r) => n + r.ms, 0);
  const cells = (r: KernelTime): readonly string[] => [
    r.ms.toFixed(3),
    `${total > 0 ? ((100 * r.ms) / total).toFixed(1) : '0.0'} %`,
    (r.flops / 1e6).toFixed(2),
    (r.bytes / 1e6).toFixed(2),
    r.gigaflopsPerSecond.toFixed(1),
    r.gigabytesPerSecond.toFixed(1),
    r.kernel,
  ];
  const sum = (of: (r: KernelTime) => number) => rows.reduce((n, r) => n + of(r), 0);
  const [flops, bytes] = [sum((r) => r.flops), sum((r) => r.bytes)];
  const whole: KernelTime = {
    kernel: `all ${rows.length} kernels`,
    ms: total,
    flops,
    bytes,
    gigaflopsPerSecond: total > 0 ? flops / total / 1e6 : 0,
    gigabytesPerSecond: total > 0 ? bytes / total / 1e6 : 0,
  };
  const slowest = [...rows].sort((a, b) => b.ms - a.ms).slice(0, most);
  const table = [
    ['ms', 'share', 'Mflop', 'MB', 'GFLOP/s', 'GB/s', 'kernel'],
    ...[...slowest, whole].map(cells),
  ];
  const widths = (table[0] as readonly string[]).map((_, column) =>
    Math.max(...table.map((row) => (row[column] as string).length)),
  );
  return table
    .map((row) =>
      row
        .map((cell, c) => (c === row.length - 1 ? cell : cell.padStart(widths[c] as number)))
        .join('  '),
    )
    .join('\n');
}

/**
 * The kernels one after another as a trace for `chrome://tracing` or ui.perfetto.dev: JSON with
 * `traceEvents`, times in microseconds.
 */
export function chromeTrace(rows: readonly KernelTime[]): string {
  let start = 0;
  const traceEvents = rows.map((r) => {
    const { kernel, ms, ...args } = r;
    const event = { name: kernel, ph: 'X', pid: 1, tid: 1, ts: start, dur: 1000 * ms, args };
    start += 1000 * ms;
    return event;
  });
  return JSON.stringify({ traceEvents, displayTimeUnit: 'ms' });
}
