/**
 * How much memory fine-tuning a model will take, before anything is loaded: from its config.json alone the
 * training step is traced, planned and laid out as it would be for a run on WebAssembly.
 */
import {
  avalOfHost,
  flatten,
  foldIn,
  type HostArray,
  key,
  type Loss,
  orThrow,
  simplify,
  sizeOf,
  trace,
} from '../autodiff/index.js';
import {
  type AdapterMethod,
  adaLora,
  adapt,
  dora,
  flat,
  fullFineTuning,
  lora,
  rslora,
} from '../flatlora/index.js';
import {
  type AnyArchitecture,
  type Place,
  targetPaths,
  treeOfPaths,
} from '../huggingface/index.js';
import { bytesOf, type MemoryPrediction, predictMemory } from '../kernels/index.js';
import { dequantised } from '../models/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../optimisers/index.js';
import { initialState, trainStep } from '../training/index.js';
import type { HostTree } from './methods.js';
import { hollowKept, hollowModel, numbersIn } from './model.js';
import type { FinetuneSettings } from './settings.js';
import { taskOf } from './tasks/index.js';

export type PlanSettings = Pick<
  FinetuneSettings,
  | 'method'
  | 'rank'
  | 'alpha'
  | 'sigma'
  | 'precision'
  | 'checkpointing'
  | 'batchSize'
  | 'microBatches'
  | 'maxLength'
  | 'maxTargetLength'
> &
  Partial<Pick<FinetuneSettings, 'targetModules' | 'threads'>>;

export interface FinetunePlan extends MemoryPrediction {
  readonly parameters: number;
  readonly trainedParameters: number;
  /** Of the frozen weights, as they are kept on the device. */
  readonly baseBytes: number;
}

/** The method by the arrays that it trains; where training starts makes no difference to memory. */
function methodOf(
  name: string,
  options: { rank: number; alpha: number; targetModules: readonly string[] },
) {
  switch (name.replace(/^flat-/, '')) {
    case 'rslora':
      return rslora(options);
    case 'dora':
      return dora(options);
    case 'adalora':
      return adaLora(options);
    case 'full':
      return fullFineTuning(options);
    default:
      return lora(options);
  }
}

/**
 * Plans a training step. Methods with state of their own beside A and B (Bi-LoRA, EFMLoRA) take more than
 * the plan of LoRA says, which stands for them here.
 */
export function planFinetune(
  architecture: AnyArchitecture,
  given: unknown,
  settings: PlanSettings,
): FinetunePlan {
  const kind = taskOf(architecture);
  const config = settings.checkpointing ? { ...(given as object), checkpoint: true } : given;
  const places = architecture.places(config) as readonly Place[];
  const { precision } = settings;
  const kept = places.map(({ path, shape }) => [path, hollowKept(precision, shape, path)] as const);
  const base = treeOfPaths(kept);
  const targetModules = orThrow(
    targetPaths(
      architecture,
      config,
      settings.targetModules ?? kind.targetModules(config as never),
    ),
  );
  const { rank, alpha } = settings;
  const method = methodOf(settings.method, {
    rank,
    alpha,
    targetModules,
  }) as unknown as AdapterMethod<HostTree>;
  const { adapters } = orThrow(method.init(hollowModel(places, precision), key(0)));
  const sigma = settings.method.startsWith('flat-') ? settings.sigma : 0;
  const taskLoss = kind.model(config as never).loss as Loss<unknown, unknown>;
  const noise = flat({ sigma });
  const loss: Loss<never, { base: unknown; rows: unknown }> = (adapters, batch, context) =>
    noise(adapt(dequantised(batch.base), method)(taskLoss))(adapters, batch.rows, context);
  const totalSteps = 100;
  const optimiser = chain(
    clipByGlobalNorm(1),
    method.optimiser(adamW({ learningRate: cosineSchedule(1e-3, { totalSteps }) }), {
      totalSteps,
    }),
  );
  const state = initialState(adapters as never, optimiser);
  const rows = kind.blank(config as never, settings.batchSize / settings.microBatches, {
    ...settings,
    pack: false,
    buckets: 1,
  });
  const tape = simplify(
    trace(trainStep(loss, optimiser, { totalSteps }), state, { base, rows }, foldIn(key(0), 0)),
  );
  // The state comes first, and is given away.
  const own = flatten(state).leaves.length;
  const prediction = predictMemory(tape, (input) => input < own, settings.threads);
  return {
    ...prediction,
    parameters: places.reduce((n, { shape }) => n + sizeOf(shape), 0),
    trainedParameters: numbersIn(adapters),
    baseBytes: flatten<HostArray>(base).leaves.reduce((n, x) => n + bytesOf(avalOfHost(x)), 0),
  };
}
