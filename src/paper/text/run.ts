/** One run of a text experiment: fine-tune on a seed's examples, then score the merged weights. */
import { foldIn, type HostArray, key } from '../../autodiff/index.js';
import type { HostTree } from '../../finetune/methods.js';
import type { AdapterMethod } from '../../flatlora/index.js';
import { evaluator, shuffledBatches, takeRows } from '../../training/index.js';
import type { Cell, Measures, RunContext, Surroundings } from '../experiment.js';
import { type FineTuned, fineTune } from '../fineTune.js';
import { isTimed, methodSettings } from './cells.js';
import { loadTask, type TaskData, type TaskName, trainingExamples } from './data.js';
import {
  type Batch,
  classScores,
  type Labelled,
  matthews,
  textLoss,
  type Weights,
} from './model.js';
import { loadTokenizer } from './vocabulary.js';
import { loadWeights } from './weights.js';

/** What all runs in a process share. */
export interface TextPremises {
  readonly base: Weights<HostArray>;
  readonly task: (name: TaskName) => Promise<TaskData>;
}

/** Reads weights and vocabulary; tasks are loaded when they are first asked for. */
export async function prepareText({ quick, dataDir }: Surroundings): Promise<TextPremises> {
  const tokenizer = await loadTokenizer();
  const loaded = new Map<TaskName, Promise<TaskData>>();
  return {
    base: await loadWeights(),
    task: (name) => {
      const known = loaded.get(name) ?? loadTask(name, tokenizer, quick ? undefined : dataDir);
      loaded.set(name, known);
      return known;
    },
  };
}

type Examples = Labelled<HostArray>;

/** A trained model with what it was trained on. */
export interface TextRun {
  readonly tuned: FineTuned<Weights<HostArray>>;
  readonly examples: Examples;
  readonly data: TaskData;
}

/** What is seen of a run while it goes on. */
export interface TextLook {
  readonly adapters: HostTree;
  readonly adapter: AdapterMethod<HostTree>;
  readonly base: unknown;
  readonly examples: Examples;
  readonly data: TaskData;
}

/** A look at a run every so many steps. */
export interface TextWatch {
  readonly every: number;
  readonly look: (at: TextLook, step: number) => Promise<void>;
}

const withoutLabels = ({ source, target }: Examples): Batch<HostArray> => ({ source, target });

/** Trains as the cell says; `undefined` when interrupted. */
export async function trainCell(
  cell: Cell,
  { base, task }: TextPremises,
  context: RunContext,
  watch?: TextWatch,
): Promise<TextRun | undefined> {
  const { seed, steps, examples: count, batchSize } = cell as Record<string, number>;
  const data = await task(cell.task as TaskName);
  const examples = trainingExamples(data, count as number, seed as number);
  const own = key(seed as number);
  const batches = withoutLabels(examples);
  const order = shuffledBatches(
    foldIn(own, 1),
    examples.label.shape[0] as number,
    batchSize as number,
  );
  const tuned = await fineTune<Weights, Batch>(
    {
      loss: textLoss,
      base,
      method: cell.method as string,
      settings: methodSettings(cell),
      batch: (step) => takeRows(batches, order(step)),
      totalSteps: steps as number,
      key: own,
      identity: cell,
      ...(watch && {
        watch: {
          every: watch.every,
          look: (adapters, of, step) => watch.look({ adapters, ...of, examples, data }, step),
        },
      }),
    },
    context,
  );
  return tuned && { tuned: tuned as unknown as TextRun['tuned'], examples, data };
}

export interface Scores {
  readonly accuracy: number;
  readonly loss: number;
  readonly matthews: number;
}

/** One program that scores weights on sets of examples; give it back with `dispose`. */
export function scorer({ firstTokens }: TaskData, { backend }: Pick<RunContext, 'backend'>) {
  const { evaluate, dispose } = evaluator(classScores(firstTokens), backend, { batchSize: 32 });
  return {
    score: async (weights: unknown, set: Examples): Promise<Scores> => {
      const { correct = Number.NaN, loss = Number.NaN, ...shares } = await evaluate(weights, set);
      return { accuracy: correct, loss, matthews: matthews(shares) };
    },
    dispose,
  };
}

/** Training losses are of this many of the examples, which is enough for a mean. */
export const PROBE = 256;

/** The first examples of a set. */
export const firstOf = (set: Examples, count: number): Examples =>
  takeRows(
    set,
    Array.from({ length: Math.min(count, set.label.shape[0] as number) }, (_, i) => i),
  );

/** What most tables show of a run; the validation examples are scored in a search alone. */
export async function measureCell(
  { tuned, examples, data }: TextRun,
  context: RunContext,
  isTrial = false,
): Promise<Measures> {
  const { score, dispose } = scorer(data, context);
  const test = await score(tuned.merged, data.test);
  const train = await score(tuned.merged, firstOf(examples, PROBE));
  context.progress(0.9);
  const validation = isTrial ? await score(tuned.merged, data.validation) : undefined;
  const other = data.outOfDomain && (await score(tuned.merged, data.outOfDomain));
  await dispose();
  return {
    accuracy: test.accuracy,
    matthews: test.matthews,
    testLoss: test.loss,
    trainLoss: train.loss,
    gap: test.loss - train.loss,
    ...(validation && { validation: validation.accuracy, validationLoss: validation.loss }),
    ...(other && {
      otherAccuracy: other.accuracy,
      otherMatthews: other.matthews,
      otherLoss: other.loss,
    }),
  };
}

/** Trains and measures: time and memory where the cell is about these, else losses and scores. */
export async function runCell(
  cell: Cell,
  premises: TextPremises,
  context: RunContext,
): Promise<Measures | undefined> {
  const run = await trainCell(cell, premises, context);
  if (run === undefined) return undefined;
  const { secondsPerStep, liveBytes } = run.tuned;
  return isTimed(cell)
    ? { secondsPerStep, liveBytes }
    : measureCell(run, context, cell.trial !== undefined);
}
