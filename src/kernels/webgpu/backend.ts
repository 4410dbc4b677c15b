/**
 * The webgpu backend: kernels in WGSL, written for every program, on the GPU of the browser or of Node
 * (package `webgpu`).
 *
 * Floats are float32, ints and random words 32-bit integers; sums of products are taken in float32.
 * `sin` and `cos` are NaN beyond |x| = 10⁵, `argmax` of an array with NaN is unspecified, numbers
 * below 2⁻¹²⁶ may count as zero. Random words and normal numbers are those of every backend.
 */
import {
  type Aval,
  avalOfHost,
  FlatloraError,
  flatData,
  type HostArray,
  hostArray,
  normalTable,
  showAval,
  sizeOf,
  storage,
  type Tape,
  type Var,
} from '../../autodiff/index.js';
import type { Backend, DeviceArray, Executable } from '../backend.js';
import { liveArrays, requireSignature } from '../liveArrays.js';
import { outputsOf, printPlan } from '../plan/plan.js';
import { kernelTimes } from '../profile.js';
import { type GpuDevice, openDevice } from './device.js';
import { acquireArray, type GpuArray, readArray, writeArray } from './memory.js';
import { pipelineCache } from './pipelines.js';
import { planFor, tileLimits } from './planning.js';
import { bufferPool } from './pool.js';
import { buildProgram, type Machine, toWords } from './program.js';
import type { ChooseTiling } from './steps.js';
import { createTuner, type TuningStore } from './tuning.js';
import { arrayBytes } from './wgsl/bindings.js';

const NAME = 'webgpu';

/** Positions in arrays are 32-bit integers. */
const LARGEST_POSITION = 2 ** 31 - 1;
/** Bytes of buffers that wait for their next use. */
const IDLE_BYTES = 2 ** 30;
/** Programs that may wait in the GPU's queue; then the host waits, too. */
const IN_FLIGHT = 8;

export interface WebgpuOptions {
  /** Most bytes of one binding; longer arrays are held in several buffers. The device's own by default. */
  readonly bindingBytes?: number;
  /** Most invocations of a workgroup; the device's own by default. */
  readonly lanes?: number;
  /**
   * How a product is cut into tiles, of the tilings that the device can run, the most promising first;
   * `undefined` for no tiles. By default what was measured on the device, or the first.
   */
  readonly tiling?: ChooseTiling;
  /**
   * Whether tilings are measured on the device where a product's size makes that worth it; by default on
   * hardware. Another tiling adds terms in another order, so last bits can differ between devices.
   */
  readonly tune?: boolean;
  /** Multiplications from which a product is worth measuring; 2²⁴ by default. */
  readonly tuneFrom?: number;
  /** Keeps what was measured; by default it is measured anew by every backend. */
  readonly tuningStore?: TuningStore;
  /**
   * How tiles of products are held: `float16` rounds operands to 11 bits (values beyond 65,504 become
   * infinite) and halves the traffic; sums stay float32. `float32` by default.
   */
  readonly products?: 'float32' | 'float16';
}

/**
 * A backend on WebGPU.
 * @throws FlatloraError (rejection) when there is no WebGPU; it never falls back to another backend.
 */
export async function webgpuBackend(options: WebgpuOptions = {}): Promise<Backend> {
  const gpu = await openDevice();
  if (options.products === 'float16' && !gpu.features.has('shader-f16')) {
    gpu.destroy();
    throw new FlatloraError(
      'backend',
      `${NAME}: products is float16, but this device has no shader-f16`,
    );
  }
  return backendOn(gpu, options);
}

/** Multiples of 256 bytes, as bindings want it; the table of normals is never cut. */
const wholePieces = (bytes: number): number =>
  Math.max(normalTable.byteLength, Math.floor(bytes / 256) * 256);

function backendOn(gpu: GpuDevice, options: WebgpuOptions): Backend {
  const { device } = gpu;
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const greatest = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const layout = { pieceBytes: wholePieces(Math.min(options.bindingBytes ?? greatest, greatest)) };
  const pool = bufferPool(device, layout.pieceBytes, IDLE_BYTES);
  const live = liveArrays<GpuArray>(NAME);
  const table = acquireArray(pool, normalTable.byteLength, layout);
  writeArray(device, table, normalTable, layout);
  live.count(1, normalTable.byteLength);
  const machine: Machine = { gpu, pool, pipelines: pipelineCache(device), layout, table };
  const precision = options.products === 'float16' ? 'f16' : 'f32';
  const tuner =
    options.tiling === undefined && (options.tune ?? !gpu.software)
      ? createTuner(machine, tileLimits(gpu, options.lanes), precision, {
          store: options.tuningStore,
          worthwhile: options.tuneFrom,
        })
      : undefined;
  const inFlight: Promise<unknown>[] = [];
  let disposed = false;

  const requireReady = () => {
    live.requireOpen();
    gpu.check();
  };
  const release = (array: DeviceArray) => {
    live.forget(array)?.forEach(pool.release);
  };
  /** Waits where the GPU lags behind: its queue would grow without bound. */
  const keepPace = async () => {
    inFlight.push(device.queue.onSubmittedWorkDone());
    if (inFlight.length > IN_FLIGHT) await inFlight.shift();
    gpu.check();
  };

  /** Waits for the device; what it cannot do because it was lost is told as that. */
  const typed = async <T>(work: () => Promise<T>): Promise<T> => {
    gpu.check();
    try {
      // Uploads do not wait: whether there was memory for them is known only now.
      const shortage = pool.grew() ? await pool.shortage() : undefined;
      if (shortage === undefined) return await work();
      throw new FlatloraError(
        'memory',
        `${NAME}: the device is out of memory for an array that was uploaded (${shortage.split('\n')[0]})`,
      );
    } catch (cause) {
      if (cause instanceof FlatloraError) throw cause;
      // The loss is told apart from its consequences, which may come first.
      await new Promise((resolve) => setTimeout(resolve, 0));
      gpu.check();
      throw new FlatloraError('backend', `${NAME}: ${String(cause).split('\n')[0]}`, { cause });
    }
  };

  const compile = async (tape: Tape): Promise<Executable> => {
    requireReady();
    const { plan, steps } = await planFor(tape, gpu, {
      layout,
      lanes: options.lanes,
      precision,
      choose: options.tiling ?? tuner?.choose ?? ((_, [first]) => first),
      prepare: tuner?.prepare ?? (async () => undefined),
    });
    for (const v of [...plan.inputs, ...plan.kernels.flatMap(outputsOf)]) requireFitting(v);
    const program = await typed(() => buildProgram(machine, plan, steps));
    gpu.check();
    live.count(program.constantCount, program.constantBytes);
    let ended = false;
    return {
      run: async (inputs, donated) => {
        if (ended) throw new FlatloraError('backend', `${NAME}: the program was disposed before`);
        requireSignature(NAME, plan.inputs, inputs);
        const handles = inputs.map(live.handleOf);
        const { outputs, consumed, extraBytes } = await typed(() => program.run(handles, donated));
        live.reach(extraBytes);
        inputs.forEach((x, i) => {
          if (consumed.has(i)) live.forget(x);
          else if (donated[i]) release(x);
        });
        const results = outputs.map((array, i) => {
          const v = plan.outputs[i] as Var;
          return live.hold(v, array, arrayBytes(v));
        });
        await keepPace();
        return results;
      },
      ...(gpu.features.has('timestamp-query') && {
        profile: async (inputs: readonly DeviceArray[], repeats = 5) => {
          if (ended) throw new FlatloraError('backend', `${NAME}: the program was disposed before`);
          requireSignature(NAME, plan.inputs, inputs);
          const handles = inputs.map(live.handleOf);
          const times = await typed(() => program.time(handles, repeats));
          gpu.check();
          const [names, costs] = [steps.map((s) => s.name), steps.map((s) => s.cost)];
          return kernelTimes(names, costs, times);
        },
      }),
      describe: () =>
        [
          printPlan(plan),
          ...steps.map(
            ({ name, code }) => `// ${name}, ${code.workgroups} workgroups\n${code.source}`,
          ),
        ].join('\n\n'),
      dispose: () => {
        if (ended) return;
        ended = true;
        live.count(-program.constantCount, -program.constantBytes);
        program.dispose();
      },
    };
  };

  return {
    name: NAME,
    precision: 32,
    compile,
    upload: (host) => {
      requireReady();
      const like = avalOfHost(host);
      requireFitting(like);
      const array = acquireArray(pool, arrayBytes(like), layout);
      writeArray(device, array, toWords(like, flatData(host)), layout);
      return live.hold(like, array, arrayBytes(like));
    },
    download: async (array) => {
      const handle = live.handleOf(array);
      const bytes = await typed(() => readArray(device, handle, arrayBytes(array), layout));
      gpu.check();
      return hostOf(array, bytes);
    },
    release,
    memory: live.memory,
    dispose: async () => {
      if (disposed) return;
      disposed = true;
      live.close();
      // On a lost device there is nothing to wait for.
      await device.queue.onSubmittedWorkDone().catch(() => undefined);
      pool.destroy();
      gpu.destroy();
    },
  };
}

function requireFitting(like: Aval): void {
  if (sizeOf(like.shape) > LARGEST_POSITION) {
    throw new FlatloraError(
      'argument',
      `${NAME}: ${showAval(like)} has ${sizeOf(like.shape)} elements, more than the 2^31 that kernels can count`,
    );
  }
}

/** What lies in memory, as a host array of the right element type. */
function hostOf({ shape, dtype }: Aval, bytes: ArrayBuffer): HostArray {
  const size = sizeOf(shape);
  if (dtype === 'float') return hostArray(new Float32Array(bytes, 0, size), shape);
  const out = storage(dtype, size, 32);
  const words =
    out.BYTES_PER_ELEMENT === 2
      ? new Uint16Array(bytes, 0, size)
      : dtype === 'int'
        ? new Int32Array(bytes, 0, size)
        : new Uint32Array(bytes, 0, size);
  out.set(words);
  return hostArray(out, shape);
}
