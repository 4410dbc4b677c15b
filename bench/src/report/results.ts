/** Everything that a run of the benchmark found, and its text. */
import type { Missing, OwnTime, Row } from '../harness/compare.js';
import type { EngineInfo } from '../harness/job.js';
import { fine, milliseconds, percent, short } from './numbers.js';
import { table } from './table.js';

/** A measured limit of the machine. */
export interface Peak {
  readonly name: string;
  readonly value: number;
  readonly unit: 'GFLOP/s' | 'GB/s';
}

/** A work's operations, by which a time becomes a rate. */
export interface WorkFacts {
  readonly work: string;
  readonly about: string;
  readonly flops: number;
}

export interface Machine {
  readonly cpu: string;
  readonly threads: number;
  readonly node: string;
  readonly platform: string;
}

/** How something grows: times at sizes. */
export interface Growth {
  readonly what: string;
  readonly unit: string;
  readonly points: readonly { readonly size: number; readonly value: number }[];
  /** Steepness on logarithmic scales: 1 is linear. */
  readonly exponent: number;
}

export interface Results {
  readonly machine: Machine;
  readonly engines: readonly EngineInfo[];
  readonly peaks: readonly Peak[];
  readonly works: readonly WorkFacts[];
  readonly times: readonly OwnTime[];
  readonly rows: readonly Row[];
  readonly missing: readonly Missing[];
  readonly growth: readonly Growth[];
  /** What a reader should know of this run, such as that it was a quick one. */
  readonly notes: readonly string[];
}

/** Of two measurements of the same limits the better of each. */
export const bestOf = (first: readonly Peak[], second: readonly Peak[]): readonly Peak[] =>
  (second.length > 0 ? second : first).map((peak) => {
    const other = first.find(({ name }) => name === peak.name);
    return other !== undefined && other.value > peak.value ? other : peak;
  });

/** The greatest rate that was measured: what fractions are taken of. */
export const limitOf = (peaks: readonly Peak[]): Peak | undefined =>
  peaks
    .filter(({ unit }) => unit === 'GFLOP/s')
    .reduce<Peak | undefined>(
      (best, peak) => (best === undefined || peak.value > best.value ? peak : best),
      undefined,
    );

const rate = (flops: number, ms: number): number => flops / ms / 1e6;

/** One line per engine and work: the subject first, then its peers. */
function speedLines({ times, rows, works, peaks }: Results): readonly (readonly string[])[] {
  const limit = limitOf(peaks);
  const speed = (work: string, ms: number): readonly string[] => {
    const flops = works.find((facts) => facts.work === work)?.flops;
    if (flops === undefined) return [milliseconds(ms), '', ''];
    const gflops = rate(flops, ms);
    const share = limit === undefined ? '' : percent(gflops / limit.value);
    return [milliseconds(ms), short(gflops), share];
  };
  return times.flatMap(({ work, subject, subjectMs }) => [
    [work, subject, ...speed(work, subjectMs), '', '', ''],
    ...rows
      .filter((row) => row.work === work)
      .map(({ peer, peerMs, ratio, low, high, interval }) => [
        '',
        peer,
        ...speed(work, peerMs),
        `${short(ratio)}×`,
        `${short(low)}–${short(high)}`,
        interval === null ? '' : interval.map(fine).join('–'),
      ]),
  ]);
}

export function resultsText(results: Results): string {
  const { machine, engines, peaks, missing, growth, notes } = results;
  const limit = limitOf(peaks);
  const sections = [
    `${machine.cpu}, ${machine.threads} threads, Node ${machine.node}, ${machine.platform}`,
    table(
      ['engine', 'version', 'threads', ''],
      engines.map((e) => [e.name, e.version, String(e.threads ?? '–'), e.note ?? '']),
      4,
    ),
    ...(peaks.length === 0
      ? []
      : [
          table(
            ['limit of the machine', 'measured'],
            peaks.map(({ name, value, unit }) => [name, `${short(value)} ${unit}`]),
          ),
        ]),
    ...(results.times.length === 0
      ? []
      : [
          table(
            [
              'work',
              'engine',
              'time',
              'GFLOP/s',
              'of limit',
              'over flatlora',
              '10–90 %',
              '95 % of it',
            ],
            speedLines(results),
            2,
          ),
        ]),
    ...(limit === undefined || results.times.length === 0
      ? []
      : [`Limit: ${limit.name}, ${short(limit.value)} GFLOP/s.`]),
    ...growth.map(growthText),
    ...(missing.length === 0
      ? []
      : [
          table(
            ['not measured', 'engine', 'why'],
            missing.map(({ work, peer, reason }) => [work, peer, reason]),
            3,
          ),
        ]),
    ...notes,
  ];
  return sections.join('\n\n');
}

const growthText = ({ what, unit, points, exponent }: Growth): string => {
  const values = points.map(({ size, value }) => `${size}: ${short(value)} ${unit}`).join(', ');
  return `${what}: ${values}; grows as size^${exponent.toFixed(2)}`;
};
