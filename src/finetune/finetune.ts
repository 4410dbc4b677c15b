/**
 * A whole fine-tuning run: from a model folder and a file of examples to a saved adapter. What the
 * command `flatlora finetune` does, as one function.
 */
import { readFile } from 'node:fs/promises';
import {
  evaluationContext,
  FlatloraError,
  foldIn,
  hostPermutation,
  key,
  type Loss,
  orThrow,
  range,
} from '../autodiff/index.js';
import type { Json } from '../checkpoints/index.js';
import { nodeCheckpoints } from '../checkpoints/node/index.js';
import { adapt } from '../flatlora/index.js';
import { targetPaths } from '../huggingface/index.js';
import { type OpenedModel, openModel } from '../huggingface/node/index.js';
import { type Backend, download, release } from '../kernels/index.js';
import { dequantised } from '../models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../optimisers/index.js';
import {
  evaluator,
  type Metrics,
  type PerExample,
  type TrainingObserver,
  train,
} from '../training/index.js';
import { type HostTree, type PreparedMethod, prepareMethod } from './methods.js';
import {
  aidsOf,
  hollowModel,
  hostWeights,
  numbersIn,
  openBackend,
  placedWeights,
  uploaded,
} from './model.js';
import { isAdapterMethod, looksAtWeights } from './peftFiles.js';
import { openRun, type RunFolder, writeWhole } from './runFolder.js';
import { saveTrained } from './saving.js';
import type { FinetuneSettings } from './settings.js';
import { type Examples, type TaskKind, taskOf } from './tasks/index.js';

export interface FinetuneResult {
  readonly reason: 'completed' | 'interrupted';
  readonly steps: number;
  /** Of the last evaluation. */
  readonly metrics: Metrics;
  /** The best evaluation: after which step, and what it said. */
  readonly best: { readonly step: number; readonly metrics: Metrics } | undefined;
  /** Where the adapter (or the model) lies. */
  readonly saved: string;
  readonly trainedParameters: number;
  readonly parameters: number;
  readonly backend: string;
  readonly peakBytes: number;
}

export interface FinetuneHooks {
  readonly observe?: TrainingObserver;
  /** Stops the run with a checkpoint; the same call goes on from it. */
  readonly signal?: AbortSignal;
  /** Lines for people: which backend, how many examples. */
  readonly say?: (line: string) => void;
}

/** The base in its place in the batch: a frozen input of the program, uploaded once. */
interface WithBase {
  readonly base: unknown;
  readonly rows: unknown;
}

/** Streams of the run's key. */
const KEYS = { adapters: 0, batches: 1, training: 2, calibration: 3, split: 4 };

/** Examples for training, and those that checkpoints are compared on. */
async function examplesOf(
  settings: FinetuneSettings,
  kind: TaskKind,
  aids: ReturnType<typeof aidsOf>,
): Promise<{ readonly training: Examples; readonly validation: Examples | undefined }> {
  const { train: path, validation, validationShare } = settings;
  const { columns, template, target, label, pair } = settings;
  const fields = { columns, template, target, label, pair };
  const all = await kind.load({ path, ...fields }, aids);
  if (validation !== undefined) {
    return { training: all, validation: await kind.load({ path: validation, ...fields }, aids) };
  }
  const held = Math.floor(validationShare * all.count);
  if (held === 0) return { training: all, validation: undefined };
  const order = hostPermutation(foldIn(key(settings.seed), KEYS.split), all.count);
  return { training: all.pick(order.slice(held)), validation: all.pick(order.slice(0, held)) };
}

/** Metrics of adapters on a set, by the weights that they stand for. */
function adapterEvaluator(
  kind: TaskKind,
  config: unknown,
  { adapter }: PreparedMethod,
  base: unknown,
  backend: Backend,
  batchSize: number,
) {
  const perExample = kind.perExample(config as never) as PerExample<unknown, unknown>;
  const scored: PerExample<{ adapters: never; base: unknown }, unknown> = (given, rows) => {
    const effective = orThrow(adapter.effective(dequantised(given.base)));
    return perExample(effective(given.adapters, evaluationContext()), rows);
  };
  const { evaluate, dispose } = evaluator(scored, backend, { batchSize });
  return {
    dispose,
    evaluate: async (adapters: unknown, examples: Examples): Promise<Metrics> =>
      kind.metrics(await evaluate({ adapters, base }, examples.all)),
  };
}

interface Best {
  readonly step: number;
  readonly metrics: Metrics;
}

const readBest = async (run: RunFolder): Promise<Best | undefined> =>
  readFile(run.file('best.json'), 'utf8').then(
    (text) => JSON.parse(text) as Best,
    () => undefined,
  );

/** The opened model with what the settings want of its configuration. */
function configured(opened: OpenedModel, { checkpointing }: FinetuneSettings): OpenedModel {
  return checkpointing
    ? { ...opened, config: { ...(opened.config as object), checkpoint: true } }
    : opened;
}

/**
 * Runs or goes on with a run. The same settings and folder give the same bytes, however often the run was
 * interrupted or killed in between.
 * @throws FlatloraError (rejection) for anything that does not fit, in one line.
 */
export async function finetune(
  settings: FinetuneSettings,
  { observe = () => undefined, signal, say = () => undefined }: FinetuneHooks = {},
): Promise<FinetuneResult> {
  const own = key(settings.seed);
  const opened = configured(
    orThrow(await openModel(settings.model, { keepHalf: true })()),
    settings,
  );
  const { architecture, config, json } = opened;
  const kind = taskOf(architecture);
  const aids = aidsOf(settings.model, opened, settings);
  const { training, validation } = await examplesOf(settings, kind, aids);
  const totalSteps =
    settings.steps ??
    Math.max(1, Math.round((settings.epochs * training.count) / settings.batchSize));
  const run = await openRun(settings.out, { ...settings, totalSteps } as unknown as Json);
  const targetModules = orThrow(
    targetPaths(
      architecture,
      config,
      settings.targetModules ?? kind.targetModules(config as never),
    ),
  );
  const { backend, reason: why } = await openBackend(settings.backend, settings.threads);
  const { precision } = settings;
  const onHost = looksAtWeights(settings.method);
  if (onHost && (precision === 'int8' || precision === 'nf4')) {
    await backend.dispose();
    throw new FlatloraError(
      'argument',
      `precision: ${settings.method} looks at the weights' own numbers, which ${precision} does not keep; expected float32, bfloat16 or float16`,
    );
  }
  const placed = onHost ? undefined : await placedWeights(opened, precision, backend);
  const original =
    placed === undefined
      ? await hostWeights(opened, { precision: precision as 'float32' })
      : hollowModel(architecture.places(config), precision);
  say(`${architecture.name}, ${training.count} examples, ${backend.name} (${why})`);

  const taskLoss = kind.model(config as never).loss as Loss<unknown, unknown>;
  const microSize = settings.batchSize / settings.microBatches;
  if (!Number.isInteger(microSize)) {
    throw new FlatloraError(
      'argument',
      `microBatches: given ${settings.microBatches}, expected a divisor of the batch size ${settings.batchSize}`,
    );
  }
  const batches = training.batches(foldIn(own, KEYS.batches), microSize);
  const batchOf = (step: number, micro = 0) => batches(step * settings.microBatches + micro);
  const { method: name, rank, alpha, sigma, rho, learningRate } = settings;
  const method = await prepareMethod(
    name,
    {
      learningRate,
      rank,
      alpha,
      targetModules,
      ...(name.startsWith('flat-') && { sigma }),
      ...(rho !== undefined && { rho }),
    },
    {
      backend,
      loss: taskLoss,
      base: original,
      batches: range(4).map((step) => batchOf(step)),
      totalSteps,
      key: foldIn(own, KEYS.calibration),
    },
  );
  const { adapters: start, base } = orThrow(
    method.adapter.init(original, foldIn(own, KEYS.adapters)),
  );
  const onDevice = placed ?? uploaded(backend, base);
  const scores = adapterEvaluator(kind, config, method, onDevice, backend, microSize);
  const save = (folder: string, adapters: HostTree) =>
    saveTrained(
      run.file(folder),
      { architecture, config, json },
      method,
      { method: name, alpha, base, start, adapters },
      settings.model,
    );
  const { metric, higher } = kind.best;
  const scoreOf = (of: Metrics): number => (higher ? 1 : -1) * (of[metric] ?? Number.NaN);
  const better = (a: Metrics, b: Metrics | undefined): boolean =>
    b === undefined || scoreOf(a) > scoreOf(b);
  let best = await readBest(run);
  let lastMetrics: Metrics = {};

  const loss: Loss<never, WithBase> = (adapters, { base: frozen, rows }, context) =>
    method.objective(adapt(dequantised(frozen), method.adapter)(taskLoss))(adapters, rows, context);
  const adam = adamW({
    learningRate:
      settings.schedule === 'constant'
        ? learningRate
        : cosineSchedule(learningRate, {
            totalSteps,
            warmUpSteps: Math.ceil(settings.warmUp * totalSteps),
          }),
    weightDecay: settings.weightDecay,
  });
  const pending: Promise<void>[] = [];
  const { reason, state } = await train<never, WithBase, HostTree>(
    {
      loss,
      optimiser: chain(clipByGlobalNorm(settings.maxNorm), method.optimiser(adam, { totalSteps })),
      params: start,
      totalSteps,
      microBatches: settings.microBatches,
      batch: (step, micro) => ({ base: onDevice, rows: batchOf(step, micro) }),
      runKey: foldIn(own, KEYS.training),
    },
    backend,
    {
      ...(signal && { signal }),
      checkpoints: {
        store: nodeCheckpoints(run.file('checkpoints')),
        every: settings.checkpointEvery,
        configuration: { ...settings, totalSteps } as unknown as Json,
      },
      ...(validation && {
        evaluation: {
          every: settings.evaluateEvery ?? Math.max(1, Math.ceil(totalSteps / 10)),
          evaluate: async (params, step) => {
            // What a killed run saw after its last checkpoint is seen again.
            if (best !== undefined && best.step > step) best = undefined;
            const metrics = await scores.evaluate(params, validation);
            lastMetrics = metrics;
            await run.log({
              step,
              ...Object.fromEntries(
                Object.entries(metrics).map(([k, x]) => [`validation/${k}`, x]),
              ),
            });
            if (better(metrics, best?.metrics)) {
              best = { step, metrics };
              await save('best', (await download(backend, params)) as unknown as HostTree);
              await writeWhole(run.file('best.json'), `${JSON.stringify(best)}\n`);
            }
            return metrics;
          },
        },
      }),
      observe: (event) => {
        observe(event);
        if (event.kind === 'step') {
          const { step, loss: value, gradientNorm } = event;
          const line = { step: step + 1, 'train/loss': value, 'train/gradientNorm': gradientNorm };
          pending.push(run.log(line));
        }
      },
    },
  );
  await Promise.all(pending);
  const saved = isAdapterMethod(name) ? 'adapter' : 'model';
  if (reason === 'completed') await save(saved, state.params);
  const { peakBytes } = backend.memory();
  release(backend, onDevice);
  await scores.dispose();
  await backend.dispose();
  return {
    reason,
    steps: state.step,
    metrics: lastMetrics,
    best,
    saved: run.file(saved),
    trainedParameters: numbersIn(start),
    parameters: numbersIn(original),
    backend: backend.name,
    peakBytes,
  };
}
