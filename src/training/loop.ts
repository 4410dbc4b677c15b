/**
 * The training loop: batches in, steps on a device, events out, states kept. Everything that decides
 * the result (parameters, optimiser state, step, keys, batches) is a value or a pure function of the
 * step, so a run that was interrupted anywhere goes on from its last checkpoint to the same bits.
 */
import * as O from 'fp-ts/lib/Option.js';
import {
  FlatloraError,
  flatten,
  type HostArray,
  ints,
  type Key,
  type Loss,
  orThrow,
  treeMap,
} from '../autodiff/index.js';
import type { CheckpointStore, Json, Loaded, TrainingState } from '../checkpoints/index.js';
import { type Backend, type DeviceArray, download, release } from '../kernels/index.js';
import type { GradientTransformation, OptimiserState } from '../optimisers/index.js';
import type { Metrics, TrainingObserver } from './events.js';
import { explainFailure } from './failure.js';
import { type DeviceState, type Stepped, stepPrograms } from './programs.js';
import { initialState } from './step.js';

/** What is trained, on what, and how: all that decides the result. */
export interface TrainingPlan<P, X, H = unknown> {
  readonly loss: Loss<P, X>;
  readonly optimiser: GradientTransformation;
  /** Initial parameters: the tree `P` of the loss, with host arrays as leaves. */
  readonly params: H;
  readonly totalSteps: number;
  /**
   * Micro-batch `micro` of step `step`: a tree of host or device arrays, of one form for all. It must
   * depend on nothing but these two numbers. Device arrays in it (frozen weights, say) are left alone.
   */
  readonly batch: (step: number, micro: number) => unknown;
  /** Parts of equal size in which each step's batch comes; 1 by default. */
  readonly microBatches?: number;
  /** The key of all randomness inside steps. */
  readonly runKey: Key;
}

export interface Checkpointing {
  readonly store: CheckpointStore;
  /** Saves after every so many steps, and at the end. */
  readonly every: number;
  /** What must be equal for a run to go on from a checkpoint: hyperparameters, data, backend. */
  readonly configuration: Json;
}

export interface EvaluationHook {
  /** Runs after every so many steps, and at the end. */
  readonly every: number;
  /** `params` are on the device and stay the loop's. */
  readonly evaluate: (params: unknown, step: number) => Promise<Metrics>;
}

export interface TrainingOptions {
  readonly checkpoints?: Checkpointing;
  readonly evaluation?: EvaluationHook;
  readonly observe?: TrainingObserver;
  /** Stops the run after the step at hand, with a checkpoint where there is a store. */
  readonly signal?: AbortSignal;
  /**
   * Loss and gradient norm are read, and found finite or not, after every so many steps; 1 by
   * default. Reading less often lets a device run ahead; a failure is found later, at no loss.
   */
  readonly readEvery?: number;
}

export interface TrainingResult<H> {
  readonly reason: 'completed' | 'interrupted';
  /** On the host; `step` tells how many steps are done. */
  readonly state: TrainingState<H, OptimiserState>;
}

const requirePositive = (argument: string, x: number): void => {
  if (!Number.isInteger(x) || x < 1) {
    throw new FlatloraError('argument', `train: ${argument} is ${x}, expected a positive integer`);
  }
};

/** Lets timers and signals through at least this often, in milliseconds. */
const BREATH = 20;

/** A pause for the event loop when the last one is long ago: backends may never leave it. */
function breathing(): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < BREATH) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    last = performance.now();
  };
}

/** The state on the host; a typed error instead of a state with NaN or infinity in it. */
async function fetchState<H>(
  backend: Backend,
  { params, optimiser }: DeviceState,
  step: number,
  runKey: Key,
): Promise<TrainingState<H, OptimiserState>> {
  const onHost = await download(backend, { params, optimiser });
  const { leaves, paths } = flatten<HostArray>(onHost);
  const odd = leaves.findIndex(({ data }) => !(data as Float64Array).every(Number.isFinite));
  if (odd >= 0) {
    throw new FlatloraError(
      'not-finite',
      `train: after step ${step - 1} "${paths[odd]}" has NaN or infinite elements; the last good checkpoint is kept`,
    );
  }
  return { ...(onHost as { params: H; optimiser: OptimiserState }), step, runKey };
}

/** The state to start from: the newest checkpoint's, or the initial one. */
async function startingState<H>(
  fresh: TrainingState<H, OptimiserState>,
  checkpoints: Checkpointing | undefined,
): Promise<Loaded<TrainingState<H, OptimiserState>>> {
  if (checkpoints === undefined) return { state: fresh, passedOver: [] };
  const { store, configuration } = checkpoints;
  const found = orThrow(await store.load(fresh, configuration)());
  if (O.isNone(found)) return { state: fresh, passedOver: [] };
  const [saved, given] = [found.value.state.runKey, fresh.runKey].map((k) => [k.get(0), k.get(1)]);
  if (String(saved) !== String(given)) {
    throw new FlatloraError(
      'checkpoint',
      `train: the checkpoint's run key is ${saved}, this run's is ${given}`,
    );
  }
  return found.value;
}

/**
 * Trains until `totalSteps` steps are done or the signal is given.
 *
 * With a checkpoint store the run first looks for a state to go on from; the final parameters are
 * then those of a run that was never interrupted, bit for bit on the same backend.
 *
 * @throws FlatloraError `not-finite` when a step's loss or gradient is NaN or infinite: names the
 *   step and the first array where it appears, and keeps the last good checkpoint. `checkpoint` when
 *   the saved state does not belong to this run or cannot be read or written.
 */
export async function train<P, X, H>(
  plan: TrainingPlan<P, X, H>,
  backend: Backend,
  options: TrainingOptions = {},
): Promise<TrainingResult<H>> {
  const { loss, optimiser, params, totalSteps, runKey, microBatches = 1 } = plan;
  const { checkpoints, evaluation, signal, readEvery = 1, observe = () => undefined } = options;
  requirePositive('totalSteps', totalSteps);
  requirePositive('microBatches', microBatches);
  requirePositive('readEvery', readEvery);
  if (checkpoints) requirePositive('checkpoints.every', checkpoints.every);
  if (evaluation) requirePositive('evaluation.every', evaluation.every);

  const fresh = initialState(params, optimiser);
  const start = await startingState({ ...fresh, step: 0, runKey }, checkpoints);
  observe({
    kind: 'started',
    step: start.state.step,
    totalSteps,
    passedOver: start.passedOver,
  });
  if (start.state.step >= totalSteps) {
    observe({ kind: 'finished', reason: 'completed', step: start.state.step, totalSteps });
    return { reason: 'completed', state: start.state };
  }

  const programs = stepPrograms(
    loss,
    optimiser,
    backend,
    { totalSteps },
    microBatches,
    params as unknown as P,
  );
  const upload = (tree: unknown) => treeMap((x: HostArray) => backend.upload(x), tree);
  const key = backend.upload(runKey);
  let state = upload({
    params: start.state.params,
    optimiser: start.state.optimiser,
    step: ints([start.state.step], []),
  }) as unknown as DeviceState;
  let unread: { readonly step: number; readonly report: DeviceArray }[] = [];
  const breathe = breathing();

  /** Reads what has not been read yet; throws when a step was not finite. */
  const readReports = async (): Promise<void> => {
    for (const { step, report } of unread) {
      const [value = Number.NaN, gradientNorm = Number.NaN, next = -1] = (
        await backend.download(report)
      ).data;
      if (next < 0) {
        throw await explainFailure({ plan, backend, state, key, step, loss: value });
      }
      observe({ kind: 'step', step, totalSteps, loss: value, gradientNorm });
    }
    release(backend, unread);
    unread = [];
  };
  const save = async (step: number): Promise<TrainingState<H, OptimiserState>> => {
    const onHost = await fetchState<H>(backend, state, step, runKey);
    if (checkpoints) {
      orThrow(await checkpoints.store.save(onHost, checkpoints.configuration)());
      observe({ kind: 'saved', step });
    }
    return onHost;
  };

  try {
    for (let step = start.state.step; ; step++) {
      const stepped: Stepped = await programs.step(step, state, (m) => plan.batch(step, m), key);
      state = stepped.state;
      unread.push({ step, report: stepped.report });
      const done = step + 1;
      await breathe();

      // Asked anew after every wait: the signal may have come meanwhile.
      const stopping = () => done >= totalSteps || signal?.aborted === true;
      const due = (every: number | undefined) => every !== undefined && done % every === 0;
      if (stopping() || due(readEvery) || due(checkpoints?.every) || due(evaluation?.every)) {
        await readReports();
      }
      if (evaluation && (due(evaluation.every) || done >= totalSteps)) {
        const metrics = await evaluation.evaluate(state.params, done);
        observe({ kind: 'evaluated', step: done, metrics });
      }
      if (stopping()) {
        await readReports();
        const reason = done >= totalSteps ? 'completed' : 'interrupted';
        const onHost = await save(done);
        observe({ kind: 'finished', reason, step: done, totalSteps });
        return { reason, state: onHost };
      }
      if (due(checkpoints?.every)) await save(done);
    }
  } catch (error) {
    observe({ kind: 'failed' });
    throw error;
  } finally {
    release(backend, { state, key, unread });
    await programs.dispose();
  }
}
