/** What a step of a method costs beside LoRA's: both in turn, so that the machine's moods fall on both. */
import {
  foldIn,
  type HostArray,
  ints,
  key,
  type Loss,
  orThrow,
  treeMap,
} from '../../autodiff/index.js';
import { type MethodSettings, prepareMethod } from '../../finetune/methods.js';
import { adapt } from '../../flatlora/index.js';
import { type Backend, type DeviceArray, release } from '../../kernels/index.js';
import { adamW, chain, clipByGlobalNorm } from '../../optimisers/index.js';
import { initialState } from '../../training/index.js';
import { type DeviceState, stepPrograms } from '../../training/programs.js';

export interface TimedTask {
  readonly loss: Loss<unknown, unknown>;
  readonly base: unknown;
  readonly batch: unknown;
}

const TOTAL_STEPS = 1000;

/** A training run that can be taken step by step. */
async function runner(
  method: string,
  settings: MethodSettings,
  { loss, base, batch }: TimedTask,
  backend: Backend,
) {
  const { adapter, objective, optimiser } = await prepareMethod(method, settings, {
    backend,
    loss,
    base,
    batches: [batch],
    totalSteps: TOTAL_STEPS,
    key: key(41),
  });
  const started = orThrow(adapter.init(base, key(42)));
  const transformation = chain(
    clipByGlobalNorm(1),
    optimiser(adamW({ learningRate: settings.learningRate }), { totalSteps: TOTAL_STEPS }),
  );
  const programs = stepPrograms(
    objective(adapt(started.base, adapter)(loss)) as Loss<unknown, unknown>,
    transformation,
    backend,
    { totalSteps: TOTAL_STEPS },
    1,
    started.adapters as unknown,
  );
  const upload = (tree: unknown) => treeMap((x: HostArray) => backend.upload(x), tree);
  const fresh = initialState(started.adapters as unknown, transformation);
  // Late in training, where σ has grown: a step at σ = 0 would still draw its noise.
  const first = TOTAL_STEPS / 2;
  let state = upload({ ...fresh, step: ints([first], []) }) as unknown as DeviceState;
  const runKey = backend.upload(foldIn(key(43), 0));
  let number = first;
  return {
    step: async (): Promise<number> => {
      const start = performance.now();
      const stepped = await programs.step(number++, state, () => batch, runKey);
      state = stepped.state;
      await backend.download(stepped.report as DeviceArray);
      release(backend, stepped.report);
      return (performance.now() - start) / 1000;
    },
    dispose: async () => {
      release(backend, { state, runKey });
      await programs.dispose();
    },
  };
}

export interface StepTimes {
  /** Seconds of each round's step of the method, and of LoRA's. */
  readonly own: readonly number[];
  readonly lora: readonly number[];
}

/** Steps of a method and of LoRA in turn. */
export async function timeBesideLora(
  method: string,
  settings: MethodSettings,
  loraSettings: MethodSettings,
  task: TimedTask,
  openBackend: () => Promise<Backend>,
  rounds: number,
): Promise<StepTimes> {
  const backend = await openBackend();
  const [lora, own] = [
    await runner('lora', loraSettings, task, backend),
    await runner(method, settings, task, backend),
  ];
  const times = { own: [] as number[], lora: [] as number[] };
  for (let round = -2; round < rounds; round++) {
    const [a, b] = [await lora.step(), await own.step()];
    if (round < 0) continue;
    times.lora.push(a);
    times.own.push(b);
  }
  await backend.dispose();
  return times;
}

export interface StepMemory {
  /** Device bytes between two steps: constants, trained parameters, the optimiser's state. */
  readonly live: number;
  /** The most during a step. */
  readonly peak: number;
}

/** What training with a method holds, on a backend of its own. */
export async function memoryOf(
  method: string,
  settings: MethodSettings,
  task: TimedTask,
  openBackend: () => Promise<Backend>,
): Promise<StepMemory> {
  const backend = await openBackend();
  const own = await runner(method, settings, task, backend);
  await own.step();
  await own.step();
  const { bytes, peakBytes } = backend.memory();
  await backend.dispose();
  return { live: bytes, peak: peakBytes };
}
