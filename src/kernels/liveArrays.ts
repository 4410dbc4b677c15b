/**
 * The account of a backend's arrays: which are alive, how many bytes they take, and the errors for
 * those that were given up before. Every backend keeps one; only what a handle is differs.
 */
import { type Aval, FlatloraError, showAval } from '../autodiff/index.js';
import { type DeviceArray, type MemoryUse, requireOwn } from './backend.js';

export interface LiveArrays<Handle> {
  /** Throws once the account is closed. */
  readonly requireOpen: () => void;
  /** A new array that counts from now on. */
  readonly hold: (like: Aval, handle: Handle, bytes: number) => DeviceArray;
  /** What an array stands for. @throws FlatloraError when it is foreign, released or donated. */
  readonly handleOf: (array: DeviceArray) => Handle;
  /** Stops counting an array: its handle, or `undefined` when that was done before. */
  readonly forget: (array: DeviceArray) => Handle | undefined;
  /** Counts an array again that was forgotten and turned out to be needed. */
  readonly restore: (array: DeviceArray, bytes: number) => void;
  /** Counts memory that is no array of the caller's: constants, tables; negative to take it back. */
  readonly count: (buffers: number, bytes: number) => void;
  /** Notes that for a while `extra` bytes were in use beyond those that are counted. */
  readonly reach: (extra: number) => void;
  readonly arrays: () => readonly DeviceArray[];
  readonly memory: () => MemoryUse;
  /** From now on every use is refused, and nothing is counted. */
  readonly close: () => void;
}

/** @param backend the backend's name, for arrays and errors. */
export function liveArrays<Handle>(backend: string): LiveArrays<Handle> {
  const live = new Map<DeviceArray, number>();
  let buffers = 0;
  let bytes = 0;
  let peakBytes = 0;
  let closed = false;
  const reach = (extra: number) => {
    peakBytes = Math.max(peakBytes, bytes + extra);
  };
  const count = (arrays: number, size: number) => {
    if (closed) return;
    buffers += arrays;
    bytes += size;
    reach(0);
  };
  const requireOpen = () => {
    if (closed) throw new FlatloraError('backend', `${backend}: the backend was disposed before`);
  };
  const restore = (array: DeviceArray, size: number) => {
    live.set(array, size);
    count(1, size);
  };
  return {
    requireOpen,
    hold: ({ shape, dtype }, handle, size) => {
      const array: DeviceArray = { _tag: 'DeviceArray', backend, shape, dtype, handle };
      restore(array, size);
      return array;
    },
    handleOf: (array) => {
      requireOpen();
      if (!live.has(requireOwn(backend, array))) {
        throw new FlatloraError('backend', `${backend}: the array was released or donated before`);
      }
      return array.handle as Handle;
    },
    forget: (array) => {
      const size = live.get(requireOwn(backend, array));
      if (size === undefined) return undefined;
      live.delete(array);
      count(-1, -size);
      return array.handle as Handle;
    },
    restore,
    count,
    reach,
    arrays: () => [...live.keys()],
    memory: () => ({ buffers, bytes, peakBytes }),
    close: () => {
      live.clear();
      closed = true;
      buffers = 0;
      bytes = 0;
    },
  };
}

/** The inputs that a program was compiled for, or a typed error that names the first other one. */
export function requireSignature(
  backend: string,
  expected: readonly Aval[],
  given: readonly DeviceArray[],
): void {
  if (expected.length !== given.length) {
    throw new FlatloraError(
      'argument',
      `${backend}: the program takes ${expected.length} inputs, given ${given.length}`,
    );
  }
  expected.forEach((want, i) => {
    const [wanted, got] = [want, given[i] as Aval].map(showAval);
    if (wanted !== got) {
      throw new FlatloraError('argument', `${backend}: input ${i} is ${got}, expected ${wanted}`);
    }
  });
}
