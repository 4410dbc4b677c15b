/**
 * One fine-tuning run, the same for all experiments: AdamW, a cosine schedule with warm-up, gradients
 * clipped, checkpoints in the cell's folder. Only the model, the data and the method differ.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { pipe } from 'fp-ts/lib/function.js';
import * as TE from 'fp-ts/lib/TaskEither.js';
import {
  flatten,
  foldIn,
  type HostArray,
  type Key,
  type Loss,
  orThrow,
  type Problem,
  range,
} from '../autodiff/index.js';
import type { CheckpointStore, Json } from '../checkpoints/index.js';
import { nodeCheckpoints, writeBytesAtomically } from '../checkpoints/node/index.js';
import {
  type HostTree,
  type LossTransformer,
  type MethodSettings,
  prepareMethod,
} from '../finetune/methods.js';
import { type AdapterMethod, adapt, isAuxiliary } from '../flatlora/index.js';
import { download } from '../kernels/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../optimisers/index.js';
import { type EvaluationHook, train } from '../training/index.js';
import type { RunContext } from './experiment.js';

export interface FineTuning<W, X> {
  /** Over weights: what the model minimises. */
  readonly loss: Loss<W, X>;
  /** The pre-trained weights, on the host. */
  readonly base: W | unknown;
  /** A name of `methods.ts`. */
  readonly method: string;
  readonly settings: MethodSettings;
  /** Applied to the adapted loss, outside the method's own transformer; the identity by default. */
  readonly transform?: LossTransformer;
  /** Batch number `step`, a tree of host arrays; must depend on the step alone. */
  readonly batch: (step: number) => unknown;
  readonly totalSteps: number;
  /** The key of adapters, noise and dropout: the cell's seed. */
  readonly key: Key;
  /** λ of AdamW; 0 by default. */
  readonly weightDecay?: number;
  /** Share of the steps in which the learning rate rises; 0.03 by default (the paper's). */
  readonly warmUp?: number;
  /** `constant` for a learning rate without schedule (Figure 3); `cosine` by default. */
  readonly schedule?: 'cosine' | 'constant';
  /** Greatest norm of the gradient; 1 by default. */
  readonly maxNorm?: number;
  /** Batches that data-driven starts look at; 4 by default. They are those of the first steps. */
  readonly calibrationBatches?: number;
  /** Share of the cell's progress that training is; 0.8 by default. */
  readonly share?: number;
  /** Steps between checkpoints; 200 by default. */
  readonly checkpointEvery?: number;
  readonly evaluation?: EvaluationHook;
  /**
   * Looks at the run after every so many steps. What it sees is in no checkpoint, so a run that is
   * looked at keeps none, and starts anew after an interruption.
   */
  readonly watch?: Watch;
  /** What a checkpoint must agree with to be gone on from; the method by default. */
  readonly identity?: Json;
}

/** A look at a run that goes on: the trained parameters on the host, and what they belong to. */
export interface Watch {
  readonly every: number;
  readonly look: (
    adapters: HostTree,
    of: { readonly adapter: AdapterMethod<HostTree>; readonly base: unknown },
    step: number,
  ) => Promise<void>;
}

export interface FineTuned<W> {
  /** Weights of the plain model. */
  readonly merged: W;
  readonly adapters: HostTree;
  /** The frozen base, which some methods change at the start. */
  readonly base: unknown;
  readonly adapter: AdapterMethod<HostTree>;
  /** `[step, loss]`: the loss that was minimised, before each step, with its noise. */
  readonly curve: readonly (readonly [number, number])[];
  /** Median of the steps of this call; NaN when it had fewer than three. */
  readonly secondsPerStep: number;
  /** Device bytes between two steps: weights, adapters, moments. */
  readonly liveBytes: number;
  readonly trainedParameters: number;
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** How many numbers are trained: what methods remember beside them is not. */
const trainedSize = (params: unknown): number => {
  const { leaves, paths } = flatten<HostArray>(params);
  return leaves.reduce((n, x, i) => n + (isAuxiliary(paths[i] as string) ? 0 : x.size), 0);
};

type Curve = [number, number][];

/** Saves the loss curve before each checkpoint, so that one that goes on has all of it. */
const withCurve = (store: CheckpointStore, file: string, curve: Curve): CheckpointStore => ({
  ...store,
  save: (state, configuration) =>
    pipe(
      writeBytesAtomically(file, new TextEncoder().encode(JSON.stringify(curve))) as TE.TaskEither<
        Problem,
        unknown
      >,
      TE.flatMap(() => store.save(state, configuration)),
    ),
});

/**
 * Trains to the end, from the last checkpoint in `context.folder` where there is one.
 * @returns `undefined` when the context's signal came first; a checkpoint is then kept.
 */
export async function fineTune<W, X>(
  tuning: FineTuning<W, X>,
  context: Pick<RunContext, 'backend' | 'folder' | 'signal' | 'progress'>,
): Promise<FineTuned<W> | undefined> {
  const { loss, method, settings, batch, totalSteps, key } = tuning;
  const { weightDecay = 0, warmUp = 0.03, schedule = 'cosine', maxNorm = 1, share = 0.8 } = tuning;
  const { backend, folder, signal, progress } = context;
  const { watch, transform = (given) => given } = tuning;
  const { adapter, objective, optimiser } = await prepareMethod(method, settings, {
    backend,
    loss: loss as Loss<unknown, unknown>,
    base: tuning.base,
    batches: range(tuning.calibrationBatches ?? 4).map((step) => batch(step)),
    totalSteps,
    key: foldIn(key, 3),
  });
  const { adapters, base } = orThrow(adapter.init(tuning.base, foldIn(key, 0)));
  const rate = settings.learningRate;
  const adam = adamW({
    learningRate:
      schedule === 'constant'
        ? rate
        : cosineSchedule(rate, { totalSteps, warmUpSteps: Math.ceil(warmUp * totalSteps) }),
    weightDecay,
  });

  const evaluation =
    watch === undefined
      ? tuning.evaluation
      : {
          every: watch.every,
          evaluate: async (params: unknown, step: number) => {
            const onHost = (await download(backend, params)) as unknown as HostTree;
            await watch.look(onHost, { adapter, base }, step);
            return {};
          },
        };
  await mkdir(folder, { recursive: true });
  const curveFile = path.join(folder, 'curve.json');
  const curve: Curve = existsSync(curveFile) ? JSON.parse(readFileSync(curveFile, 'utf8')) : [];
  const times: number[] = [];
  let last = 0;
  let liveBytes = 0;
  const { reason, state } = await train<unknown, X, HostTree>(
    {
      loss: transform(objective(adapt(base, adapter)(loss))) as Loss<unknown, X>,
      optimiser: chain(clipByGlobalNorm(maxNorm), optimiser(adam, { totalSteps })),
      params: adapters,
      totalSteps,
      batch,
      runKey: foldIn(key, 2),
    },
    backend,
    {
      signal,
      ...(watch === undefined && {
        checkpoints: {
          store: withCurve(nodeCheckpoints(folder), curveFile, curve),
          every: tuning.checkpointEvery ?? 200,
          configuration: tuning.identity ?? { method },
        },
      }),
      ...(evaluation && { evaluation }),
      observe: (event) => {
        const now = performance.now();
        if (event.kind === 'started') curve.length = Math.min(curve.length, event.step);
        if (event.kind === 'step') {
          curve.push([event.step, event.loss]);
          if (last > 0) times.push((now - last) / 1000);
          if (liveBytes === 0) liveBytes = backend.memory().bytes;
          last = now;
          progress((share * (event.step + 1)) / totalSteps);
        }
        if (event.kind === 'evaluated' || event.kind === 'saved') last = 0;
      },
    },
  );
  if (reason === 'interrupted') return undefined;
  return {
    merged: orThrow(adapter.merge(base, state.params)) as W,
    adapters: state.params,
    base,
    adapter,
    curve,
    secondsPerStep: times.length > 1 ? median(times) : Number.NaN,
    liveBytes,
    trainedParameters: trainedSize(state.params),
  };
}
