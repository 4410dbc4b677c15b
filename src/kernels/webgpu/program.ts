/**
 * Runs plans: a program is one command buffer with one compute pass, a dispatch per kernel, submitted
 * whole. What a run needs (buffers and their bindings) is kept for the next that has the same inputs.
 */
import { FlatloraError, flatData, showAval, type Var } from '../../autodiff/index.js';
import type { Cost } from '../plan/cost.js';
import { largestBuffers } from '../plan/memory.js';
import { type AnyKernel, outputsOf, type Plan } from '../plan/plan.js';
import type { GpuDevice } from './device.js';
import { dispatchOf, type Launch, submit, timeLaunches } from './launch.js';
import { type LayoutParts, layOut, layoutKey, type RunLayout } from './layout.js';
import { acquireArray, type GpuArray, writeArray } from './memory.js';
import type { Pipelines } from './pipelines.js';
import type { BufferPool, PooledBuffer } from './pool.js';
import { type ArrayLayout, arrayBytes } from './wgsl/bindings.js';
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
  readonly run: (inputs: readonly GpuArray[], donated: readonly boolean[]) => Promise<RunLayout>;
  /** The milliseconds of each step, by repeat; the results are dropped. */
  readonly time: (
    inputs: readonly GpuArray[],
    repeats: number,
  ) => Promise<readonly (readonly number[])[]>;
  readonly dispose: () => void;
  readonly constantBytes: number;
  readonly constantCount: number;
}

/** A run that can be submitted. */
interface Recipe extends RunLayout {
  readonly launches: readonly Launch[];
}

/** Donated state alternates between a few sets of buffers. */
const KEPT_RECIPES = 8;

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

  const parts: LayoutParts = { plan, steps, pool, layout, table, constants: constantArrays };
  const bindGroupOf = ({ code }: Step, buffers: readonly PooledBuffer[]) =>
    device.createBindGroup({
      layout: pipelines.layout(code.written, code.read),
      entries: buffers.map(({ buffer }, binding) => ({ binding, resource: { buffer } })),
    });
  const prepared = (laidOut: RunLayout): Recipe => ({
    ...laidOut,
    launches: steps.map((step, i) => ({
      pipeline: compiled[i] as GPUComputePipeline,
      bindGroup: bindGroupOf(step, laidOut.used[i] as readonly PooledBuffer[]),
      workgroups: dispatchOf(step.code.workgroups),
    })),
  });
  /** Lays out a run; where memory is short, once more without the buffers that wait. */
  const layOutSafely = async (inputs: readonly GpuArray[], donated: readonly boolean[]) => {
    for (const again of [true, false]) {
      const laidOut = layOut(parts, inputs, donated);
      if (!pool.grew()) return prepared(laidOut);
      const problem = await pool.shortage();
      if (problem === undefined) return prepared(laidOut);
      laidOut.acquired.forEach(pool.release);
      pool.trim();
      if (!again) throw shortOfMemory(problem);
    }
    throw new Error('unreachable');
  };
  // Runs in steady state use the same few sets of buffers in turn.
  const recipes = new Map<string, Recipe>();
  const recipeFor = async (inputs: readonly GpuArray[], donated: readonly boolean[]) => {
    const key = layoutKey(inputs, donated);
    const known = recipes.get(key);
    if (known !== undefined && pool.claim(known.acquired)) return known;
    const made = await layOutSafely(inputs, donated);
    recipes.delete(key);
    recipes.set(key, made);
    const [oldest] = recipes.keys();
    if (recipes.size > KEPT_RECIPES && oldest !== undefined) recipes.delete(oldest);
    return made;
  };

  return {
    run: async (inputs, donated) => {
      const recipe = await recipeFor(inputs, donated);
      submit(device, recipe.launches);
      recipe.free.forEach(pool.release);
      return recipe;
    },
    time: async (inputs, repeats) => {
      const { launches, acquired } = await layOutSafely(
        inputs,
        inputs.map(() => false),
      );
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
      recipes.clear();
    },
    constantBytes: constants.reduce((n, c) => n + arrayBytes(c.variable), 0),
    constantCount: constants.length,
  };
}

/** Host data as it lies in memory: 32-bit numbers, bools as words, half precision as it is. */
export function toWords(
  { dtype }: { readonly dtype: Var['dtype'] },
  data: ArrayLike<number>,
): ArrayBufferView {
  switch (dtype) {
    case 'float':
      return new Float32Array(data);
    case 'int':
      return new Int32Array(data);
    case 'uint':
    case 'bool':
      return new Uint32Array(data);
    default:
      return new Uint16Array(data);
  }
}
