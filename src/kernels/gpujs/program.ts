/**
 * Runs plans through gpu.js.
 *
 * On WebAssembly the whole plan is one `createPipeline`: all kernels over one memory, entered once.
 * Elsewhere kernels are launched one by one and hand their results on, which keeps arrays on the GPU
 * between programs (a pipeline would upload its arguments at every call).
 */
import type { GPU } from 'gpu.js';
import {
  type DType,
  FlatloraError,
  flatData,
  type HostData,
  isHalf,
  sizeOf,
  type Var,
  widenedBits,
} from '../../autodiff/index.js';
import type { Kernel } from '../plan/expression.js';
import type { Plan } from '../plan/plan.js';
import type { Device, KernelFunction, Memory } from './device.js';
import { type KernelCache, kernelCache, type ProgramKernels } from './kernelCache.js';
import type { GpuJsMode } from './math.js';
import { floatsOf, type KernelSource, printKernel } from './source.js';

/** A program that is ready to run. */
export interface GpuJsProgram {
  readonly run: (inputs: readonly Memory[]) => Promise<readonly Memory[]>;
  readonly describe: () => string;
  readonly dispose: () => void;
  /** Bytes that it holds between runs. */
  readonly constantBytes: number;
  readonly constantCount: number;
  /** Most bytes that its intermediates take at one time. */
  readonly intermediateBytes: number;
}

interface Launch {
  readonly kernel: Kernel;
  readonly source: KernelSource;
  readonly dies: readonly Var[];
}

/** Host data as the floats that kernels read: words as 16-bit halves, the rest as numbers. */
export function toFloats(data: HostData, dtype: DType): Float32Array {
  if (isHalf(dtype)) return widenedBits(data, dtype);
  if (dtype !== 'uint') return Float32Array.from(data);
  const halves = new Float32Array(2 * data.length);
  for (let i = 0; i < data.length; i++) {
    halves[2 * i] = (data[i] as number) >>> 16;
    halves[2 * i + 1] = (data[i] as number) & 0xffff;
  }
  return halves;
}

/** The greatest total size of intermediates alive at once. */
function intermediateBytes(launches: readonly Launch[]): number {
  let [live, peak] = [0, 0];
  for (const { kernel, dies } of launches) {
    live += 4 * floatsOf(kernel.output);
    peak = Math.max(peak, live);
    live -= dies.reduce((n, v) => n + 4 * floatsOf(v), 0);
  }
  return peak;
}

/** What programs of one backend have in common. */
export interface Shared {
  readonly gpu: GPU;
  readonly mode: GpuJsMode;
  readonly device: Device;
  /** Table of normals (`normalTable.ts`), in device memory. */
  readonly table: Memory;
  /** Kernels that are launched one by one; those of a pipeline are its own. */
  readonly kernels: KernelCache;
}

export function buildProgram(
  { gpu, mode, device, table, kernels }: Shared,
  plan: Plan,
): GpuJsProgram {
  const launches = plan.kernels.map(
    (kernel, i): Launch => ({
      kernel,
      source: printKernel(kernel, mode),
      dies: plan.dies[i] as readonly Var[],
    }),
  );
  const constants = plan.constants.map(({ variable, value }) => ({
    variable,
    data: toFloats(flatData(value), variable.dtype),
  }));
  const usesTable = launches.some((l) => l.source.usesNormalTable);
  const own = constants.map((c) => device.upload(c.data));
  const parts: ProgramParts = {
    plan,
    launches,
    constants: constants.map((c) => c.variable),
    // The table comes last.
    memory: usesTable ? [...own, table] : own,
  };
  const run =
    mode === 'webasm' ? pipelineRunner(parts, gpu) : launchRunner(parts, mode, device, kernels());
  return {
    ...run,
    describe: () =>
      launches
        .map(
          ({ kernel, source }) =>
            `// b${kernel.output.id} = [${source.output.join(' × ')}] of (${kernel.reads.map((v) => `b${v.id}`).join(', ')})\n${source.source}`,
        )
        .join('\n\n'),
    dispose: () => {
      run.dispose();
      own.forEach(device.free);
    },
    constantBytes: constants.reduce((n, c) => n + c.data.byteLength, 0),
    constantCount: constants.length,
    intermediateBytes: intermediateBytes(launches),
  };
}

/** What a launch is called with: the buffers that it reads, then the table where it needs it. */
const argumentsOf = (
  { kernel, source }: Launch,
  values: ReadonlyMap<number, unknown>,
  table: unknown,
): readonly unknown[] => [
  ...kernel.reads.map((v) => values.get(v.id)),
  ...(source.usesNormalTable ? [table] : []),
];

/** Zero-sized outputs need no kernel. */
const emptyOutput = (v: Var): Float32Array | undefined =>
  sizeOf(v.shape) === 0 ? new Float32Array(0) : undefined;

const COPY: KernelSource = {
  source: 'function (a) { return a[this.thread.x]; }',
  output: [],
  usesNormalTable: false,
};

interface ProgramParts {
  readonly plan: Plan;
  readonly launches: readonly Launch[];
  readonly constants: readonly Var[];
  /** The constants' data, then the table of normals where a kernel reads it. */
  readonly memory: readonly Memory[];
}

/** One fused pipeline for the whole plan. */
function pipelineRunner({ plan, launches, constants, memory }: ProgramParts, gpu: GPU) {
  const kernels = kernelCache(
    ({ source, output }) =>
      gpu.createKernel(source, { output: [...output] }) as unknown as KernelFunction,
  )();
  const isPresent = plan.inputs.map((v) => sizeOf(v.shape) > 0);
  const present = plan.inputs.filter((_, i) => isPresent[i]);
  const results = plan.outputs.filter((v) => sizeOf(v.shape) > 0);
  const orchestrate = (...args: readonly unknown[]): unknown[] => {
    const values = new Map<number, unknown>();
    [...present, ...constants].forEach((v, i) => {
      values.set(v.id, args[i]);
    });
    for (const launch of launches) {
      const kernel = kernels.of(launch.source, launch.kernel.reads);
      const result = kernel(...argumentsOf(launch, values, args.at(-1)));
      values.set(launch.kernel.output.id, result);
    }
    const flat = new Map(launches.map((l) => [l.kernel.output.id, l.source.output.length === 1]));
    return results.map((v) => {
      const value = values.get(v.id);
      // Results with two or three axes would come back as nested arrays.
      return flat.get(v.id) ? value : kernels.of({ ...COPY, output: [floatsOf(v)] }, [v])(value);
    });
  };
  // gpu.js asks the function for its number of parameters.
  const arity = present.length + memory.length;
  Object.defineProperty(orchestrate, 'length', { value: arity });
  const pipeline =
    launches.length === 0
      ? undefined
      : gpu.createPipeline(orchestrate as never, { threads: false });
  let checked = false;
  return {
    run: async (inputs: readonly Memory[]): Promise<readonly Memory[]> => {
      if (pipeline === undefined) return plan.outputs.map((v) => emptyOutput(v) as Float32Array);
      const args = inputs.filter((_, i) => isPresent[i]);
      const raw = (await pipeline(...([...args, ...memory] as never[]))) as readonly Float32Array[];
      if (!checked) {
        checked = true;
        if (pipeline.executorKind !== 'fused-sync' || pipeline.backend !== 'webasm') {
          throw new FlatloraError(
            'backend',
            `gpujs-webasm: gpu.js fell back to ${pipeline.executorKind} on ${pipeline.backend}: ${pipeline.fallbackReason}`,
          );
        }
      }
      let next = 0;
      return plan.outputs.map((v) => emptyOutput(v) ?? (raw[next++] as Float32Array));
    },
    dispose: () => {
      void pipeline?.destroy();
    },
  };
}

/** Launches kernels one after another; intermediates are freed after their last reader. */
function launchRunner(
  { plan, launches, constants, memory }: ProgramParts,
  mode: GpuJsMode,
  device: Device,
  kernels: ProgramKernels,
) {
  let checked = false;
  return {
    run: async (inputs: readonly Memory[]): Promise<readonly Memory[]> => {
      const values = new Map<number, unknown>();
      const known = await Promise.all([...inputs, ...memory]);
      [...plan.inputs, ...constants].forEach((v, i) => {
        values.set(v.id, known[i]);
      });
      for (const [i, launch] of launches.entries()) {
        const kernel = kernels.of(launch.source, launch.kernel.reads);
        const result = kernel(...argumentsOf(launch, values, known.at(-1)));
        values.set(launch.kernel.output.id, result instanceof Promise ? await result : result);
        for (const v of launch.dies) {
          if (mode !== 'cpu') (values.get(v.id) as { delete: () => void }).delete();
          values.delete(v.id);
        }
        if (!checked) requireMode(kernel, mode);
        // Without a pause now and then WebGPU's queue and its memory grow without bound.
        if (i % 50 === 49) await device.settle();
      }
      checked = true;
      return plan.outputs.map((v) => {
        const value = emptyOutput(v) ?? values.get(v.id);
        return value instanceof Float32Array ? value : Promise.resolve(value as never);
      });
    },
    dispose: kernels.release,
  };
}

/** gpu.js may choose another mode than asked for; that is an error here, never a fallback. */
function requireMode(kernel: KernelFunction, mode: GpuJsMode): void {
  const built = (kernel as unknown as { kernel: { constructor: { mode: string } } }).kernel;
  const actual = built.constructor.mode;
  // gpu.js calls both of its WebGL modes "gpu".
  if (actual !== (mode === 'webgl2' ? 'gpu' : mode)) {
    throw new FlatloraError('backend', `gpujs-${mode}: gpu.js fell back to ${actual}`);
  }
}
