/**
 * Runs plans: a program is one command buffer with one compute pass, a dispatch per kernel, submitted
 * whole. Memory is laid out before anything is encoded, in the order of the kernels: a buffer is free
 * again after its last reader, and the GPU runs dispatches as if one after another, so one buffer can
 * serve many intermediates, and the memory of donated inputs what is computed after their last use.
 */
import { FlatloraError, flatData, showAval, type Var } from '../../autodiff/index.js';
import type { Cost } from '../plan/cost.js';
import { largestBuffers } from '../plan/memory.js';
import { type AnyKernel, outputsOf, type Plan } from '../plan/plan.js';
import type { GpuDevice } from './device.js';
import { dispatchOf, type Launch, submit, timeLaunches } from './launch.js';
import { acquireArray, type GpuArray, writeArray } from './memory.js';
import type { Pipelines } from './pipelines.js';
import type { BufferPool, PooledBuffer } from './pool.js';
import { type ArrayLayout, arrayBytes, piecesOf } from './wgsl/bindings.js';
import type { KernelCode } from './wgsl/kernel.js';

/** What programs share. */
export interface Machine {
  readonly gpu: GpuDevice;
  readonly pool: BufferPool;
  readonly pipelines: Pipelines;
  readonly layout: ArrayLayout;
  /** The table of normals. */
  readonly table: GpuArray;
}

/** A kernel, what it costs, and the buffers whose last reader it is. */
export interface Step {
  readonly name: string;
  readonly code: KernelCode;
  readonly cost: Cost;
  readonly dies: readonly Var[];
}

export interface WebgpuProgram {
  readonly run: (inputs: readonly GpuArray[], donated: readonly boolean[]) => Promise<RunResult>;
  /** The milliseconds of each step, by repeat; the results are dropped. */
  readonly time: (
    inputs: readonly GpuArray[],
    repeats: number,
  ) => Promise<readonly (readonly number[])[]>;
  readonly dispose: () => void;
  readonly constantBytes: number;
  readonly constantCount: number;
}

export interface RunResult {
  readonly outputs: readonly GpuArray[];
  /** Inputs (by number) whose memory serves something else now. */
  readonly consumed: ReadonlySet<number>;
  /** Most bytes in use at one time beyond the inputs. */
  readonly extraBytes: number;
}

/** Bind groups that a kernel keeps: donated state alternates between a few buffers. */
const KEPT_BIND_GROUPS = 4;
export async function buildProgram(
  machine: Machine,
  plan: Plan<AnyKernel>,
  steps: readonly Step[],
): Promise<WebgpuProgram> {
  const { gpu, pool, pipelines, layout, table } = machine;
  const { device } = gpu;
  const mostBindings = device.limits.maxStorageBuffersPerShaderStage;
  for (const { code } of steps) {
    if (code.written + code.read > mostBindings) {
      throw new FlatloraError(
        'memory',
        `webgpu: a kernel that makes ${code.outputs.map(showAval).join()} needs ${code.written + code.read} bindings of at most ${layout.pieceBytes} bytes, this device has ${mostBindings}`,
      );
    }
  }
  const compiled = await Promise.all(steps.map((s) => pipelines.of(s.code)));
  const bindGroups = steps.map(() => new Map<string, GPUBindGroup>());

  const constants = plan.constants.map(({ variable, value }) => {
    const array = acquireArray(pool, arrayBytes(variable), layout);
    writeArray(device, array, toWords(variable, flatData(value)), layout);
    return { variable, array };
  });
  const constantArrays = new Map(constants.map((c) => [c.variable.id, c.array]));
  // Kernels of several outputs count as several.
  const wholePlan = {
    ...plan,
    kernels: plan.kernels.flatMap(outputsOf).map((output) => ({ output })),
  };
  const shortOfMemory = (detail: string) =>
    new FlatloraError(
      'memory',
      `webgpu: the device is out of memory (${detail.split('\n')[0]}); its largest buffers are ${largestBuffers(wholePlan as unknown as Plan)}`,
    );
  const missing = await pool.shortage();
  if (missing !== undefined) {
    for (const { array } of constants) array.forEach(pool.release);
    pool.trim();
    throw shortOfMemory(missing);
  }

  /** The last step that reads each input. */
  const lastReader = new Map<number, number>();
  steps.forEach(({ code }, i) => {
    for (const v of code.reads) lastReader.set(v.id, i);
  });

  /** Lays out one run: which buffers each step uses. Buffers that it frees stay in `free`. */
  const layOut = (inputs: readonly GpuArray[], donated: readonly boolean[]) => {
    const arrays = new Map<number, GpuArray>();
    plan.inputs.forEach((v, i) => {
      arrays.set(v.id, inputs[i] as GpuArray);
    });
    // A constant that is an output is copied to an array of the same number.
    const read = (v: Var) => constantArrays.get(v.id) ?? (arrays.get(v.id) as GpuArray);
    const free: PooledBuffer[] = [];
    const acquired: PooledBuffer[] = [];
    const consumed = new Set<number>();
    const dying = donatedDeaths(plan, inputs, donated, lastReader);
    let [bytes, most] = [0, 0];
    const take = (size: number): PooledBuffer => {
      const i = free.findLastIndex((b) => b.size >= size && b.size <= size * 1.25 + 256);
      const [known] = i < 0 ? [] : free.splice(i, 1);
      if (known !== undefined) return known;
      const fresh = pool.acquire(size);
      acquired.push(fresh);
      return fresh;
    };
    const used = steps.map(({ code, dies }, i) => {
      const filled = code.outputs.map((v) => {
        const array = piecesOf(arrayBytes(v), layout).map(take);
        arrays.set(v.id, array);
        bytes += arrayBytes(v);
        return array;
      });
      most = Math.max(most, bytes);
      const bound = [
        ...filled.flat(),
        ...code.reads.flatMap(read),
        ...(code.usesNormalTable ? table : []),
      ];
      for (const v of dies) {
        free.push(...(arrays.get(v.id) ?? []));
        bytes -= arrayBytes(v);
      }
      for (const input of dying.get(i) ?? []) {
        free.push(...(inputs[input] as GpuArray));
        bytes -= arrayBytes(plan.inputs[input] as Var);
        consumed.add(input);
      }
      return bound;
    });
    const outputs = plan.outputs.map((v) => arrays.get(v.id) ?? []);
    return { used, outputs, free, acquired, consumed, extraBytes: most };
  };

  const bindGroupOf = (i: number, { code }: Step, buffers: readonly PooledBuffer[]) => {
    const groups = bindGroups[i] as Map<string, GPUBindGroup>;
    const key = buffers.map((b) => b.id).join();
    const known = groups.get(key);
    if (known !== undefined) return known;
    const made = device.createBindGroup({
      layout: pipelines.layout(code.written, code.read),
      entries: buffers.map(({ buffer }, binding) => ({ binding, resource: { buffer } })),
    });
    groups.set(key, made);
    const [oldest] = groups.keys();
    if (groups.size > KEPT_BIND_GROUPS && oldest !== undefined) groups.delete(oldest);
    return made;
  };

  const layOutSafely = async (inputs: readonly GpuArray[], donated: readonly boolean[]) => {
    for (const again of [true, false]) {
      const laidOut = layOut(inputs, donated);
      if (!pool.grew()) return laidOut;
      const problem = await pool.shortage();
      if (problem === undefined) return laidOut;
      laidOut.acquired.forEach(pool.release);
      pool.trim();
      if (!again) throw shortOfMemory(problem);
    }
    throw new Error('unreachable');
  };

  const launchesOf = (used: readonly (readonly PooledBuffer[])[]): readonly Launch[] =>
    steps.map((step, i) => ({
      pipeline: compiled[i] as GPUComputePipeline,
      bindGroup: bindGroupOf(i, step, used[i] as readonly PooledBuffer[]),
      workgroups: dispatchOf(step.code.workgroups),
    }));

  return {
    run: async (inputs, donated) => {
      const { used, outputs, free, consumed, extraBytes } = await layOutSafely(inputs, donated);
      submit(device, launchesOf(used));
      free.forEach(pool.release);
      return { outputs, consumed, extraBytes };
    },
    time: async (inputs, repeats) => {
      const { used, acquired } = await layOutSafely(
        inputs,
        inputs.map(() => false),
      );
      const launches = launchesOf(used);
      const times: (readonly number[])[] = [];
      try {
        // The first run does not count.
        for (let i = 0; i <= repeats; i++) times.push(await timeLaunches(device, launches));
      } finally {
        acquired.forEach(pool.release);
      }
      return times.slice(1);
    },
    dispose: () => {
      for (const { array } of constants) array.forEach(pool.release);
      for (const groups of bindGroups) groups.clear();
    },
    constantBytes: constants.reduce((n, c) => n + arrayBytes(c.variable), 0),
    constantCount: constants.length,
  };
}

/** By step: the donated inputs that nothing reads after it. */
function donatedDeaths(
  plan: Plan<AnyKernel>,
  inputs: readonly GpuArray[],
  donated: readonly boolean[],
  lastReader: ReadonlyMap<number, number>,
): ReadonlyMap<number, readonly number[]> {
  const deaths = new Map<number, number[]>();
  plan.inputs.forEach((v, i) => {
    const last = lastReader.get(v.id);
    // One array given twice is freed once, at the end.
    const shared = inputs.filter((x) => x === inputs[i]).length > 1;
    if (!donated[i] || last === undefined || shared) return;
    deaths.set(last, [...(deaths.get(last) ?? []), i]);
  });
  return deaths;
}

/** Host data as it lies in memory: 32-bit numbers, bools as words, half precision as it is. */
export function toWords(
  { dtype }: { readonly dtype: Var['dtype'] },
  data: ArrayLike<number>,
): ArrayBufferView {
  switch (dtype) {
    case 'float':
      return Float32Array.from(data);
    case 'int':
      return Int32Array.from(data);
    case 'uint':
    case 'bool':
      return Uint32Array.from(data);
    default:
      return Uint16Array.from(data);
  }
}
