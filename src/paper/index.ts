/** `npm run paper`: the paper's tables and figures, each a grid of runs. See `options.ts`. */
import path from 'node:path';
import { FlatloraError } from '../autodiff/index.js';
import { overallProgress } from '../main/overallProgress.js';
import { abortOnInterrupt } from '../training/node/index.js';
import { codeIdentity, type Plan, writeReports } from './collect.js';
import { missingData } from './dataPlaces.js';
import type { Surroundings } from './experiment.js';
import { inShard, type Task, tasksOf } from './grid.js';
import { mergeFolders, savePlan } from './merge.js';
import { HELP, type Options, readOptions } from './options.js';
import { runTasks } from './pool.js';
import { type AnyExperiment, EXPERIMENTS, experimentNamed } from './registry.js';
import { search } from './search.js';
import { isDone } from './store.js';

const say = (line: string) => process.stderr.write(`${line}\n`);

const chosen = (names: readonly string[]): readonly AnyExperiment[] =>
  names.includes('all') ? EXPERIMENTS : names.map(experimentNamed);

/** Does the tasks of experiments that may share the machine, then those that must have it alone. */
async function runAll(
  tasks: readonly Task[],
  surroundings: Surroundings,
  out: string,
  threads: number | undefined,
): Promise<'completed' | 'interrupted' | 'failed'> {
  // Done ones are left out, so that the time left is told by what this call does.
  const done = await Promise.all(tasks.map((task) => isDone(out, task)));
  const left = tasks.filter((_, i) => done[i] !== true);
  if (left.length < tasks.length) say(`${tasks.length - left.length} of them are done already`);
  const { signal, dispose } = abortOnInterrupt();
  const isAlone = ({ experiment, cell }: Task) =>
    experimentNamed(experiment).alone?.(cell) === true;
  const together = left.filter((task) => !isAlone(task));
  const alone = left.filter(isAlone);
  const bar = overallProgress();
  const share = together.length / Math.max(1, left.length);
  const failures = [
    ...(await runTasks(together, {
      surroundings,
      out,
      signal,
      progress: (done) => bar.update(share * done),
      ...(threads !== undefined && { threads }),
    })),
    ...(await runTasks(alone, {
      surroundings,
      out,
      signal,
      progress: (done) => bar.update(share + (1 - share) * done),
      threads: 1,
    })),
  ];
  bar.stop();
  dispose();
  for (const { task, message } of failures) {
    say(`${task.experiment} ${JSON.stringify(task.cell)}: ${message}`);
  }
  if (signal.aborted) return 'interrupted';
  return failures.length > 0 ? 'failed' : 'completed';
}

async function run(names: readonly string[], options: Options): Promise<number> {
  const out = path.resolve(options.out);
  const { quick, seeds, dataDir, shard } = options;
  const surroundings: Surroundings = { quick, seeds, dataDir };
  const wanted = chosen(names);
  const skipped = wanted.flatMap(({ name, data }) => {
    const reason = quick ? undefined : missingData(data, dataDir);
    return reason === undefined ? [] : [{ name, reason }];
  });
  for (const { name, reason } of skipped) say(`${name} is skipped: ${reason}`);
  const experiments = wanted.filter(({ name }) => !skipped.some((s) => s.name === name));
  const plan: Plan = {
    names: experiments.map(({ name }) => name),
    quick,
    seeds,
    skipped,
    ...codeIdentity(),
  };
  await savePlan(out, plan);
  const all = tasksOf(experiments, surroundings);
  const tasks = shard === undefined ? all : inShard(all, shard);
  say(`${tasks.length} runs of ${experiments.length} experiments, results in ${out}`);
  const outcome = await runAll(tasks, surroundings, out, options.threads);
  if (outcome === 'interrupted') {
    say('stopped; the same command goes on from here');
    return 130;
  }
  if (shard === undefined) {
    await writeReports(out, plan, experiments);
    say(`report: ${path.join(out, 'report.html')}`);
  } else {
    say(
      `part ${shard.index} of ${shard.count} is done; join the parts with: npm run paper -- merge`,
    );
  }
  return outcome === 'failed' ? 1 : 0;
}

async function merge(folders: readonly string[], options: Options): Promise<number> {
  const out = path.resolve(options.out);
  const plan = await mergeFolders(folders, out);
  const experiments = EXPERIMENTS.filter(({ name }) => plan.names.includes(name));
  await writeReports(out, plan, experiments);
  say(`report: ${path.join(out, 'report.html')}`);
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args, process.env);
    const { command } = options;
    switch (command.kind) {
      case 'help':
        process.stdout.write(HELP);
        return 0;
      case 'list':
        for (const { name, counterpart } of EXPERIMENTS) {
          process.stdout.write(`${name.padEnd(18)} ${counterpart}\n`);
        }
        return 0;
      case 'merge':
        return await merge(command.folders, options);
      case 'search':
        return await search(chosen(command.names), options, runAll);
      case 'run':
        return await run(command.names, options);
    }
  } catch (error) {
    if (!(error instanceof FlatloraError)) throw error;
    say(`flatlora: ${error.message}`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
