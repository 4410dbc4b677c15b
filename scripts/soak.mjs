/**
 * Trains a tiny model for 20,000 steps and fails when memory grows: the backend's live bytes at all
 * after step 100, or the process by more than a bound after the first twentieth of the steps.
 * Usage: npm run soak -- [--backend wasm] [--steps 20000] [--every 1000] [--minutes M] [--bound MiB] [--least]
 *   --least takes a model as small as can be; --minutes stops earlier and judges the steps that were done. WebGPU without a GPU:
 *   node scripts/withSwiftShader.mjs npm run soak -- --backend webgpu --minutes 10
 */
import { parseArgs } from 'node:util';
import { nodeBackendByName } from '../dist/kernels/node.js';
import { soak } from '../dist/main/soak.js';
import { abortOnInterrupt, terminalProgress } from '../dist/training/node/index.js';

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'wasm' },
    steps: { type: 'string', default: '20000' },
    every: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: 'Infinity' },
    bound: { type: 'string', default: '32' },
    least: { type: 'boolean', default: false },
  },
});
/** An option as a number above 0; anything else ends the process. */
function number(name) {
  const value = Number(values[name]);
  if (!(value > 0)) {
    console.error(`--${name}: given "${values[name]}", expected a number above 0`);
    process.exit(2);
  }
  return value;
}
const [steps, every, minutes, bound] = ['steps', 'every', 'minutes', 'bound'].map(number);

const { signal, dispose } = abortOnInterrupt();
const outOfTime = new AbortController();
const timer = Number.isFinite(minutes) && setTimeout(() => outOfTime.abort(), 60_000 * minutes);
const backend = await nodeBackendByName(values.backend);
const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
console.log(`backend ${backend.name}, ${steps} steps`);
console.log('   step  buffers  live bytes  process MiB  ms a step');
const verdict = await soak(backend, {
  steps,
  every,
  least: values.least,
  residentBound: bound * 2 ** 20,
  signal: AbortSignal.any([signal, outOfTime.signal]),
  residentBytes: () => {
    globalThis.gc?.();
    return process.memoryUsage.rss();
  },
  report: (r) => {
    const columns = [
      [r.step, 7],
      [r.buffers, 9],
      [r.liveBytes, 12],
      [mebibytes(r.residentBytes), 13],
      [r.millisecondsPerStep.toFixed(2), 11],
    ];
    console.log(columns.map(([value, width]) => String(value).padStart(width)).join(''));
  },
  observe: terminalProgress({ label: 'soak' }),
});
clearTimeout(timer);
dispose();
await backend.dispose();
for (const failure of verdict.failures) console.error(`soak: ${failure}`);
console.log(
  `${verdict.steps} steps on ${backend.name}: ${verdict.failures.length === 0 ? 'memory holds' : 'not shown that memory holds'}`,
);
process.exitCode = verdict.failures.length === 0 ? 0 : 1;
