/**
 * How each gpu.js mode holds arrays between programs.
 *
 * `cpu` and `webasm` take and give JavaScript arrays, so an array "on the device" is a Float32Array
 * (gpu.js copies arguments into WebAssembly memory at each call, which costs less than a
 * millisecond a step for a small model). `webgpu` and `webgl2` hold buffers and textures, which stay
 * where they are from one program to the next.
 */
import * as gpuJs from 'gpu.js';
import type { GpuJsMode } from './math.js';

/** A GPU-resident result of gpu.js. */
export interface ResidentHandle {
  readonly toArray: () => ArrayLike<number> | Promise<ArrayLike<number>>;
  readonly delete: () => void;
}

/** A device array's memory: numbers, or a handle that may still be on its way. */
export type Memory = Float32Array | Promise<ResidentHandle>;

/** A built kernel. Results are arrays in `cpu`, handles in `webgpu` and `webgl2`. */
export type KernelFunction = (...args: readonly unknown[]) => unknown;

interface WebGpuContext {
  readonly acquire: () => Promise<{
    readonly device: { readonly queue: { readonly onSubmittedWorkDone: () => Promise<void> } };
  }>;
}

/** gpu.js's shared WebGPU device, which its type declarations leave out. */
const webgpuContext = (): WebGpuContext => {
  const module = gpuJs as unknown as {
    readonly WebGPUContext?: WebGpuContext;
    readonly default?: { readonly WebGPUContext?: WebGpuContext };
  };
  return (module.WebGPUContext ?? module.default?.WebGPUContext) as WebGpuContext;
};

/** What differs between modes. */
export interface Device {
  readonly upload: (data: Float32Array) => Memory;
  readonly read: (memory: Memory) => Promise<Float32Array>;
  readonly free: (memory: Memory) => void;
  /** Waits until uploads have arrived and launched work is done. */
  readonly settle: () => Promise<void>;
}

/** Arrays as plain JavaScript memory. */
const hostMemory: Device = {
  upload: (data) => data,
  read: async (memory) => (memory as Float32Array).slice(),
  free: () => undefined,
  settle: async () => undefined,
};

/** Arrays as GPU buffers or textures; an identity kernel per size brings data there. */
function residentMemory(gpu: gpuJs.GPU, mode: GpuJsMode): Device {
  const uploaders = new Map<number, KernelFunction>();
  const uploaderOf = (size: number): KernelFunction => {
    const known = uploaders.get(size);
    if (known !== undefined) return known;
    const made = residentKernel(gpu, 'function (a) { return a[this.thread.x]; }', [size]);
    uploaders.set(size, made);
    return made;
  };
  // Their kernels may still be compiling, and must not be destroyed meanwhile.
  const underWay = new Set<Promise<ResidentHandle>>();
  return {
    upload: (data) => {
      if (data.length === 0) return data;
      const made = uploaderOf(data.length)(data) as ResidentHandle | Promise<ResidentHandle>;
      const handle = Promise.resolve(made);
      underWay.add(handle);
      const arrive = () => void underWay.delete(handle);
      handle.then(arrive, arrive);
      return handle;
    },
    read: async (memory) =>
      memory instanceof Promise
        ? Float32Array.from(await (await memory).toArray())
        : memory.slice(),
    free: (memory) => {
      if (memory instanceof Promise) void memory.then((handle) => handle.delete());
    },
    settle: async () => {
      await Promise.allSettled(underWay);
      if (mode !== 'webgpu') return;
      const { device } = await webgpuContext().acquire();
      await device.queue.onSubmittedWorkDone();
    },
  };
}

/** A kernel whose every call gives a fresh result that stays on the device. */
export const residentKernel = (
  gpu: gpuJs.GPU,
  source: string,
  output: readonly number[],
): KernelFunction =>
  gpu.createKernel(source, {
    output: [...output],
    pipeline: true,
    immutable: true,
  }) as unknown as KernelFunction;

/** Whether a mode keeps arrays on a GPU. */
export const isResident = (mode: GpuJsMode): boolean => mode === 'webgpu' || mode === 'webgl2';

export const deviceOf = (gpu: gpuJs.GPU, mode: GpuJsMode): Device =>
  isResident(mode) ? residentMemory(gpu, mode) : hostMemory;
