/** The rate of the hand-written loop on one core and on all cores at once, with and without FMA. */
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { Peak } from '../report/results.js';
import { FLOPS_PER_ROUND, simdModule } from './simdModule.js';

/** Whether the engine takes relaxed SIMD; Node 20 does after a flag that later ones do not know. */
function takesRelaxed(): boolean {
  const module = simdModule(true);
  if (!WebAssembly.validate(module)) setFlagsFromString('--experimental-wasm-relaxed-simd');
  return WebAssembly.validate(module);
}

/**
 * Runs in a worker, as text, so that it needs no file of its own: finds how many rounds fill the
 * given time, waits until all workers are ready, and tells its rate.
 */
const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
const { bytes, flops, ms, gate, workers } = workerData;
const { run } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
run(1e6);
let rounds = 1e6;
const time = (n) => { const start = performance.now(); run(n); return performance.now() - start; };
rounds = Math.ceil(rounds * ms / time(rounds));
const best = [];
for (let i = 0; i < 5; i++) {
  Atomics.add(gate, i, 1);
  while (Atomics.load(gate, i) < workers);
  best.push(rounds * flops / time(rounds) / 1e6);
}
parentPort.postMessage(best);
`;

/** GFLOP/s of `workers` loops at once: the best of five rounds of their sum. */
async function rateOf(bytes: Uint8Array, workers: number, ms: number): Promise<number> {
  const gate = new Int32Array(new SharedArrayBuffer(5 * 4));
  const workerData = { bytes, flops: FLOPS_PER_ROUND, ms, gate, workers };
  const rates = await Promise.all(
    Array.from(
      { length: workers },
      () =>
        new Promise<readonly number[]>((resolve, reject) => {
          const worker = new Worker(WORKER, { eval: true, workerData });
          worker.once('message', resolve);
          worker.once('error', reject);
        }),
    ),
  );
  const sums = gate.reduce<number[]>((all, _, i) => {
    all.push(rates.reduce((sum, rate) => sum + (rate[i] as number), 0));
    return all;
  }, []);
  return Math.max(...sums);
}

/** @param ms time of one sample. */
export async function cpuPeaks(threads: number, ms: number): Promise<readonly Peak[]> {
  const kinds = [
    { relaxed: false, name: 'SIMD multiply + add' },
    ...(takesRelaxed() ? [{ relaxed: true, name: 'SIMD fused multiply-add' }] : []),
  ];
  const peaks: Peak[] = [];
  for (const { relaxed, name } of kinds) {
    for (const workers of threads > 1 ? [1, threads] : [1]) {
      peaks.push({
        name: `${name}, ${workers} ${workers === 1 ? 'core' : 'cores'}`,
        value: await rateOf(simdModule(relaxed), workers, ms),
        unit: 'GFLOP/s',
      });
    }
  }
  return peaks;
}
