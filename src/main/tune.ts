/**
 * How the settings in `methods.ts` were chosen: every method on the same grid of learning rates,
 * LoRA also on ranks, Flat-LoRA also on a grid of σ; scored on the validation split, never on the
 * test set.
 *
 *     npm run build && node dist/main/tune.js --data DIR --out tuning
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { orThrow } from '../autodiff/index.js';
import { writeBytesAtomically } from '../checkpoints/node/index.js';
import { mean, standardDeviation } from '../report/index.js';
import { abortOnInterrupt } from '../training/node/index.js';
import { loadTarget } from './data.js';
import type { Effort, Job, Premises } from './job.js';
import { METHODS, type Method, type MethodSettings } from './methods.js';
import { runJobs } from './pool.js';
import { loadWeights, weightsFile } from './weights.js';

const EFFORT: Effort = {
  steps: 200,
  batchSize: 32,
  testStride: 1,
  corruptedStride: 1,
  probe: 0,
  samples: 0,
  lanczosIterations: 0,
  points: 0,
  measure: false,
};
/** Seeds that the main job does not use. */
const SEEDS = [100, 101];
const LEARNING_RATES = [1e-3, 3e-3, 1e-2];
const FULL_LEARNING_RATES = [3e-4, 1e-3, 3e-3];
const RANKS = [4, 16];
const SIGMAS = [0.05, 0.15, 0.3, 0.5];

const say = (line: string) => process.stderr.write(`${line}\n`);

/** Every setting that is tried, as a method of its own. */
function candidates(): readonly Method[] {
  return METHODS.flatMap((method) => {
    const vary = (changes: readonly Partial<MethodSettings>[]): readonly Method[] =>
      changes.map((change) => ({ ...method, settings: { ...method.settings, ...change } }));
    if (method.name === 'full') {
      return vary(FULL_LEARNING_RATES.map((learningRate) => ({ learningRate })));
    }
    const rates = LEARNING_RATES.map((learningRate) => ({ learningRate }));
    if (method.name === 'lora') return vary([...rates, ...RANKS.map((rank) => ({ rank }))]);
    const others = rates.filter((r) => r.learningRate !== method.settings.learningRate);
    return vary([...SIGMAS.map((sigma) => ({ sigma })), ...others]);
  });
}

const { values } = parseArgs({
  options: { data: { type: 'string' }, out: { type: 'string', default: 'tuning' } },
});
const data = await loadTarget({
  dataDir: values.data ?? process.env.FLATLORA_DATA,
  allowDownload: false,
  say,
});
const base = await loadWeights(weightsFile(data.origin));
const tried = candidates();
const jobs = tried.flatMap((method, i) =>
  SEEDS.map(
    (seed): Job => ({
      method,
      seed,
      effort: EFFORT,
      out: path.join(values.out, String(i)),
      landscape: false,
    }),
  ),
);
const { signal } = abortOnInterrupt();
let shown = 0;
const premises: Premises = {
  base,
  data: { ...data, corrupted: [] },
  dataName: `${data.origin} target, fixed split`,
};
const results = await runJobs(jobs, premises, 'wasm', {
  signal,
  progress: (done) => {
    if (done - shown < 0.02) return;
    shown = done;
    say(`${(100 * done).toFixed(0)} %`);
  },
});
const rows = tried.map((method, i) => {
  const scores = results
    .slice(i * SEEDS.length, (i + 1) * SEEDS.length)
    .map((r) => r.run?.validationCurve.at(-1)?.[1] ?? Number.NaN);
  return {
    method: method.name,
    ...method.settings,
    validation: mean(scores),
    deviation: standardDeviation(scores),
  };
});
await mkdir(values.out, { recursive: true });
const text = `${JSON.stringify({ data: data.origin, seeds: SEEDS, steps: EFFORT.steps, rows }, null, 1)}\n`;
orThrow(
  await writeBytesAtomically(
    path.join(values.out, 'tuning.json'),
    new TextEncoder().encode(text),
  )(),
);
for (const row of rows) say(JSON.stringify(row));
