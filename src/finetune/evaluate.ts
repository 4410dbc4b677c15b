/** Metrics of a model on a file of examples, with an adapter or without. */

import { orThrow } from '../autodiff/index.js';
import { openModel } from '../huggingface/node/index.js';
import { release } from '../kernels/index.js';
import { evaluator, type Metrics, type PerExample } from '../training/index.js';
import { aidsOf, hostWeights, openBackend, uploaded } from './model.js';
import { type DataSource, taskOf } from './tasks/index.js';

export interface EvaluateOptions {
  readonly model: string;
  readonly adapter?: string;
  readonly data: DataSource;
  readonly batchSize?: number;
  readonly maxLength?: number;
  readonly maxTargetLength?: number;
  readonly backend?: string;
  readonly threads?: number;
}

export interface Evaluation {
  readonly examples: number;
  readonly metrics: Metrics;
  readonly backend: string;
}

/** Loss and accuracy, perplexity or exact matches, by the model's task; means over all examples. */
export async function evaluateModel(options: EvaluateOptions): Promise<Evaluation> {
  const { batchSize = 16, maxLength = 512, maxTargetLength = 128, adapter } = options;
  const opened = orThrow(await openModel(options.model, { keepHalf: true })());
  const kind = taskOf(opened.architecture);
  const limits = { maxLength, maxTargetLength, pack: false, buckets: 1 };
  const examples = await kind.load(options.data, aidsOf(options.model, opened, limits));
  const weights = await hostWeights(opened, { ...(adapter !== undefined && { adapter }) });
  const { backend } = await openBackend(options.backend, options.threads);
  const onDevice = uploaded(backend, weights);
  const perExample = kind.perExample(opened.config as never) as PerExample<unknown, unknown>;
  const { evaluate, dispose } = evaluator(perExample, backend, { batchSize });
  const metrics = kind.metrics(await evaluate(onDevice, examples.all));
  await dispose();
  release(backend, onDevice);
  await backend.dispose();
  return { examples: examples.count, metrics, backend: backend.name };
}
