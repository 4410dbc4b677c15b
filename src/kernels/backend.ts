/**
 * What a backend is: it compiles tapes, holds arrays, and tells how much memory they take. All
 * effects of the library but file access happen behind this interface.
 */
import {
  type Aval,
  FlatloraError,
  flatten,
  type HostArray,
  type MapLeaves,
  type Tape,
  treeLeaves,
  unflatten,
} from '../autodiff/index.js';
import type { KernelTime } from './profile.js';

/** An array on a device. Only its backend knows what `handle` is. */
export interface DeviceArray extends Aval {
  readonly _tag: 'DeviceArray';
  readonly backend: string;
  readonly handle: unknown;
}

/** A compiled tape. */
export interface Executable {
  /**
   * Runs the program once.
   * @param donated inputs that the caller gives away: their memory may be reused, and they must not
   *   be used again.
   * @returns the outputs, which the caller owns.
   */
  readonly run: (
    inputs: readonly DeviceArray[],
    donated: readonly boolean[],
  ) => Promise<readonly DeviceArray[]>;
  /**
   * Runs the program kernel by kernel and tells what each costs, on backends that can; the inputs stay
   * the caller's, the outputs are dropped.
   * @param repeats runs of which the medians are taken, after one that does not count; 5 by default.
   */
  readonly profile?: (
    inputs: readonly DeviceArray[],
    repeats?: number,
  ) => Promise<readonly KernelTime[]>;
  /**
   * Runs the program once in `parts` of about as many kernels each, every one within `turn`, and tells
   * their milliseconds, on backends that can. Programs that take turns part by part suffer alike from
   * whatever else the machine does; whole runs of a second do not. Inputs and outputs as in `profile`.
   */
  readonly runInParts?: (
    inputs: readonly DeviceArray[],
    parts: number,
    turn: <A>(part: () => Promise<A>) => Promise<A>,
  ) => Promise<readonly number[]>;
  /** The program as the backend runs it, for people. */
  readonly describe: () => string;
  /** Frees what the program holds (kernels, constants). */
  readonly dispose: () => void;
}

export interface MemoryUse {
  /** Arrays that are alive on the device: uploads, constants, results not yet released. */
  readonly buffers: number;
  readonly bytes: number;
  /** The largest `bytes` so far, intermediates of running programs included. */
  readonly peakBytes: number;
}

export interface Backend {
  /** `reference`, `gpujs-webasm`, … */
  readonly name: string;
  /** Bits of a float. */
  readonly precision: 32 | 64;
  readonly compile: (tape: Tape) => Promise<Executable>;
  /** Copies a host array to the device. */
  readonly upload: (array: HostArray) => DeviceArray;
  /** Copies a device array to the host, row-major. */
  readonly download: (array: DeviceArray) => Promise<HostArray>;
  /** Frees a device array; using it afterwards is an error. */
  readonly release: (array: DeviceArray) => void;
  readonly memory: () => MemoryUse;
  /** Frees everything; the backend must not be used afterwards. */
  readonly dispose: () => Promise<void>;
}

export const isDeviceArray = (x: unknown): x is DeviceArray =>
  typeof x === 'object' && x !== null && (x as DeviceArray)._tag === 'DeviceArray';

/** A device array of the given backend, or a typed error. */
export function requireOwn(backend: string, array: DeviceArray): DeviceArray {
  if (array.backend !== backend) {
    throw new FlatloraError(
      'backend',
      `${backend}: given an array of backend ${array.backend}; download it first`,
    );
  }
  return array;
}

/** A tree of device arrays as host arrays. */
export async function download<T>(backend: Backend, tree: T): Promise<MapLeaves<T, HostArray>> {
  const { leaves, shape } = flatten<DeviceArray>(tree);
  return unflatten(shape, await Promise.all(leaves.map(backend.download)));
}

/** Frees all device arrays of a tree. */
export const release = (backend: Backend, tree: unknown): void => {
  for (const leaf of treeLeaves(tree)) if (isDeviceArray(leaf)) backend.release(leaf);
};
