/**
 * The main job: adapt a pre-trained vision transformer to new handwriting with few labels, by full
 * fine-tuning, LoRA and Flat-LoRA, several seeds each; measure, compare, and report.
 */
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { FlatloraError, orThrow } from '../autodiff/index.js';
import { writeBytesAtomically } from '../checkpoints/node/index.js';
import { renderHtml, renderText } from '../report/index.js';
import { abortOnInterrupt } from '../training/node/index.js';
import { chooseBackend } from './backend.js';
import { corruptedTestSets, loadTarget } from './data.js';
import type { Effort, Job, Premises } from './job.js';
import { METHODS } from './methods.js';
import { HELP, type Options, readOptions } from './options.js';
import { overallProgress } from './overallProgress.js';
import { runJobs } from './pool.js';
import { summarise } from './summary.js';
import { timeSteps } from './timing.js';
import { loadWeights, weightsFile } from './weights.js';

const FULL: Effort = {
  steps: 160,
  batchSize: 32,
  testStride: 1,
  corruptedStride: 2,
  probe: 50,
  samples: 128,
  lanczosIterations: 12,
  points: 11,
  measure: true,
};
const QUICK: Effort = {
  ...FULL,
  steps: 30,
  testStride: 3,
  corruptedStride: 10,
  samples: 16,
  lanczosIterations: 3,
  points: 5,
};

const say = (line: string) => process.stderr.write(`${line}\n`);

const write = async (file: string, text: string): Promise<void> =>
  orThrow(await writeBytesAtomically(file, new TextEncoder().encode(text))());

async function run(options: Options, args: readonly string[]): Promise<number> {
  const out = path.resolve(options.out);
  await mkdir(out, { recursive: true });
  const data = await loadTarget({
    dataDir: options.dataDir,
    allowDownload: !options.offline,
    say,
  });
  for (const { role, name, split, source } of data.facts)
    say(`${role}: ${name}, ${split}; ${source}`);
  const base = await loadWeights(weightsFile(data.origin));
  const backend = await chooseBackend(options.backend);
  say(`backend: ${backend.name} (${backend.reason})`);

  const effort = options.quick ? QUICK : FULL;
  const { train, validation, test } = data;
  const premises: Premises = {
    base,
    data: { train, validation, test, corrupted: corruptedTestSets(test, effort.corruptedStride) },
    dataName: `${data.origin} target, fixed split`,
  };
  const jobs = METHODS.flatMap((method) =>
    Array.from(
      { length: options.seeds },
      (_, seed): Job => ({
        method,
        seed,
        effort,
        out,
        landscape: seed === 0 && method.name !== 'full',
      }),
    ),
  );
  const { signal, dispose } = abortOnInterrupt();
  const bar = overallProgress();
  const results = await runJobs(jobs, premises, backend.name, {
    signal,
    progress: bar.update,
    ...(options.threads !== undefined && { threads: options.threads }),
  });
  bar.stop();
  dispose();
  if (results.some((r) => r.reason === 'interrupted')) {
    say('stopped; the same command goes on from here');
    return 130;
  }
  say('timing steps side by side');
  const timing = await timeSteps(METHODS, base, data.train, backend.name, {
    rounds: options.quick ? 20 : 100,
    batchSize: effort.batchSize,
  });
  const { version } = JSON.parse(
    await readFile(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  const summary = summarise({
    methods: METHODS,
    results: METHODS.map((_, m) => results.slice(m * options.seeds, (m + 1) * options.seeds)),
    timing,
    data,
    base,
    effort,
    backend,
    version,
    command: ['npm start --', ...args].join(' '),
    date: new Date().toISOString(),
  });
  await write(path.join(out, 'summary.json'), `${JSON.stringify(summary, null, 1)}\n`);
  await write(path.join(out, 'report.html'), renderHtml(summary));
  process.stdout.write(`${renderText(summary)}\n`);
  say(`report: ${path.join(out, 'report.html')}`);
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = readOptions(args, process.env);
    if (options !== undefined) return await run(options, args);
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    if (!(error instanceof FlatloraError)) throw error;
    say(`flatlora: ${error.message}`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
