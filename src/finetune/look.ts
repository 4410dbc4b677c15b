/** Models with data on a device, to be looked at: sharpness and landscapes of their loss. */
import { FlatloraError, type Loss, orThrow, range } from '../autodiff/index.js';
import { openModel } from '../huggingface/node/index.js';
import { type Backend, programRunner } from '../kernels/index.js';
import type { EvaluateOptions } from './evaluate.js';
import { aidsOf, hostWeights, openBackend } from './model.js';
import { taskOf } from './tasks/index.js';

export interface LookOptions extends EvaluateOptions {
  /** How many examples, the first ones; 64 by default. */
  readonly examples?: number;
}

/** What the sharpness tools take. */
export interface Look {
  readonly runner: ReturnType<typeof programRunner>;
  readonly loss: Loss<unknown, unknown>;
  /** Of the plain model, an adapter worked in, on the host. */
  readonly weights: unknown;
  /** Batches of equal size. */
  readonly batches: readonly unknown[];
  readonly examples: number;
  readonly backend: Backend;
}

/** Opens a model with examples, lets `use` look at it, and tidies up. */
export async function lookAt<T>(options: LookOptions, use: (look: Look) => Promise<T>): Promise<T> {
  const {
    batchSize = 16,
    maxLength = 512,
    maxTargetLength = 128,
    examples = 64,
    adapter,
  } = options;
  const opened = orThrow(await openModel(options.model, { keepHalf: true })());
  const kind = taskOf(opened.architecture);
  const limits = { maxLength, maxTargetLength, pack: false, buckets: 1 };
  const all = await kind.load(options.data, aidsOf(options.model, opened, limits));
  const size = Math.min(batchSize, all.count);
  const count = Math.floor(Math.min(examples, all.count) / size);
  if (count < 1) {
    throw new FlatloraError('argument', `examples: given ${examples}, expected at least ${size}`);
  }
  const batches = range(count).map((i) => all.pick(range(size).map((j) => i * size + j)).all);
  const weights = await hostWeights(opened, { ...(adapter !== undefined && { adapter }) });
  const { backend } = await openBackend(options.backend, options.threads);
  try {
    return await use({
      runner: programRunner(backend),
      loss: kind.model(opened.config as never).loss as Loss<unknown, unknown>,
      weights,
      batches,
      examples: count * size,
      backend,
    });
  } finally {
    await backend.dispose();
  }
}
