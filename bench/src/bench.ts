/** A run of the benchmark: its tasks in order, and what they found put together. */
import os from 'node:os';
import {
  enter,
  type Missing,
  type OwnTime,
  ownTime,
  type Row,
  race,
  rowsOf,
  type Timing,
} from './harness/compare.js';
import { measureFlatCost } from './harness/flatCost.js';
import { flopsOf } from './harness/flops.js';
import { measureGrowth } from './harness/growth.js';
import { missingEverywhere, openSession, type Session } from './harness/session.js';
import { inTemporaryFiles } from './harness/tensors.js';
import type { BenchOptions } from './options.js';
import { cpuPeaks } from './peak/cpuPeak.js';
import { gpuPeaks } from './peak/gpuPeak.js';
import { type Catalogue, catalogue } from './peers/catalogue.js';
import { progressBar } from './progress.js';
import { bestOf, type Growth, type Peak, type Results } from './report/results.js';
import { growthSeries } from './works/growth.js';
import { flatPairs, stepCases } from './works/models.js';
import { attentionCases, matmulCases, mlpCases } from './works/products.js';
import { type Case, type Effort, isSelected } from './works/work.js';

const TIMING: Timing = {
  sampleMs: 60,
  warmUpMs: 400,
  budgetMs: 20_000,
  leastRounds: 7,
  mostRounds: 25,
};

/** Differences of a hundredth need more rounds. */
const FINE: Timing = { ...TIMING, budgetMs: 40_000, leastRounds: 15, mostRounds: 101 };

const QUICK: Timing = { sampleMs: 5, warmUpMs: 20, budgetMs: 1000, leastRounds: 3, mostRounds: 5 };

/** What one task finds. */
interface Found {
  readonly times?: readonly OwnTime[];
  readonly rows?: readonly Row[];
  readonly missing?: readonly Missing[];
  readonly growth?: readonly Growth[];
  readonly peaks?: readonly Peak[];
  readonly notes?: readonly string[];
}

interface Task {
  readonly work: string;
  /** Whether other engines than ours take part. */
  readonly peers: boolean;
  readonly run: (session: Session) => Promise<Found>;
}

const casesOf = (effort: Effort): readonly Case[] => [
  ...matmulCases(effort),
  ...mlpCases(effort),
  ...attentionCases(effort),
  ...stepCases(effort),
];

/** Enters all engines into a case and runs them in turn. */
async function measureCase(
  { spec, tensors, ...about }: Case,
  { subject, peers }: Session,
  timing: Timing,
): Promise<Found> {
  const { work } = about;
  try {
    return await inTemporaryFiles(tensors(), async (files) => {
      const { entrants, missing } = await enter(about, { spec, tensors: files }, subject, peers);
      const { finished, missing: failed } = await race(work, entrants, timing);
      return {
        times: ownTime(work, finished),
        rows: rowsOf(work, finished),
        missing: [...missing, ...failed],
      };
    });
  } catch (cause) {
    const reason = `not timed: ${(cause as Error).message}`;
    return { missing: [{ work, peer: 'all', reason }] };
  }
}

async function measurePeaks({ gpu, quick }: Effort, threads: number): Promise<Found> {
  const peaks = gpu ? await gpuPeaks(quick) : await cpuPeaks(threads, quick ? 10 : 150);
  return typeof peaks === 'string'
    ? { missing: [{ work: 'peak', peer: 'machine', reason: peaks }] }
    : { peaks };
}

/** All tasks in the order in which they run. */
function tasksOf(
  effort: Effort,
  threads: number,
  cases: readonly Case[],
  { subject }: Catalogue,
): readonly Task[] {
  const timing = effort.quick ? QUICK : TIMING;
  return [
    ...cases.map((one) => ({
      work: one.work,
      peers: true,
      run: (session: Session) => measureCase(one, session, timing),
    })),
    ...flatPairs(effort).map(({ work, pair }) => ({
      work,
      peers: false,
      run: ({ subject: own }: Session) =>
        measureFlatCost(work, pair, own, effort.quick ? QUICK : FINE),
    })),
    ...(effort.gpu ? [] : growthSeries(effort)).map((series) => ({
      work: series.work,
      peers: false,
      run: () => measureGrowth(series, subject.launch, timing),
    })),
    { work: 'peak', peers: false, run: () => measurePeaks(effort, threads) },
  ];
}

/**
 * Runs what the options select.
 * @throws Error when they select nothing, or flatlora itself does not start.
 */
export async function runBench(options: BenchOptions): Promise<Results> {
  const { quick, gpu, only } = options;
  const effort: Effort = { quick, gpu };
  const threads = options.threads ?? os.availableParallelism();
  const engines = catalogue({ ...options, threads });
  const cases = casesOf(effort);
  const all = tasksOf(effort, threads, cases, engines);
  // The limits are measured at both ends of every run: fractions are taken of them.
  const tasks = all.filter(({ work }) => isSelected(work, only));
  if (tasks.length === 0) {
    throw new Error(`--only is ${only}, expected one of ${all.map(({ work }) => work).join(', ')}`);
  }
  const before = await measurePeaks(effort, threads);
  const peers = tasks.some((task) => task.peers) ? engines.peers : [];
  const session = await openSession({ ...engines, peers });
  const bar = progressBar(tasks.length);
  const found: Found[] = [];
  for (const { work, run } of tasks) {
    bar.start(work);
    found.push(work === 'peak' ? {} : await run(session));
    bar.done();
  }
  bar.stop();
  session.end();
  const after = await measurePeaks(effort, threads);
  const missing = [
    ...missingEverywhere(session.absent),
    ...found.flatMap((f) => f.missing ?? []),
    ...(after.missing ?? []),
  ];
  return {
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown processor',
      threads,
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    },
    engines: session.engines,
    peaks: bestOf(before.peaks ?? [], after.peaks ?? []),
    works: cases.map(({ work, about, spec }) => ({ work, about, flops: flopsOf(spec) })),
    times: found.flatMap((f) => f.times ?? []),
    rows: found.flatMap((f) => f.rows ?? []),
    missing,
    growth: found.flatMap((f) => f.growth ?? []),
    notes: [
      ...found.flatMap((f) => f.notes ?? []),
      ...(missing.some(({ differs }) => differs)
        ? ['Results differ: see above. Where all peers differ, ours are probably wrong.']
        : []),
      ...(quick ? ['A quick run: it shows that everything works, not how fast it is.'] : []),
    ],
  };
}
