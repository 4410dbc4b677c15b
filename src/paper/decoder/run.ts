/** One run of a decoder experiment: fine-tune on a seed's examples, then score the merged weights. */
import { FlatloraError, foldIn, key, range } from '../../autodiff/index.js';
import { completions, decoderPrograms } from '../../generation/index.js';
import { evaluator, shuffledBatches, takeRows } from '../../training/index.js';
import type { Cell, Measures, RunContext, Surroundings } from '../experiment.js';
import { fineTune } from '../fineTune.js';
import { type ModelName, methodSettings } from './cells.js';
import { loadTask, type TaskData, type TaskName, trainingExamples } from './data.js';
import {
  type Batch,
  type Decoder,
  decoderLoss,
  type HostBatch,
  loadStories,
  tokenLosses,
  toyDecoder,
  type Weights,
} from './model.js';
import { loadOwn } from './own.js';

/** What all runs in a process share. */
export interface DecoderPremises {
  readonly decoders: Readonly<Record<ModelName, Decoder>>;
  /** A task in the tokens of a model. */
  readonly task: (name: TaskName, model: ModelName) => Promise<TaskData>;
}

/** Reads the models; tasks are loaded when they are first asked for. */
export async function prepareDecoder({ quick, dataDir }: Surroundings): Promise<DecoderPremises> {
  const from = quick ? undefined : dataDir;
  const decoders =
    from === undefined
      ? { stories: toyDecoder(), own: toyDecoder() }
      : { stories: await loadStories(from), own: await loadOwn() };
  const loaded = new Map<string, Promise<TaskData>>();
  return {
    decoders,
    task: (name, model) => {
      const both = `${model} ${name}`;
      const known = loaded.get(both) ?? loadTask(name, decoders[model].tokenizer, from);
      loaded.set(both, known);
      return known;
    },
  };
}

/** Examples that are scored at once, and training examples of which the loss is taken. */
const TOGETHER = 50;
const PROBE = 200;

type Place = Pick<RunContext, 'backend'>;

/** The mean cross-entropy of the tokens that are asked for, over all examples. */
function lossScorer({ config }: Decoder, { backend }: Place) {
  const { evaluate, dispose } = evaluator(tokenLosses(config), backend, { batchSize: TOGETHER });
  return {
    score: async (weights: unknown, examples: HostBatch): Promise<number> => {
      const { sum = Number.NaN, count = Number.NaN } = await evaluate(weights, examples);
      return sum / count;
    },
    dispose,
  };
}

/**
 * The share of questions whose answer, written greedily, is the right one.
 * @throws FlatloraError when a response has no answer that could be met.
 */
export async function exactMatch(
  { config, tokenizer }: Decoder,
  weights: unknown,
  { questions, answerOf }: TaskData,
  { backend }: Place,
): Promise<number> {
  const responses = questions.map(({ response }) => tokenizer.encode(response));
  // The right answers as the tokenizer writes them: it may know no capitals.
  const answers = responses.map((ids) => answerOf(tokenizer.decode(ids)));
  const without = answers.indexOf('');
  if (without >= 0) {
    const { response } = questions[without] as TaskData['questions'][number];
    throw new FlatloraError('data', `exactMatch: no answer in the response "${response}"`);
  }
  const maxTokens = Math.max(...responses.map((ids) => ids.length + 1));
  const longest = Math.max(...questions.map(({ prompt }) => prompt.length));
  const length = Math.min(config.maxLength, longest + maxTokens);
  const programs = decoderPrograms(config, backend, { length });
  let right = 0;
  for (let start = 0; start < questions.length; start += TOGETHER) {
    const asked = questions.slice(start, start + TOGETHER);
    const prompts = asked.map(({ prompt }) => prompt);
    const texts = await completions(programs, weights, prompts, {
      maxTokens,
      stop: [tokenizer.boundary],
    });
    for (const [i, text] of texts.entries()) {
      if (answerOf(tokenizer.decode(text)) === answers[start + i]) right++;
    }
  }
  await programs.dispose();
  return right / questions.length;
}

/** Trains and measures; `undefined` when interrupted. */
export async function runCell(
  cell: Cell,
  { decoders, task }: DecoderPremises,
  context: RunContext,
): Promise<Measures | undefined> {
  const { seed, steps, examples: count, batchSize } = cell as Readonly<Record<string, number>>;
  const model = cell.model as ModelName;
  const decoder = decoders[model];
  const data = await task(cell.task as TaskName, model);
  const examples = trainingExamples(data, count as number, seed as number);
  const own = key(seed as number);
  const rows = examples.tokens.shape[0] as number;
  const order = shuffledBatches(foldIn(own, 1), rows, batchSize as number);
  const tuned = await fineTune<Weights, Batch>(
    {
      loss: decoderLoss(decoder.config),
      base: decoder.weights,
      method: cell.method as string,
      settings: methodSettings(cell),
      batch: (step) => takeRows(examples, order(step)),
      totalSteps: steps as number,
      key: own,
      identity: cell,
    },
    context,
  );
  if (tuned === undefined) return undefined;
  const { score, dispose } = lossScorer(decoder, context);
  const isTrial = cell.trial !== undefined;
  const probe = takeRows(examples, range(Math.min(PROBE, rows)));
  const testLoss = await score(tuned.merged, data.test);
  const trainLoss = await score(tuned.merged, probe);
  const startLoss = await score(decoder.weights, data.test);
  const validation = isTrial ? -(await score(tuned.merged, data.validation)) : undefined;
  await dispose();
  context.progress(0.9);
  const exact =
    isTrial || data.questions.length === 0
      ? undefined
      : await exactMatch(decoder, tuned.merged, data, context);
  return {
    testLoss,
    trainLoss,
    gap: testLoss - trainLoss,
    startLoss,
    ...(exact !== undefined && { exact }),
    ...(validation !== undefined && { validation }),
  };
}
