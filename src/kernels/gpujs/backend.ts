/**
 * The gpujs backend: every primitive as a gpu.js kernel, in one of gpu.js's modes. The readable one,
 * and the one that runs anywhere.
 *
 * Its limits: floats are float32 (`cpu` computes in float64 and rounds what it stores); integers are
 * held as float32, so they are exact within ±2²⁴ and an array has at most 2²⁴ elements; `sin` and
 * `cos` are NaN beyond |x| = 10⁵ outside `cpu`; `argmax` of an array with NaN is unspecified.
 * Half precision is held as float32 that is rounded already, so it saves no memory here; conversion
 * gives the same bits as on every backend (any NaN as the quiet one).
 * NaN and ±∞ go through every operation as IEEE 754 says on `cpu` and `webasm`. Shading languages
 * allow compilers to assume that there are none: the kernels are written so that they pass on
 * `webgpu` and `webgl2` too (tested on SwiftShader), but a driver may still lose them, and numbers
 * below 2⁻¹²⁶ may count as zero.
 */
import { GPU } from 'gpu.js';
import {
  type Aval,
  avalOfHost,
  FlatloraError,
  flatData,
  type HostArray,
  hostArray,
  isHalf,
  normalTable,
  roundedBits,
  showAval,
  sizeOf,
  storage,
  type Var,
} from '../../autodiff/index.js';
import type { Backend, DeviceArray, Executable } from '../backend.js';
import { liveArrays, requireSignature } from '../liveArrays.js';
import { planTape, printPlan } from '../plan/plan.js';
import { deviceOf, isResident, type Memory, residentKernel } from './device.js';
import { LARGEST_INTEGER, requireSmall, requireSmallScalars } from './integers.js';
import { kernelCache } from './kernelCache.js';
import { keyNumbersInMemory } from './keyNumbers.js';
import type { GpuJsMode } from './math.js';
import { buildProgram, toFloats } from './program.js';
import { floatsOf } from './source.js';
import { withoutHalf } from './withoutHalf.js';

/**
 * Buffers that one kernel may read. WebGPU binds 8 a kernel: one result, the table of normals, and what is
 * read.
 */
export const MAX_READS: Readonly<Record<GpuJsMode, number>> = {
  cpu: 12,
  webasm: 12,
  webgpu: 6,
  webgl2: 6,
};

/** Terms of a product whose operand still fits the first-level cache on WebAssembly; measured. */
const LONGEST_PRODUCT = 72;

/** Whether gpu.js finds a mode's device on this machine, or why not. */
export async function gpujsAvailability(mode: GpuJsMode): Promise<string | undefined> {
  if (mode === 'webgpu' && !(await GPU.isWebGPUAvailable())) {
    return 'no WebGPU adapter was found (navigator.gpu gives none)';
  }
  if (mode === 'webgl2' && !GPU.isWebGL2Supported) return 'this environment has no WebGL2';
  if (mode === 'webasm' && !GPU.isWebAssemblySupported)
    return 'this engine has no WebAssembly SIMD';
  return undefined;
}

/**
 * A backend on gpu.js.
 * @param mode `cpu` (plain JavaScript), `webasm` (WebAssembly SIMD), `webgpu`, or `webgl2` (browsers).
 * @throws FlatloraError (rejection) when the mode is not available; it never falls back to another.
 */
export async function gpujsBackend(mode: GpuJsMode): Promise<Backend> {
  const name = `gpujs-${mode}`;
  const missing = await gpujsAvailability(mode);
  if (missing !== undefined) throw new FlatloraError('backend', `${name}: ${missing}`);
  const gpu = new GPU({ mode });
  const device = deviceOf(gpu, mode);
  let disposed = false;
  const live = liveArrays<Memory>(name);
  const kernels = kernelCache(({ source, output }) => residentKernel(gpu, source, output), {
    keepsAll: mode === 'webgl2',
  });
  // One table for all programs: it belongs to the backend as the code of its kernels does.
  const table = device.upload(normalTable);
  live.count(1, normalTable.byteLength);

  const hold = (like: Aval, handle: Memory) => {
    requireFitting(name, like);
    return live.hold(like, handle, 4 * floatsOf(like));
  };
  const release = (array: DeviceArray) => {
    const handle = live.forget(array);
    if (handle !== undefined) device.free(handle);
  };

  return {
    name,
    precision: 32,
    upload: (array) => {
      live.requireOpen();
      const like = avalOfHost(array);
      const data = flatData(array);
      if (like.dtype === 'int') requireSmall(name, data);
      return hold(like, device.upload(toFloats(data, like.dtype)));
    },
    download: async (array) => fromFloats(array, await device.read(live.handleOf(array))),
    release,
    memory: live.memory,
    compile: async (tape): Promise<Executable> => {
      live.requireOpen();
      requireSmallScalars(name, tape);
      const plan = planTape(withoutHalf(tape), {
        maxReads: MAX_READS[mode],
        ...(mode === 'webasm' && { longestProduct: LONGEST_PRODUCT }),
      });
      for (const v of [...plan.inputs, ...plan.kernels.map((k) => k.output)]) {
        requireFitting(name, v);
      }
      for (const { variable, value } of plan.constants) {
        requireFitting(name, variable);
        if (variable.dtype === 'int') requireSmall(name, flatData(value));
      }
      const program = buildProgram(
        { gpu, mode, device, table, kernels },
        isResident(mode) ? keyNumbersInMemory(plan) : plan,
      );
      let ended = false;
      live.count(program.constantCount, program.constantBytes);
      return {
        run: async (inputs, donated) => {
          if (ended) throw new FlatloraError('backend', `${name}: the program was disposed before`);
          requireSignature(name, tape.inputs, inputs);
          const results = await program.run(inputs.map(live.handleOf));
          live.reach(program.intermediateBytes);
          inputs.forEach((x, i) => {
            if (donated[i]) release(x);
          });
          return results.map((memory, i) => hold(tape.outputs[i] as Var, memory));
        },
        describe: () => `${printPlan(plan)}\n\n${program.describe()}`,
        dispose: () => {
          if (ended) return;
          ended = true;
          live.count(-program.constantCount, -program.constantBytes);
          program.dispose();
        },
      };
    },
    dispose: async () => {
      if (disposed) return;
      disposed = true;
      live.arrays().forEach(release);
      live.close();
      device.free(table);
      await device.settle();
      await gpu.destroy();
    },
  };
}

/** Positions in an array are float32 numbers. */
function requireFitting(name: string, like: Aval): void {
  if (floatsOf(like) > LARGEST_INTEGER) {
    throw new FlatloraError(
      'argument',
      `${name}: ${showAval(like)} takes ${floatsOf(like)} floats, more than the 2^24 that kernels can count`,
    );
  }
}

/** What kernels gave, as a host array of the right element type. */
function fromFloats({ shape, dtype }: DeviceArray, data: Float32Array): HostArray {
  if (dtype === 'float') return hostArray(data, shape);
  if (isHalf(dtype)) return hostArray(roundedBits(data, dtype), shape);
  const out = storage(dtype, sizeOf(shape), 32);
  for (let i = 0; i < out.length; i++) {
    out[i] =
      dtype === 'uint'
        ? (data[2 * i] as number) * 65536 + (data[2 * i + 1] as number)
        : (data[i] as number);
  }
  return hostArray(out, shape);
}
