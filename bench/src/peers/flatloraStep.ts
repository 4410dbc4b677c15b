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
  treeMap,
  type Value,
  visionTransformer,
} from '../../../dist/index.js';
import type { Job, Runner, StepSpec } from '../harness/job.js';
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
    kernels: async () => {
      const rows = await program.profile(state, batch, runKey);
      return rows.map(({ leastMs }) => leastMs);
    },
    dispose: async () => {
      release(backend, [state, batch, runKey]);
      await program.dispose();
    },
  };
}
