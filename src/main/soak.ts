/**
 * A long training run of a tiny model that watches memory: whether something is kept at every step
 * shows only after thousands of them. `scripts/soak.mjs` is its command line.
 */
import { key, orThrow } from '../autodiff/index.js';
import { drawnDigits } from '../data/index.js';
import type { Backend } from '../kernels/index.js';
import {
  initVisionTransformer,
  softmaxCrossEntropy,
  type VisionTransformerConfig,
  visionTransformer,
} from '../models/index.js';
import { adamW } from '../optimisers/index.js';
import { observeAll, shuffledBatches, takeRows, train } from '../training/index.js';
import { batchOf } from './data.js';
import { adapterOf, type MethodSettings, objective } from './methods.js';
import type { Batch, Weights } from './model.js';

/** Steps after which the backend must hold exactly what it holds from then on. */
export const SETTLED = 100;

const MODEL: VisionTransformerConfig = {
  imageSize: 16,
  patchSize: 4,
  classes: 10,
  width: 16,
  depth: 2,
  heads: 2,
};
/** For software adapters, on which every kernel takes long to start: all parts of a step, as few as can be. */
const LEAST: VisionTransformerConfig = { ...MODEL, patchSize: 8, width: 4, depth: 1, heads: 1 };
const SETTINGS: MethodSettings = { learningRate: 1e-3, rank: 4, alpha: 8, sigma: 0.05 };
const BATCH = 8;
const IMAGES = 64;

export interface SoakOptions {
  readonly steps: number;
  /** Whether the model is as small as can be; off by default. */
  readonly least?: boolean;
  /** Steps between two reports. */
  readonly every: number;
  /** Bytes by which the process may grow after its warm-up, the first twentieth of the steps. */
  readonly residentBound: number;
  readonly signal?: AbortSignal;
  /** Bytes of the process that are in memory, garbage collected before. */
  readonly residentBytes: () => number;
  readonly report: (report: SoakReport) => void;
  /** Hears of every step, for a progress bar. */
  readonly observe?: Parameters<typeof observeAll>[0];
}

export interface SoakReport {
  /** Steps done. */
  readonly step: number;
  readonly buffers: number;
  readonly liveBytes: number;
  readonly residentBytes: number;
  /** Mean since the last report. */
  readonly millisecondsPerStep: number;
}

export interface SoakVerdict {
  /** Steps done; fewer than asked for after a signal. */
  readonly steps: number;
  /** What grew, one line each; none where memory holds. */
  readonly failures: readonly string[];
}

const show = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/** Trains LoRA with Flat-LoRA's noise on drawn digits, and tells what grew. */
export async function soak(backend: Backend, options: SoakOptions): Promise<SoakVerdict> {
  const { steps, every, residentBound, signal, residentBytes, report, observe, least } = options;
  const config = least === true ? LEAST : MODEL;
  const warm = Math.max(SETTLED, Math.ceil(steps / 20));
  const data = batchOf(drawnDigits({ hand: 'slanted', count: IMAGES, key: key(1) }));
  const order = shuffledBatches(key(2), IMAGES, BATCH);
  const adapter = adapterOf('flat-lora', SETTINGS);
  const { adapters, base } = orThrow(adapter.init(initVisionTransformer(config, key(3)), key(4)));
  const model = visionTransformer(config);
  const loss = objective<Weights, Batch>(base, adapter, SETTINGS, (weights, { images, labels }) =>
    softmaxCrossEntropy(model(weights, images), labels),
  );

  let settledBytes: number | undefined;
  let grownAt: number | undefined;
  let mostLive = 0;
  let warmResident: number | undefined;
  let lastResident = 0;
  let last = { step: 0, at: performance.now() };
  const watch = (done: number): void => {
    const { bytes, buffers } = backend.memory();
    if (done === SETTLED) settledBytes = bytes;
    if (settledBytes !== undefined && bytes > settledBytes) {
      grownAt ??= done;
      mostLive = Math.max(mostLive, bytes);
    }
    if (done !== warm && done % every !== 0 && done !== steps) return;
    const now = performance.now();
    lastResident = residentBytes();
    if (done >= warm) warmResident ??= lastResident;
    report({
      step: done,
      buffers,
      liveBytes: bytes,
      residentBytes: lastResident,
      millisecondsPerStep: (now - last.at) / (done - last.step),
    });
    last = { step: done, at: performance.now() };
  };

  const { state } = await train<unknown, Batch, typeof adapters>(
    {
      loss: loss as never,
      optimiser: adamW({ learningRate: SETTINGS.learningRate }),
      params: adapters,
      totalSteps: steps,
      batch: (step) => takeRows(data, order(step)),
      runKey: key(5),
    },
    backend,
    {
      ...(signal && { signal }),
      observe: observeAll(observe ?? (() => undefined), (event) => {
        if (event.kind === 'step') watch(event.step + 1);
      }),
    },
  );
  const growth = warmResident === undefined ? 0 : lastResident - warmResident;
  return {
    steps: state.step,
    failures: [
      ...(state.step < SETTLED ? [`only ${state.step} steps, of which none is watched`] : []),
      ...(grownAt === undefined
        ? []
        : [`live bytes grew from ${settledBytes} to ${mostLive}, first after step ${grownAt}`]),
      ...(growth > residentBound
        ? [
            `the process grew by ${show(growth)} after step ${warm}, more than ${show(residentBound)}`,
          ]
        : []),
    ],
  };
}
