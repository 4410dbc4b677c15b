/**
 * A run of the main job, small: same seed, same bytes; stopped and resumed, same bytes; what
 * Flat-LoRA keeps beyond LoRA.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { key } from '../../src/autodiff/index.js';
import { drawnDigits } from '../../src/data/index.js';
import type { Backend } from '../../src/kernels/index.js';
import { openWorkerBackend } from '../../src/main/backend.js';
import { batchOf } from '../../src/main/data.js';
import {
  type Effort,
  type Job,
  type JobProgress,
  type JobResult,
  type Premises,
  runJob,
} from '../../src/main/job.js';
import { METHODS, type MethodName } from '../../src/main/methods.js';
import { MODEL } from '../../src/main/model.js';
import { initVisionTransformer } from '../../src/models/index.js';

const EFFORT: Effort = {
  steps: 6,
  batchSize: 8,
  testStride: 1,
  corruptedStride: 1,
  probe: 40,
  samples: 2,
  lanczosIterations: 2,
  points: 3,
  measure: false,
};

const digits = batchOf(drawnDigits({ hand: 'slanted', count: 40, key: key(3) }));
const base = initVisionTransformer(MODEL, key(4));

// Programs are compiled anew for each run, which takes seconds on a busy machine.
const PATIENCE = 300_000;

let folder: string;
let backend: Backend;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'flatlora-job-'));
  backend = await openWorkerBackend('wasm');
});
afterEach(async () => {
  await backend.dispose();
  await rm(folder, { recursive: true, force: true });
});

const run = (
  job: Job,
  signal = new AbortController().signal,
  progress: JobProgress = () => undefined,
): Promise<JobResult> => runJob(job, PREMISES, backend, signal, progress);
/** On a backend of its own, as when nothing ran before. */
async function runAlone(job: Job): Promise<JobResult> {
  const own = await openWorkerBackend('wasm');
  try {
    return await runJob(job, PREMISES, own, new AbortController().signal, () => undefined);
  } finally {
    await own.dispose();
  }
}

const jobFor = (method: MethodName, out: string, effort: Partial<Effort> = {}): Job => ({
  method: METHODS.find((m) => m.name === method) as (typeof METHODS)[number],
  seed: 1,
  effort: { ...EFFORT, ...effort },
  out: path.join(folder, out),
  landscape: effort.measure === true,
});
const PREMISES: Premises = {
  base,
  data: { train: digits, validation: digits, test: digits, corrupted: [digits] },
  dataName: 'drawn for a test',
};

const adapterBytes = (job: Job): Promise<Buffer> =>
  readFile(path.join(job.out, 'adapters', `${job.method.name}-${job.seed}.safetensors`));

test(
  'two runs write identical adapters, also alone, and so does one that was stopped and resumed',
  async () => {
    const [first, second, third] = ['a', 'b', 'c'].map((out) => jobFor('flat-lora', out)) as [
      Job,
      Job,
      Job,
    ];
    await run(first);
    await runAlone(second);

    const stop = new AbortController();
    const stopped = await run(third, stop.signal, (done) => {
      if (done > 0.25) stop.abort();
    });
    expect(stopped.reason).toBe('interrupted');
    const resumed = await run(third);
    expect(resumed.reason).toBe('completed');
    // It did go on from the checkpoint instead of starting again.
    expect((resumed.run?.trainLossCurve[0]?.[0] as number) > 0).toBe(true);

    const expected = await adapterBytes(first);
    expect(expected.length).toBeGreaterThan(1000);
    expect((await adapterBytes(second)).equals(expected)).toBe(true);
    expect((await adapterBytes(third)).equals(expected)).toBe(true);
  },
  PATIENCE,
);

test(
  'another seed or another method gives other adapters',
  async () => {
    const [flat, lora] = [jobFor('flat-lora', 'a'), jobFor('lora', 'b')];
    const other = { ...jobFor('flat-lora', 'c'), seed: 2 };
    for (const job of [flat, lora, other]) await run(job);
    const expected = await adapterBytes(flat);
    expect((await adapterBytes(lora)).equals(expected)).toBe(false);
    expect((await adapterBytes(other)).equals(expected)).toBe(false);
  },
  PATIENCE,
);

test(
  'between steps Flat-LoRA keeps no byte beyond LoRA',
  async () => {
    const live = async (method: MethodName, out: string) =>
      (await run(jobFor(method, out))).run?.liveBytes as number;
    // The key is there in both: it is an argument of every step. Full fine-tuning shows that bytes count.
    const plain = await live('lora', 'a');
    expect(await live('flat-lora', 'b')).toBe(plain);
    expect(await live('full', 'd')).toBeGreaterThan(plain + 3 * 86_986);
    // Nothing of a run stays for the next one to count.
    expect(await live('lora', 'c')).toBe(plain);
  },
  PATIENCE,
);

test(
  'a finished run is measured in every way that the report shows, and found again',
  async () => {
    const job = jobFor('lora', 'a', { measure: true });
    const result = await run(job);
    expect(result.run?.corruption).toHaveLength(1);
    expect(result.run?.targetAccuracy).toBe(result.run?.corruption[0]);
    expect(Number.isFinite(result.run?.meanLossRise)).toBe(true);
    expect(Number.isFinite(result.run?.topHessianEigenvalue)).toBe(true);
    expect(result.surface?.losses).toHaveLength(3);
    // The middle of the surface is the model itself.
    expect(result.surface?.losses[1]?.[1]).toBeCloseTo(result.run?.finalTrainLoss as number, 5);
    const again = await run(job, undefined, () => {
      throw new Error('a finished run must not run again');
    });
    expect(JSON.stringify(again)).toBe(JSON.stringify(result));
  },
  PATIENCE,
);
