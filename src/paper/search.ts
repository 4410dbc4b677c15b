/**
 * Looks for settings: as many trials for every method, scored on validation data, with seeds that no
 * experiment uses. What is found is kept as `src/paper/settings/<experiment>.json` and read from there.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { FlatloraError } from '../autodiff/index.js';
import { mean } from '../report/index.js';
import { codeIdentity } from './collect.js';
import type { CellResult, Surroundings } from './experiment.js';
import type { Task } from './grid.js';
import type { Options } from './options.js';
import type { AnyExperiment } from './registry.js';
import { loadResult, toJson, writeText } from './store.js';

export type Settings = Readonly<Record<string, number>>;

/** What a search found and all that it tried. */
export interface Found {
  readonly commit: string;
  /** The measure that was to be large. */
  readonly score: string;
  /** The best settings of each method. */
  readonly best: Readonly<Record<string, Settings>>;
  readonly trials: readonly {
    readonly method: string;
    readonly settings: Settings;
    /** Mean over seeds and tasks; NaN (null in the file) when one of them diverged. */
    readonly score: number;
    readonly runs: number;
  }[];
}

/** The committed file of an experiment's settings. */
const settingsFile = (name: string): string =>
  fileURLToPath(new URL(`../../src/paper/settings/${name}.json`, import.meta.url));

/** The best settings of every method that was searched for; none when there was no search. */
export const foundSettings = (name: string): Found['best'] => {
  const file = settingsFile(name);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Found).best : {};
};

/** Means of equal trials, and the best of each method; the first of equals. */
export function judge(
  results: readonly CellResult[],
  { trial, score }: NonNullable<AnyExperiment['search']>,
): Pick<Found, 'best' | 'trials'> {
  const groups = new Map<string, { method: string; settings: Settings; scores: number[] }>();
  for (const { cell, measures } of results) {
    const { method, settings } = trial(cell);
    const name = JSON.stringify([method, settings]);
    const group = groups.get(name) ?? { method, settings, scores: [] };
    group.scores.push(Number(measures[score]));
    groups.set(name, group);
  }
  const trials = [...groups.values()].map(({ method, settings, scores }) => ({
    method,
    settings,
    score: mean(scores),
    runs: scores.length,
  }));
  const best: Record<string, Settings> = {};
  for (const method of new Set(trials.map((t) => t.method))) {
    const finite = trials.filter((t) => t.method === method && Number.isFinite(t.score));
    const top = finite.toSorted((a, b) => b.score - a.score)[0];
    if (top !== undefined) best[method] = top.settings;
  }
  return { best, trials };
}

type RunAll = (
  tasks: readonly Task[],
  surroundings: Surroundings,
  out: string,
  threads: number | undefined,
) => Promise<'completed' | 'interrupted' | 'failed'>;

/** Runs the trials of experiments and writes down what was best. */
export async function search(
  experiments: readonly AnyExperiment[],
  options: Options,
  runAll: RunAll,
): Promise<number> {
  const out = path.resolve(options.out);
  const { quick, seeds, dataDir } = options;
  const surroundings: Surroundings = { quick, seeds, dataDir };
  for (const { name, search: what } of experiments) {
    if (what === undefined) {
      throw new FlatloraError('argument', `search: ${name} has no search`);
    }
    const tasks = what.cells(surroundings).map((cell): Task => ({ experiment: name, quick, cell }));
    if ((await runAll(tasks, surroundings, out, options.threads)) === 'interrupted') return 130;
    const results = await Promise.all(tasks.map((task) => loadResult(out, task)));
    const found: Found = {
      commit: codeIdentity().commit,
      score: what.score,
      ...judge(
        results.filter((result) => result !== undefined),
        what,
      ),
    };
    await writeText(quick ? path.join(out, `${name}.json`) : settingsFile(name), toJson(found));
    for (const [method, settings] of Object.entries(found.best)) {
      process.stderr.write(`${method}: ${JSON.stringify(settings)}\n`);
    }
  }
  return 0;
}
