/** `npm run bench`: flatlora next to its peers, the machine's limits, and how things grow. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { enter, type Missing, type Row, race, rowsOf, type Timing } from './harness/compare.js';
import { flopsOf } from './harness/flops.js';
import { openSession, missingEverywhere, type Session } from './harness/session.js';
import { writeTensors } from './harness/tensors.js';
import { type BenchOptions, HELP, parseOptions } from './options.js';
import { catalogue } from './peers/catalogue.js';
import { progressBar } from './progress.js';
import { type Results, resultsText } from './report/results.js';
import { stepCases } from './works/models.js';
import { attentionCases, matmulCases, mlpCases } from './works/products.js';
import { type Case, type Effort, isSelected } from './works/work.js';

const TIMING: Timing = {
  sampleMs: 60,
  warmUpMs: 400,
  budgetMs: 20_000,
  leastRounds: 7,
  mostRounds: 25,
};

const QUICK: Timing = { sampleMs: 5, warmUpMs: 20, budgetMs: 1000, leastRounds: 3, mostRounds: 5 };

const casesOf = (effort: Effort): readonly Case[] => [
  ...matmulCases(effort),
  ...mlpCases(effort),
  ...attentionCases(effort),
  ...stepCases(effort),
];

interface Measured {
  readonly rows: readonly Row[];
  readonly missing: readonly Missing[];
}

/** Enters all engines into a case and runs them in turn. */
async function measureCase(
  { spec, tensors, ...about }: Case,
  { subject, peers }: Session,
  timing: Timing,
): Promise<Measured> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'flatlora-bench-'));
  try {
    const job = { spec, tensors: writeTensors(folder, tensors()) };
    const { entrants, missing } = await enter(about, job, subject, peers);
    await race(entrants, timing);
    for (const { process, runner } of entrants) await process.dispose(runner);
    return { rows: rowsOf(about.work, entrants), missing };
  } catch (cause) {
    const reason = `not timed: ${(cause as Error).message}`;
    return { rows: [], missing: [{ work: about.work, peer: 'all', reason }] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(options: BenchOptions): Promise<Results> {
  const { quick, gpu, only } = options;
  const threads = options.threads ?? os.availableParallelism();
  const cases = casesOf({ quick, gpu }).filter(({ work }) => isSelected(work, only));
  const session = await openSession(catalogue({ ...options, threads }));
  const bar = progressBar(cases.length);
  const measured: Measured[] = [];
  for (const one of cases) {
    bar.start(one.work);
    measured.push(await measureCase(one, session, quick ? QUICK : TIMING));
    bar.done();
  }
  bar.stop();
  session.end();
  return {
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown processor',
      threads,
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
    },
    engines: session.engines,
    peaks: [],
    works: cases.map(({ work, about, spec }) => ({ work, about, flops: flopsOf(spec) })),
    rows: measured.flatMap(({ rows }) => rows),
    missing: [
      ...missingEverywhere(session.absent),
      ...measured.flatMap(({ missing }) => missing),
    ],
    growth: [],
    notes: quick ? ['A quick run: it shows that everything works, not how fast it is.'] : [],
  };
}

const options = parseOptions(process.argv.slice(2));
if (typeof options === 'string') {
  console.error(options);
  process.exitCode = 2;
} else if (options.help) {
  console.log(HELP);
} else {
  const results = await run(options);
  console.log(resultsText(results));
  mkdirSync(options.out, { recursive: true });
  writeFileSync(path.join(options.out, 'bench.json'), `${JSON.stringify(results, null, 2)}\n`);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(results.rows, null, 2)}\n`);
  }
}
