/** One run of the main job: fine-tune with one method and one seed, then measure the result. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import {
  evaluationContext,
  foldIn,
  type HostArray,
  hostArray,
  key,
  orThrow,
  treeLeaves,
} from '../autodiff/index.js';
import type { Json } from '../checkpoints/index.js';
import { nodeCheckpoints, writeBytesAtomically } from '../checkpoints/node/index.js';
import type { Backend } from '../kernels/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../optimisers/index.js';
import type { SeedRun } from '../report/index.js';
import { evaluator, shuffledBatches, takeRows, train } from '../training/index.js';
import { measure } from './measure.js';
import { adapterOf, type HostTree, type Method, objective } from './methods.js';
import { type Batch, type HostWeights, scores, taskLoss, type Weights } from './model.js';
import { quantile } from './timing.js';
import { saveTree } from './weights.js';

/** How much is done: the whole job, or a quick look. */
export interface Effort {
  readonly steps: number;
  readonly batchSize: number;
  /** Every how manyeth test image is used: all are, at 1. */
  readonly testStride: number;
  /** The same under corruption. */
  readonly corruptedStride: number;
  /** How many of the labelled images curvature, loss rise and surface are measured on. */
  readonly probe: number;
  /** Draws of ε for the mean loss rise. */
  readonly samples: number;
  readonly lanczosIterations: number;
  /** Points along each axis of a loss surface. */
  readonly points: number;
  /** Whether the model is measured on the test set (not when settings are being chosen). */
  readonly measure: boolean;
}

/** What all runs start from. */
export interface Premises {
  readonly base: HostWeights;
  readonly data: {
    readonly train: Batch<HostArray>;
    readonly validation: Batch<HostArray>;
    readonly test: Batch<HostArray>;
    /** Of each severity, the images that are used. */
    readonly corrupted: readonly Batch<HostArray>[];
  };
  /** What the data is, to be part of the runs' identity. */
  readonly dataName: string;
}

export interface Job {
  readonly method: Method;
  readonly seed: number;
  readonly effort: Effort;
  /** Where checkpoints, results and adapters of the run go. */
  readonly out: string;
  /** Whether to compute a loss surface. */
  readonly landscape: boolean;
}

export interface Surface {
  readonly coordinates: readonly number[];
  readonly losses: readonly (readonly number[])[];
}

/** What a run gives; `liveBytes` are device bytes between two steps. */
export interface JobResult {
  readonly reason: 'completed' | 'interrupted';
  readonly run?: SeedRun & { readonly liveBytes: number };
  readonly surface?: Surface;
}

/** How far a run is, from 0 to 1. */
export type JobProgress = (done: number) => void;

/** Copies that crossed a thread border have lost ndarray's methods. */
export const revive = <T>(tree: T): T => {
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    if ('data' in node && 'stride' in node) {
      const array = node as HostArray;
      return hostArray(array.data, array.shape);
    }
    return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, walk(v)]));
  };
  return walk(tree) as T;
};

const identityOf = ({ method, seed, effort }: Job, backend: Backend, dataName: string): Json => ({
  method: method.name,
  settings: { ...method.settings },
  seed,
  effort: { ...effort },
  backend: backend.name,
  data: dataName,
});

/** Training's share of a run's time, for the progress bar. */
const TRAINING_SHARE = 0.6;

/**
 * Runs a job. A finished one is found again by its result file, an interrupted one by its checkpoint,
 * and goes on from there to the same bytes. The backend is given back as it was.
 */
export async function runJob(
  job: Job,
  premises: Premises,
  backend: Backend,
  signal: AbortSignal,
  progress: JobProgress,
): Promise<JobResult> {
  const { method, seed, effort, out } = job;
  const name = `${method.name}-${seed}`;
  const resultFile = path.join(out, 'runs', `${name}.json`);
  const identity = identityOf(job, backend, premises.dataName);
  const before = await finishedResult(resultFile, identity);
  if (before !== undefined) return before;

  const { train: labelled, validation } = premises.data;
  const adapter = adapterOf(method.name, method.settings);
  const seedKey = key(seed);
  const { adapters, base } = orThrow(adapter.init(premises.base, foldIn(seedKey, 0)));
  const order = shuffledBatches(
    foldIn(seedKey, 1),
    labelled.labels.shape[0] as number,
    effort.batchSize,
  );
  const loss = objective<Weights, Batch>(base, adapter, method.settings, taskLoss);
  const effective = orThrow(adapter.effective(base));
  const { evaluate: validate, dispose } = evaluator(
    (params: HostTree, batch: Batch) =>
      scores(effective(params as never, evaluationContext()) as Weights, batch),
    backend,
    { batchSize: 100 },
  );
  const curve: [number, number][] = [];
  const validationCurve: [number, number][] = [];
  const times: number[] = [];
  let last = 0;
  let liveBytes = 0;
  const { reason, state } = await train<unknown, Batch, HostTree>(
    {
      loss: loss as never,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({
          learningRate: cosineSchedule(method.settings.learningRate, {
            totalSteps: effort.steps,
            warmUpSteps: Math.ceil(0.03 * effort.steps),
          }),
        }),
      ),
      params: adapters,
      totalSteps: effort.steps,
      batch: (step) => takeRows(labelled, order(step)),
      runKey: foldIn(seedKey, 2),
    },
    backend,
    {
      signal,
      checkpoints: {
        store: nodeCheckpoints(path.join(out, 'checkpoints', name)),
        every: 50,
        configuration: identity,
      },
      evaluation: {
        every: Math.max(10, Math.floor(effort.steps / 4)),
        evaluate: async (params) => validate(params, validation as never),
      },
      observe: (event) => {
        const now = performance.now();
        if (event.kind === 'step') {
          curve.push([event.step, event.loss]);
          if (last > 0) times.push((now - last) / 1000);
          if (liveBytes === 0) liveBytes = backend.memory().bytes;
          last = now;
          progress((TRAINING_SHARE * (event.step + 1)) / effort.steps);
        }
        if (event.kind === 'evaluated') {
          validationCurve.push([event.step, event.metrics.accuracy as number]);
          last = 0;
        }
      },
    },
  );
  await dispose();
  if (reason === 'interrupted') return { reason };
  await saveTree(
    path.join(await folder(out, 'adapters'), `${name}.safetensors`),
    adapter.toArrays(state.params),
    {
      method: method.name,
      seed: String(seed),
      settings: JSON.stringify(method.settings),
    },
  );

  const merged = orThrow(adapter.merge(base, state.params));
  const measured = await measure(job, premises.data, merged, backend, (share: number) =>
    progress(TRAINING_SHARE + (1 - TRAINING_SHARE) * share),
  );
  const result: JobResult = {
    reason,
    run: {
      seed,
      ...measured.scores,
      trainLossCurve: curve,
      validationCurve,
      finalTrainLoss: measured.trainLoss,
      secondsPerStep: times.length > 0 ? quantile(times, 0.5) : null,
      trainedParameters: treeLeaves<HostArray>(state.params).reduce((n, a) => n + a.size, 0),
      extraBytes: null,
      liveBytes,
    },
    ...(measured.surface && { surface: measured.surface }),
  };
  await folder(out, 'runs');
  const text = JSON.stringify({ identity, result });
  orThrow(await writeBytesAtomically(resultFile, new TextEncoder().encode(text))());
  await rm(path.join(out, 'checkpoints', name), { recursive: true, force: true });
  return result;
}

const folder = async (out: string, name: string): Promise<string> => {
  const made = path.join(out, name);
  await mkdir(made, { recursive: true });
  return made;
};

async function finishedResult(file: string, identity: Json): Promise<JobResult | undefined> {
  if (!existsSync(file)) return undefined;
  const saved = JSON.parse(await readFile(file, 'utf8')) as { identity: Json; result: JobResult };
  return JSON.stringify(saved.identity) === JSON.stringify(identity) ? saved.result : undefined;
}
