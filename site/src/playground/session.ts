/**
 * Two runs from one seed, step by step: a method, and the same under the noise of Flat-LoRA. Nothing here
 * knows of a page; a Worker drives it, and so can Node.
 */
import {
  foldIn,
  type HostArray,
  ints,
  key,
  orThrow,
  type Result,
  range,
  treeMap,
} from '../../../src/autodiff/index.js';
import { type HostTree, prepareMethod } from '../../../src/finetune/methods.js';
import { peftFiles } from '../../../src/finetune/peftFiles.js';
import {
  adapt,
  filterNormalisedDirection,
  lossOnPlane,
  lossRise,
} from '../../../src/flatlora/index.js';
import type { PeftFiles } from '../../../src/huggingface/index.js';
import { type Backend, compile, download, release } from '../../../src/kernels/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../../../src/optimisers/index.js';
import {
  countRows,
  evaluator,
  initialState,
  shuffledBatches,
  takeRows,
} from '../../../src/training/index.js';
import { type DeviceState, stepPrograms } from '../../../src/training/programs.js';
import { type Answer, answer } from './answer.js';
import type { Settings } from './settings.js';
import type { Task } from './task.js';

/** σ at which sharpness is measured, whatever the run was trained with. */
export const MEASURED_SIGMA = 0.1;
/** Draws of ε that it is the mean of; the same ones each time. */
const DRAWS = 6;
/** Half the side of the surface, in lengths of the weights' rows. */
const RANGE = 0.5;

export type RunName = 'plain' | 'flat';
export const RUN_NAMES: readonly RunName[] = ['plain', 'flat'];

export interface Measured {
  readonly step: number;
  readonly testLoss: number;
  readonly trainLoss: number;
  /** Share of test examples, 0 to 1; of text there is none. */
  readonly accuracy: number | undefined;
  /** On the training examples. */
  readonly trainAccuracy: number | undefined;
  /** Mean rise of the loss under the noise of Eq. 7, σ = 0.1. */
  readonly sharpness: number;
}

export interface Surface {
  /** Along both directions. */
  readonly coordinates: readonly number[];
  readonly losses: readonly (readonly number[])[];
}

/** One of the two runs. */
export interface Run {
  readonly name: RunName;
  /** The method's name, `flat-` before it in the second run. */
  readonly label: string;
  /** Trains one step. @returns its loss, before the update. */
  readonly step: () => Promise<number>;
  readonly measure: () => Promise<Measured>;
  /**
   * @param between awaited after each row, so that a Worker can hear messages.
   * @param budget milliseconds; slow devices get a coarser grid. No bound by default.
   */
  readonly surface: (between: () => Promise<void>, budget?: number) => Promise<Surface>;
  readonly ask: (question: Float32Array | string) => Promise<Answer>;
  readonly adapters: () => Promise<HostTree>;
  /** Goes on from adapters of the same shapes, with fresh moments. */
  readonly setAdapters: (adapters: HostTree) => void;
  /** In the layout of PEFT. */
  readonly files: () => Promise<Result<PeftFiles>>;
  /** The arrays at the start. */
  readonly start: HostTree;
  readonly dispose: () => Promise<void>;
}

/** The method of a run. */
const methodOf = ({ method, sigma, rank }: Settings, name: RunName) => ({
  name: name === 'flat' ? `flat-${method}` : method,
  settings: { rank, alpha: 2 * rank, sigma: name === 'flat' ? sigma : 0 },
});

async function openRun(
  name: RunName,
  task: Task,
  settings: Settings,
  backend: Backend,
): Promise<Run> {
  const own = key(settings.seed);
  const { steps: totalSteps, learningRate } = settings;
  const order = shuffledBatches(foldIn(own, 2), countRows(task.train), task.batchSize);
  const batchOf = (step: number) => takeRows(task.train, order(step));
  const chosen = methodOf(settings, name);
  const method = await prepareMethod(
    chosen.name,
    { ...chosen.settings, learningRate, targetModules: task.targetModules },
    {
      backend,
      loss: task.loss,
      base: task.base,
      batches: [batchOf(0), batchOf(1)],
      totalSteps,
      key: foldIn(own, 3),
    },
  );
  const { adapters: start, base } = orThrow(method.adapter.init(task.base, foldIn(own, 4)));
  const optimiser = chain(
    clipByGlobalNorm(1),
    method.optimiser(
      adamW({
        learningRate: cosineSchedule(learningRate, {
          totalSteps,
          warmUpSteps: Math.ceil(0.03 * totalSteps),
        }),
      }),
      { totalSteps },
    ),
  );
  const loss = method.objective(adapt(base, method.adapter)(task.loss));
  const programs = stepPrograms(loss, optimiser, backend, { totalSteps }, 1, start as never);
  const scores = evaluator(task.perExample, backend, { batchSize: task.probeSize });
  const rise = compile(lossRise(task.loss, MEASURED_SIGMA), backend);
  const plane = compile(lossOnPlane(task.loss), backend);
  const probe = takeRows(
    task.train,
    range(task.probeSize).map((i) => i % countRows(task.train)),
  );
  const upload = (tree: unknown) => treeMap((x: HostArray) => backend.upload(x), tree);
  const onHost = async <T>(tree: unknown): Promise<T> => {
    const host = await download(backend, tree);
    release(backend, tree);
    return host as T;
  };
  const runKey = backend.upload(foldIn(own, 5));
  let state = upload(initialState(start, optimiser)) as DeviceState;
  let done = 0;

  const adapters = async () => (await download(backend, state.params)) as HostTree;
  const merged = async () => orThrow(method.adapter.merge(base, await adapters()));
  /** Uses the merged weights on the device, and frees them. */
  const withMerged = async <T>(
    use: (weights: unknown, host: unknown) => Promise<T>,
  ): Promise<T> => {
    const host = await merged();
    const weights = upload(host);
    try {
      return await use(weights, host);
    } finally {
      release(backend, weights);
    }
  };

  return {
    name,
    label: chosen.name,
    step: async () => {
      const given = state;
      const { state: next, report } = await programs.step(done, given, () => batchOf(done), runKey);
      state = next;
      const [value, , number] = (await onHost<HostArray>(report)).data as unknown as number[];
      if ((number as number) < 0) {
        throw new Error(
          `step ${done + 1}: the loss is no number any more; try a smaller learning rate`,
        );
      }
      done++;
      return value as number;
    },
    measure: () =>
      withMerged(async (weights) => {
        const [test, train] = [
          await scores.evaluate(weights, task.test),
          await scores.evaluate(weights, task.train),
        ];
        let sharpness = 0;
        for (let draw = 0; draw < DRAWS; draw++) {
          const { calm, noisy } = await onHost<{ calm: HostArray; noisy: HostArray }>(
            await rise(weights, probe, foldIn(key(101), draw)),
          );
          sharpness += (noisy.get() - calm.get()) / DRAWS;
        }
        return {
          step: done,
          testLoss: test.loss as number,
          trainLoss: train.loss as number,
          accuracy: test.accuracy,
          trainAccuracy: train.accuracy,
          sharpness,
        };
      }),
    surface: (between, budget = Number.POSITIVE_INFINITY) =>
      withMerged(async (weights, host) => {
        const directions = [103, 104].map((n) => upload(filterNormalisedDirection(host, key(n))));
        const lossAt = async (x: number, y: number): Promise<number> => {
          const value = await plane(weights, probe, directions[0], directions[1], x, y);
          return (await onHost<HostArray>(value)).get();
        };
        const losses: number[][] = [];
        let coordinates: readonly number[];
        try {
          const points = await affordable(task.surfacePoints, budget, () => lossAt(0, 0));
          coordinates = range(points).map((i) => RANGE * ((2 * i) / (points - 1) - 1));
          for (const x of coordinates) {
            const row: number[] = [];
            for (const y of coordinates) row.push(await lossAt(x, y));
            losses.push(row);
            await between();
          }
        } finally {
          for (const direction of directions) release(backend, direction);
        }
        return { coordinates, losses };
      }),
    ask: (question) => withMerged((weights) => answer(task, backend, weights, question)),
    adapters,
    files: async () =>
      peftFiles(task, {
        method: chosen.name,
        alpha: chosen.settings.alpha,
        start,
        adapters: await adapters(),
      }),
    setAdapters: (given) => {
      release(backend, state);
      state = upload({ ...initialState(given, optimiser), step: ints([done], []) }) as DeviceState;
    },
    start,
    dispose: async () => {
      release(backend, state);
      release(backend, runKey);
      await Promise.all([programs, scores, rise, plane].map((program) => program.dispose()));
    },
  };
}

/** Points along a side, an odd number, so that the grid takes no longer than `budget` milliseconds. */
async function affordable(
  most: number,
  budget: number,
  evaluateOnce: () => Promise<unknown>,
): Promise<number> {
  if (budget === Number.POSITIVE_INFINITY) return most;
  // The first time a program is compiled.
  await evaluateOnce();
  const from = performance.now();
  await evaluateOnce();
  const each = performance.now() - from;
  return [9, 5].reduce((points, fewer) => (points ** 2 * each > budget ? fewer : points), most);
}

/** Both runs of a setting, from the same seed. */
export const openRuns = async (
  task: Task,
  settings: Settings,
  backend: Backend,
): Promise<readonly Run[]> => [
  await openRun('plain', task, settings, backend),
  await openRun('flat', task, settings, backend),
];
