/** One run of a vision experiment: fine-tune on a seed's images, then measure the merged weights. */
import { foldIn, key } from '../../autodiff/index.js';
import type { HostTree } from '../../finetune/methods.js';
import type { AdapterMethod } from '../../flatlora/index.js';
import { evaluator, shuffledBatches, takeRows } from '../../training/index.js';
import type { Cell, Measures, RunContext, Surroundings } from '../experiment.js';
import { type FineTuned, fineTune } from '../fineTune.js';
import { methodSettings } from './cells.js';
import { loadTask, type TaskData, type TaskName, trainingImages } from './data.js';
import {
  type Batch,
  type HostWeights,
  type Images,
  loadBase,
  scores,
  taskLoss,
  type Weights,
} from './model.js';

/** What all runs in a process share. */
export interface VisionPremises {
  readonly base: HostWeights;
  readonly task: (name: TaskName) => Promise<TaskData>;
}

/** Reads the pre-trained weights; tasks are loaded when they are first asked for. */
export async function prepareVision({ quick, dataDir }: Surroundings): Promise<VisionPremises> {
  const loaded = new Map<TaskName, Promise<TaskData>>();
  return {
    base: await loadBase(),
    task: (name) => {
      const known = loaded.get(name) ?? loadTask(name, quick ? undefined : dataDir);
      loaded.set(name, known);
      return known;
    },
  };
}

/** A trained model with what it was trained on. */
export interface VisionRun {
  readonly tuned: FineTuned<HostWeights>;
  readonly images: Images;
  readonly data: TaskData;
}

/** A look at a run every so many steps. */
export interface VisionWatch {
  readonly every: number;
  readonly look: (
    at: {
      readonly adapters: HostTree;
      readonly adapter: AdapterMethod<HostTree>;
      readonly base: unknown;
      readonly images: Images;
      readonly data: TaskData;
    },
    step: number,
  ) => Promise<void>;
}

/** Trains as the cell says; `undefined` when interrupted. */
export async function trainCell(
  cell: Cell,
  { base, task }: VisionPremises,
  context: RunContext,
  watch?: VisionWatch,
): Promise<VisionRun | undefined> {
  const { seed, steps, perClass, batchSize, wrong = 0 } = cell as Record<string, number>;
  const data = await task(cell.task as TaskName);
  const images = trainingImages(data, perClass as number, seed as number, wrong);
  const own = key(seed as number);
  const count = images.labels.shape[0] as number;
  const order = shuffledBatches(foldIn(own, 1), count, batchSize as number);
  const tuned = await fineTune<Weights, Batch>(
    {
      loss: taskLoss,
      base,
      method: cell.method as string,
      settings: methodSettings(cell),
      batch: (step) => takeRows(images, order(step)),
      totalSteps: steps as number,
      key: own,
      identity: cell,
      ...(watch && {
        watch: {
          every: watch.every,
          look: (adapters, of, step) => watch.look({ adapters, ...of, images, data }, step),
        },
      }),
    },
    context,
  );
  return tuned && { tuned: tuned as unknown as FineTuned<HostWeights>, images, data };
}

/** Accuracy and loss of weights on sets of images, by one program. */
export async function evaluateOn<K extends string>(
  weights: unknown,
  sets: Readonly<Record<K, Images>>,
  { backend }: Pick<RunContext, 'backend'>,
): Promise<Readonly<Record<K, { readonly accuracy: number; readonly loss: number }>>> {
  const { evaluate, dispose } = evaluator(scores, backend, { batchSize: 100 });
  const results: [string, unknown][] = [];
  for (const [name, set] of Object.entries(sets)) {
    results.push([name, await evaluate(weights, set)]);
  }
  await dispose();
  return Object.fromEntries(results) as Record<K, { accuracy: number; loss: number }>;
}

/** What most tables show of a run. */
export async function measureCell(
  { tuned, images, data }: VisionRun,
  context: RunContext,
): Promise<Measures> {
  const { test, validation } = data;
  const on = await evaluateOn(tuned.merged, { test, validation, train: images }, context);
  context.progress(0.9);
  return {
    accuracy: on.test.accuracy,
    validation: on.validation.accuracy,
    testLoss: on.test.loss,
    trainLoss: on.train.loss,
    gap: on.test.loss - on.train.loss,
  };
}

/** Trains and measures. */
export async function runCell(
  cell: Cell,
  premises: VisionPremises,
  context: RunContext,
): Promise<Measures | undefined> {
  const run = await trainCell(cell, premises, context);
  return run && measureCell(run, context);
}
