/** The one training run of all experiments: every method by name, resumed runs, watched runs. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  flatten,
  foldIn,
  type HostArray,
  hostArray,
  hostNormal,
  ints,
  key,
  range,
} from '../../src/autodiff/index.js';
import { methodLabel, methodNames, prepareMethod } from '../../src/finetune/methods.js';
import type { Backend } from '../../src/kernels/index.js';
import { openWorkerBackend } from '../../src/main/backend.js';
import {
  initVisionTransformer,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  type VisionTransformerWeights,
  visionTransformer,
} from '../../src/models/index.js';
import { type FineTuned, fineTune } from '../../src/paper/fineTune.js';
import { shuffledBatches, takeRows } from '../../src/training/index.js';

const CONFIG: VisionTransformerConfig = {
  imageSize: 8,
  patchSize: 4,
  classes: 3,
  width: 16,
  depth: 1,
  heads: 2,
  pooling: 'mean',
};
const model = visionTransformer(CONFIG);
const base = initVisionTransformer(CONFIG, key(1));
const examples = {
  images: hostArray(Float32Array.from(hostNormal(key(2), 24 * 64)), [24, 8, 8]),
  labels: ints(range(24).map((i) => i % 3)),
};
const order = shuffledBatches(key(3), 24, 8);

// Programs are compiled for each method, which takes seconds on a busy machine.
const PATIENCE = 300_000;

let backend: Backend;
let folder: string;
beforeAll(async () => {
  backend = await openWorkerBackend('wasm');
});
afterAll(() => backend.dispose());
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'flatlora-tune-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Run {
  readonly method?: string;
  readonly steps?: number;
  readonly signal?: AbortSignal;
  readonly progress?: (done: number) => void;
  readonly watch?: { readonly every: number; readonly look: () => Promise<void> };
}

const run = (
  { method = 'flat-lora', steps = 6, signal, progress = () => undefined, watch }: Run = {},
  into = folder,
): Promise<FineTuned<VisionTransformerWeights<HostArray>> | undefined> =>
  fineTune(
    {
      loss: (weights: VisionTransformerWeights, batch: typeof examples) =>
        softmaxCrossEntropy(model(weights, batch.images as never), batch.labels as never),
      base,
      method,
      settings: {
        learningRate: 1e-2,
        rank: 2,
        alpha: 4,
        targetModules: ['query', 'key', 'value', 'out', 'fc1', 'fc2'],
      },
      batch: (step) => takeRows(examples, order(step)),
      totalSteps: steps,
      key: foldIn(key(4), 0),
      checkpointEvery: 2,
      ...(watch && { watch }),
    },
    { backend, folder: into, signal: signal ?? new AbortController().signal, progress },
  ) as never;

const numbers = (tree: unknown): readonly number[] =>
  flatten<HostArray>(tree).leaves.flatMap(({ data }) => [...(data as Float32Array)]);

// With the noise, and so everything that is without it.
test.each(methodNames.map((name) => `flat-${name}`))(
  '%s trains, and its merged weights are finite and new',
  async (method) => {
    const tuned = await run({ method, steps: 3 });
    const merged = numbers(tuned?.merged);
    expect(merged).toHaveLength(numbers(base).length);
    expect(merged.every(Number.isFinite)).toBe(true);
    expect(merged).not.toEqual(numbers(base));
    expect(tuned?.curve).toHaveLength(3);
    expect(methodLabel(method)).not.toBe(method);
  },
  PATIENCE,
);

test(
  'stopped twice and gone on with, a run ends in the same bytes and with the whole curve',
  async () => {
    const whole = await run({}, path.join(folder, 'whole'));
    const own = path.join(folder, 'stopped');
    for (const at of [2, 4]) {
      const controller = new AbortController();
      const stopped = await run(
        {
          signal: controller.signal,
          progress: (done) => {
            if (done >= (0.8 * at) / 6 - 1e-9) controller.abort();
          },
        },
        own,
      );
      expect(stopped).toBeUndefined();
    }
    const resumed = await run({}, own);
    expect(numbers(resumed?.merged)).toEqual(numbers(whole?.merged));
    expect(resumed?.curve).toEqual(whole?.curve);
    expect(resumed?.curve.map(([step]) => step)).toEqual(range(6));
  },
  PATIENCE,
);

test(
  'a run that is watched keeps no checkpoint, and looking changes nothing',
  async () => {
    const plain = await run({}, path.join(folder, 'plain'));
    const own = path.join(folder, 'watched');
    let looks = 0;
    const look = async () => {
      looks += 1;
    };
    const watched = await run({ watch: { every: 2, look } }, own);
    expect(looks).toBe(3);
    expect(await readdir(own)).toEqual([]);
    expect(numbers(watched?.merged)).toEqual(numbers(plain?.merged));
  },
  PATIENCE,
);

test('a name that is not there is an error that names those that are', async () => {
  const wrong = prepareMethod('lorra', { learningRate: 1, targetModules: [] }, {} as never);
  await expect(wrong).rejects.toThrow(/"lorra".*lora/);
});
