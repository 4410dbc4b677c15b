/** flatlora itself, through its public API, on one of its backends. */
import {
  type Backend,
  compile,
  type DeviceArray,
  dot,
  dotProductAttention,
  download,
  flatData,
  type HostArray,
  hostArray,
  linear,
  meanSquaredError,
  mul,
  reduceSum,
  release,
  relu,
  slice,
  type Value,
  valueAndGrad,
  webgpuBackend,
} from '../../../dist/index.js';
import {
  chooseNodeBackend,
  nodeBackendByName,
  provideNodeWebgpu,
} from '../../../dist/kernels/node.js';
import type { EngineOptions } from '../engineProcess.js';
import { digestAll } from '../harness/digest.js';
import type { AttentionSpec, Engine, Job, MatmulSpec, Runner, StepSpec } from '../harness/job.js';
import { readTensors, type Tensor } from '../harness/tensors.js';
import { prepareStep, stepsInTurns } from './flatloraStep.js';

export const host = ({ data, shape }: Tensor): HostArray => hostArray(data, [...shape]);

/** Threads of a backend; those of gpu.js run on the calling thread alone. */
const threadsOf = (backend: Backend, threads: number): number | undefined =>
  /webgpu|webgl/.test(backend.name) ? undefined : backend.name === 'wasm' ? threads : 1;

/** The backend that the options ask for, and why it is this one. */
async function open({ backend: name, products }: EngineOptions) {
  if (products !== undefined) {
    const missing = await provideNodeWebgpu();
    if (missing !== undefined) throw new Error(missing);
    return {
      backend: await webgpuBackend({ products }),
      reason: `operands of products ${products}`,
    };
  }
  if (name === undefined) return chooseNodeBackend();
  return { backend: await nodeBackendByName(name), reason: 'asked for' };
}

/** Distance of 1 from the next float16. */
const FLOAT16_EPSILON = 2 ** -10;

export async function flatloraEngine(options: EngineOptions): Promise<Engine> {
  const { backend, reason } = await open(options);
  const { threads, products } = options;
  const used = threadsOf(backend, threads);
  return {
    info: {
      name: products === undefined ? `flatlora ${backend.name}` : `flatlora webgpu ${products}`,
      ...(products !== undefined && { epsilon: FLOAT16_EPSILON }),
      version: 'this checkout',
      note: reason,
      ...(used !== undefined && { threads: used }),
    },
    prepare: async (job) => prepare(job, backend),
    inTurns: async (pair, rounds) =>
      stepsInTurns(
        pair as readonly [Job<StepSpec>, Job<StepSpec>],
        rounds,
        async () => (await open(options)).backend,
      ),
  };
}

async function prepare({ spec, tensors }: Job, backend: Backend): Promise<Runner> {
  const inputs = readTensors(tensors);
  switch (spec.kind) {
    case 'matmul':
      return programRunner(backend, matmul(spec, backend), inputs);
    case 'mlp':
      return programRunner(backend, mlp, inputs);
    case 'attention':
      return programRunner(backend, attention(spec), inputs);
    case 'step':
      return prepareStep({ spec, tensors }, backend);
  }
}

type Inputs = Readonly<Record<string, Value>>;
type Outputs = Readonly<Record<string, Value>>;

/** A traced function of named arrays that stay on the device, run again and again. */
async function programRunner(
  backend: Backend,
  f: (inputs: Inputs) => Outputs,
  inputs: Readonly<Record<string, Tensor>>,
): Promise<Runner> {
  const program = compile(f, backend);
  const args = Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, backend.upload(host(tensor))]),
  );
  const once = async () => (await program(args)) as unknown as Record<string, DeviceArray>;
  return {
    results: async () => {
      const outputs = await once();
      const arrays = (await download(backend, outputs)) as unknown as Record<string, HostArray>;
      release(backend, outputs);
      return digestAll(
        Object.fromEntries(
          Object.entries(arrays)
            .filter(([name]) => name !== FENCE)
            .map(([name, array]) => [name, flatData(array)]),
        ),
      );
    },
    run: async () => {
      const outputs = await once();
      // A GPU's program has ended when a result of it can be read.
      const read = outputs[FENCE] ?? outputs.loss;
      if (read !== undefined) await backend.download(read);
      release(backend, outputs);
    },
    dispose: async () => {
      release(backend, args);
      await program.dispose();
    },
  };
}

/** A number that is read to know that a program has ended, where it has no loss. */
const FENCE = 'fence';

function matmul({ transposeA, transposeB }: MatmulSpec, backend: Backend) {
  const isGpu = /webgpu|webgl/.test(backend.name);
  return ({ a, b }: Inputs): Outputs => {
    const contract = [[transposeA ? 0 : 1], [transposeB ? 1 : 0]] as const;
    const product = dot(a as Value, b as Value, { contract, batch: [[], []] });
    return { product, ...(isGpu && { [FENCE]: slice(product, [0, 0], [1, 1]) }) };
  };
}

function mlp({ target, ...params }: Inputs): Outputs {
  const { value, gradient } = valueAndGrad(({ x, w1, b1, w2, b2 }: Inputs) => {
    const hidden = relu(linear({ weight: w1 as Value, bias: b1 as Value }, x as Value));
    const y = linear({ weight: w2 as Value, bias: b2 as Value }, hidden);
    return meanSquaredError(y, target as Value);
  })(params);
  return { loss: value, ...gradient };
}

function attention({ causal }: AttentionSpec) {
  return ({ g, ...params }: Inputs): Outputs => {
    const { value, gradient } = valueAndGrad(({ q, k, v }: Inputs) =>
      reduceSum(
        mul(dotProductAttention(q as Value, k as Value, v as Value, { causal }), g as Value),
      ),
    )(params);
    return { loss: value, ...gradient };
  };
}
