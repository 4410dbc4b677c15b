/**
 * One pre-training run, as all of the experiments' models are made: AdamW with a cosine schedule, clipped
 * gradients, one thread, progress on the terminal. An interrupted run goes on from its checkpoint.
 */
import path from 'node:path';
import { foldIn, key, type Loss } from '../autodiff/index.js';
import { nodeCheckpoints } from '../checkpoints/node/index.js';
import { type Backend, wasmBackend } from '../kernels/index.js';
import { adamW, chain, clipByGlobalNorm, cosineSchedule } from '../optimisers/index.js';
import { train } from '../training/index.js';
import { abortOnInterrupt, terminalProgress } from '../training/node/index.js';

/** The seed of all pre-training: key 0 of it makes the weights, others what is drawn in training. */
export const PRETRAINING_KEY = key(1);

export interface Pretraining<W> {
  /** Names the folder of checkpoints. */
  readonly name: string;
  readonly loss: Loss<never, never>;
  readonly params: W;
  readonly steps: number;
  readonly batch: (step: number) => unknown;
  /** The highest learning rate. */
  readonly rate: number;
  readonly warmUpSteps: number;
  readonly weightDecay: number;
  /** What else must be equal for a run to go on. */
  readonly identity?: Readonly<Record<string, number | string>>;
}

/** Steps over which the loss that is told is averaged. */
const AVERAGED = 50;

/** What came out, or `undefined` when interrupted; `use` may go on with the backend. */
export async function pretrain<W, R>(
  { name, loss, params, steps, batch, rate, warmUpSteps, weightDecay, identity }: Pretraining<W>,
  use: (weights: W, meanLoss: number, backend: Backend) => Promise<R>,
): Promise<R | undefined> {
  const backend = await wasmBackend({ threads: 1 });
  const { signal } = abortOnInterrupt();
  const progress = terminalProgress({ label: `pre-training ${name}` });
  let mean = 0;
  const { reason, state } = await train<never, never, W>(
    {
      loss,
      optimiser: chain(
        clipByGlobalNorm(1),
        adamW({
          learningRate: cosineSchedule(rate, { totalSteps: steps, warmUpSteps }),
          weightDecay,
        }),
      ),
      params,
      totalSteps: steps,
      batch,
      runKey: foldIn(PRETRAINING_KEY, 2),
    },
    backend,
    {
      signal,
      observe: (event) => {
        progress(event);
        if (event.kind === 'step') mean += (event.loss - mean) / Math.min(event.step + 1, AVERAGED);
      },
      checkpoints: {
        store: nodeCheckpoints(path.join('out', 'pretraining', name)),
        every: 250,
        configuration: { name, steps, rate, ...identity },
      },
    },
  );
  const result = reason === 'interrupted' ? undefined : await use(state.params, mean, backend);
  await backend.dispose();
  return result;
}
