/**
 * From the files of cells to `results.json` and the reports. All of it is a function of the cells'
 * results and of what was asked for, so the same comes out however the cells were spread.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CellResult, Surroundings } from './experiment.js';
import type { AnyExperiment } from './registry.js';
import {
  type Chapter,
  figureFiles,
  type Report,
  renderPaperHtml,
  renderPaperMarkdown,
  type Skipped,
} from './report.js';
import { loadResult, toJson, writeText } from './store.js';

/** What was asked for; shards that are merged agree in it. */
export interface Plan {
  readonly names: readonly string[];
  readonly quick: boolean;
  readonly seeds: number;
  readonly skipped: readonly Skipped[];
  readonly version: string;
  /** The commit of the code that ran, where it is a checkout. */
  readonly commit: string;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The version of the package and the commit of the checkout. */
export function codeIdentity(): Pick<Plan, 'version' | 'commit'> {
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  try {
    const commit = execFileSync('git', ['rev-parse', '--short=12', 'HEAD'], {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    return { version, commit };
  } catch {
    return { version, commit: 'unknown (no checkout)' };
  }
}

/** The results of an experiment that are there, in the order of its grid. */
async function resultsOf(
  out: string,
  experiment: AnyExperiment,
  surroundings: Surroundings,
): Promise<{ readonly cells: number; readonly results: readonly CellResult[] }> {
  const cells = experiment.cells(surroundings);
  const found = await Promise.all(
    cells.map((cell) =>
      loadResult(out, { experiment: experiment.name, quick: surroundings.quick, cell }),
    ),
  );
  return { cells: cells.length, results: found.filter((result) => result !== undefined) };
}

/** Writes results.json, report.md with its figures, and report.html. */
export async function writeReports(
  out: string,
  plan: Plan,
  experiments: readonly AnyExperiment[],
): Promise<void> {
  const { quick, seeds } = plan;
  // Reports must not depend on where the data of a machine lies.
  const surroundings: Surroundings = { quick, seeds, dataDir: undefined };
  const found = await Promise.all(
    experiments.map(async (experiment) => ({
      experiment,
      ...(await resultsOf(out, experiment, surroundings)),
    })),
  );
  const chapters = found.map(
    ({ experiment, cells, results }): Chapter => ({
      experiment,
      cells,
      done: results.length,
      sections: results.length === 0 ? [] : experiment.report(results, surroundings),
    }),
  );
  const report: Report = {
    title: 'Flat-LoRA: tables and figures at the scale of a laptop',
    facts: [
      ['commit', plan.commit],
      ['version', `flatlora ${plan.version}`],
      ['seeds', `0 to ${seeds - 1}`],
      ['runs', String(found.reduce((sum, { results }) => sum + results.length, 0))],
    ],
    notices: quick
      ? [
          'The quick form: a few steps on generated data, to show that everything works. Its numbers mean nothing.',
        ]
      : [],
    chapters,
    skipped: plan.skipped,
  };
  await writeText(
    path.join(out, 'results.json'),
    toJson({
      format: 'flatlora-paper-1',
      ...plan,
      experiments: found.map(({ experiment, cells, results }) => ({
        name: experiment.name,
        counterpart: experiment.counterpart,
        cells,
        results,
      })),
    }),
  );
  for (const [file, svg] of Object.entries(figureFiles(report))) {
    await writeText(path.join(out, file), svg);
  }
  await writeText(path.join(out, 'report.md'), renderPaperMarkdown(report));
  await writeText(path.join(out, 'report.html'), renderPaperHtml(report));
}
