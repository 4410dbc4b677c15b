/** A LoRA or Flat-LoRA training step of flatlora: the model, `adapt`, `flat`, `adamW`, one program. */
import {
  adamW,
  adapt,
  type Backend,
  causalDecoder,
  compile,
  type DeviceArray,
  flat,
  flatData,
  type HostArray,
  initialState,
  key,
  type Loss,
  lora,
  lt,
  type NoiseSchedule,
  release,
  select,
  simplify,
  softmaxCrossEntropy,
  trace,
  trainStep,
  treeLeaves,
  treeMap,
  type Value,
  visionTransformer,
} from '../../../dist/index.js';
import { createQueue } from '../../../dist/kernels/wasm/runtime/queue.js';
import type { Job, PairedTimes, Runner, StepSpec } from '../harness/job.js';
import { planLowerBound } from '../harness/planText.js';
import {
  firstSteps,
  QUIET_STEPS,
  type StepReport,
  TARGETS,
  TOTAL_STEPS,
} from '../harness/steps.js';
import { readTensors, withPrefix } from '../harness/tensors.js';
import { factorsOf, treeOf } from '../harness/tree.js';
import { host } from './flatlora.js';

type Batch = Readonly<Record<string, Value>>;

/** The mean cross-entropy of a family's model. */
export function taskLoss({ family, size, classes, patch, channels }: StepSpec): Loss<never, Batch> {
  const { width, depth, heads, tokens } = size;
  const shared = { width, depth, heads, activation: 'geluTanh' } as const;
  if (family === 'vit') {
    const imageSize = patch * Math.sqrt(tokens);
    const model = visionTransformer({
      ...shared,
      imageSize,
      patchSize: patch,
      channels,
      classes,
      pooling: 'mean',
    });
    return (weights, { images, labels }) =>
      softmaxCrossEntropy(model(weights, images as Value), labels as Value);
  }
  const model = causalDecoder({ ...shared, vocabulary: classes, maxLength: tokens });
  return (weights, { tokens: ids, targets }) =>
    softmaxCrossEntropy(model(weights, ids as Value), targets as Value);
}

/** No noise in the first steps, by which engines are compared, and all of σ from then on. */
const quietAtFirst: NoiseSchedule = (progress) =>
  select(lt(progress, (QUIET_STEPS - 0.5) / TOTAL_STEPS), 0, 1);

/** What one step is made of: its traceable function and the state before it. */
export function stepParts({ spec, tensors }: Job<StepSpec>) {
  const inputs = treeMapTensors(tensors);
  const base = treeOf(withPrefix('w/', inputs));
  const adapters = factorsOf(withPrefix('a/', inputs));
  const batch = Object.fromEntries(Object.entries(inputs).filter(([name]) => !name.includes('/')));
  const { rank, alpha, sigma, learningRate, weightDecay } = spec;
  const method = lora({ rank, alpha, targetModules: TARGETS });
  const adapted = adapt(base, method)(taskLoss(spec));
  const loss = flat({ sigma, schedule: quietAtFirst })(adapted);
  const optimiser = adamW({ learningRate, weightDecay });
  return {
    step: trainStep(loss as never, optimiser, { totalSteps: TOTAL_STEPS }),
    state: initialState(adapters, optimiser),
    batch,
  };
}

const treeMapTensors = (tensors: Job['tensors']): Readonly<Record<string, HostArray>> =>
  Object.fromEntries(
    Object.entries(readTensors(tensors)).map(([name, tensor]) => [name, host(tensor)]),
  );

interface Stepped {
  readonly state: unknown;
  readonly loss: DeviceArray;
  readonly gradientNorm: DeviceArray;
}

export async function prepareStep(job: Job<StepSpec>, backend: Backend): Promise<Runner> {
  const { step, state: start, batch: hostBatch } = stepParts(job);
  const bytesBefore = backend.memory().bytes;
  const program = compile(step as (...args: unknown[]) => unknown, backend, { donate: [0] });
  const upload = (tree: unknown): unknown => treeMap((x: HostArray) => backend.upload(x), tree);
  let state = upload(start);
  const batch = upload(hostBatch);
  const runKey = backend.upload(key(1));

  const numberOf = async (array: DeviceArray) =>
    flatData(await backend.download(array))[0] as number;
  const next = async (): Promise<StepReport> => {
    const stepped = (await program(state, batch, runKey)) as unknown as Stepped;
    state = stepped.state;
    const loss = await numberOf(stepped.loss);
    const gradientNorm = await numberOf(stepped.gradientNorm);
    release(backend, [stepped.loss, stepped.gradientNorm]);
    return { loss, gradientNorm };
  };
  return {
    results: () => firstSteps(next),
    run: async () => {
      await next();
    },
    facts: async () => {
      const { bytes, peakBytes } = backend.memory();
      const startTrace = performance.now();
      const { equations } = simplify(trace(step as never, start, hostBatch, key(1)));
      const startCompile = performance.now();
      const again = compile(step as (...args: unknown[]) => unknown, backend);
      const text = await again.describe(start, hostBatch, key(1));
      const end = performance.now();
      await again.dispose();
      return {
        equations: equations.length,
        traceMs: startCompile - startTrace,
        compileMs: end - startCompile,
        liveBytes: bytes - bytesBefore,
        peakBytes,
        lowerBoundBytes: planLowerBound(text) ?? null,
      };
    },
    dispose: async () => {
      release(backend, [state, batch, runKey]);
      await program.dispose();
    },
  };
}

/** Parts of a step of which both take one in turn: some 10 ms each. */
const PARTS = 48;

/** Rounds that do not count, in which the engine still compiles. */
const WARM_ROUNDS = 2;

/** Runs a training step over and over from its first state, in parts; the whole's milliseconds. */
async function stepInParts(job: Job<StepSpec>, backend: Backend) {
  const { step, state, batch } = stepParts(job);
  const args = [state, batch, key(1)];
  const { runInParts } = await backend.compile(simplify(trace(step as never, ...args)));
  if (runInParts === undefined) {
    throw new Error(`${backend.name} cannot run a program in parts`);
  }
  const inputs = treeLeaves<HostArray>(args).map((x) => backend.upload(x));
  return async (turn: <A>(part: () => Promise<A>) => Promise<A>): Promise<number> => {
    const times = await runInParts(inputs, PARTS, turn);
    return times.reduce((sum, ms) => sum + ms, 0);
  };
}

/** See `Engine`. Each step has a backend of its own, since programs of one share their workspace. */
export async function stepsInTurns(
  pair: readonly [Job<StepSpec>, Job<StepSpec>],
  rounds: number,
  open: () => Promise<Backend>,
): Promise<PairedTimes> {
  const backends = [await open(), await open()] as const;
  const subject = await stepInParts(pair[0], backends[0]);
  const peer = await stepInParts(pair[1], backends[1]);
  // Who has had a turn asks for the next behind the other.
  const { add: turn } = createQueue();
  const times: (readonly [number, number])[] = [];
  for (let round = 0; round < WARM_ROUNDS + rounds; round++) {
    const flatFirst = round % 2 === 1;
    const early = flatFirst ? peer(turn) : undefined;
    const own = subject(turn);
    times.push(await Promise.all([own, early ?? peer(turn)]));
  }
  for (const backend of backends) await backend.dispose();
  const counted = times.slice(WARM_ROUNDS);
  return { subject: counted.map(([own]) => own), peer: counted.map(([, other]) => other) };
}
