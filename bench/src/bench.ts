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
import { type FlatTiming, measureFlatCost } from './harness/flatCost.js';
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
  sampleMs: 100,
  warmUpMs: 400,
  budgetMs: 20_000,
  leastRounds: 7,
  mostRounds: 25,
};

/** Differences of a hundredth need more rounds, and more than one process. */
const FINE: FlatTiming = {
  ...TIMING,
  launches: 9,
  turnRounds: 8,
  // Neither of the two is ever too slow to take part in all rounds.
  budgetMs: Infinity,
  leastRounds: 5,
  mostRounds: 5,
};

const QUICK: FlatTiming = {
  launches: 2,
  turnRounds: 3,
  sampleMs: 5,
  warmUpMs: 20,
  budgetMs: 1000,
  leastRounds: 3,
  mostRounds: 5,
};

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
  cases: readonly Case[],
  { subject }: Catalogue,
  rounds: number | undefined,
): readonly Task[] {
  const counted = <T extends Timing>(timing: T): T =>
    rounds === undefined
      ? timing
      : { ...timing, budgetMs: Infinity, leastRounds: rounds, mostRounds: rounds };
  const timing = counted(effort.quick ? QUICK : TIMING);
  return [
    ...cases.map((one) => ({
      work: one.work,
      peers: true,
      run: (session: Session) => measureCase(one, session, timing),
    })),
    ...flatPairs(effort).map(({ work, pair }) => ({
      work,
      peers: false,
      run: ({ subject: { name } }: Session) =>
        measureFlatCost(
          work,
          pair,
          { name, launch: subject.launch },
          counted(effort.quick ? QUICK : FINE),
        ),
    })),
    ...(effort.gpu ? [] : growthSeries(effort)).map((series) => ({
      work: series.work,
      peers: false,
      run: () => measureGrowth(series, subject.launch, timing),
    })),
    // The limits of the machine alone: every run measures them anyway.
    { work: 'peak', peers: false, run: async () => ({}) },
  ];
}

/** What was found so far, put together. */
function resultsOf(
  found: readonly Found[],
  cases: readonly Case[],
  { engines, absent }: Session,
  { threads, quick }: { readonly threads: number; readonly quick: boolean },
): Results {
  const missing = [...missingEverywhere(absent), ...found.flatMap((f) => f.missing ?? [])];
  return {
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown processor',
      threads,
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    },
    engines,
    peaks: found.map((f) => f.peaks ?? []).reduce(bestOf, []),
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

/**
 * Runs what the options select.
 * @param keep is given the results so far after every work, so that a run that is stopped is not lost.
 * @throws Error when they select nothing, or flatlora itself does not start.
 */
export async function runBench(
  options: BenchOptions,
  keep: (results: Results) => void,
): Promise<Results> {
  const { quick, gpu, only } = options;
  const effort: Effort = { quick, gpu };
  const threads = options.threads ?? os.availableParallelism();
  const engines = catalogue({ ...options, threads });
  const cases = casesOf(effort);
  const all = tasksOf(effort, cases, engines, options.rounds);
  const tasks = all.filter(({ work }) => isSelected(work, only));
  if (tasks.length === 0) {
    throw new Error(`--only is ${only}, expected one of ${all.map(({ work }) => work).join(', ')}`);
  }
  // The limits are measured at both ends of every run: fractions are taken of the better ones.
  const found: Found[] = [await measurePeaks(effort, threads)];
  const peers = tasks.some((task) => task.peers) ? engines.peers : [];
  const session = await openSession({ ...engines, peers });
  const soFar = () => resultsOf(found, cases, session, { threads, quick });
  const bar = progressBar(tasks.length);
  for (const { work, run } of tasks) {
    bar.start(work);
    found.push(await run(session));
    keep(soFar());
    bar.done();
  }
  bar.stop();
  session.end();
  const { peaks = [] } = await measurePeaks(effort, threads);
  found.push({ peaks });
  return soFar();
}
