/**
 * The one WebAssembly memory of a backend, in which all of its arrays live, and who has which part of
 * it. It grows as needed up to the 4 GiB that 32-bit addresses reach.
 */
import { type DType, FlatloraError, type HostData, storage } from '../../../autodiff/index.js';
import { ALIGNMENT, createAllocator } from './allocator.js';

const PAGE = 65536;
const GIBIBYTE = 2 ** 30;
/** Kernels may read this far beyond the end of an array, with whole vectors. */
const SPARE = 64;
/** The memory grows by at least this share of what it has, since growing is slow. */
const GROWTH = 1 / 8;

export interface WasmMemory {
  readonly memory: WebAssembly.Memory;
  /** Address of `bytes` bytes with spare ones behind, or `undefined` where there is no room. */
  readonly allocate: (bytes: number) => number | undefined;
  readonly free: (address: number) => void;
  /** Bytes taken, spare ones included. */
  readonly usedBytes: () => number;
  /** The most that it can hold. */
  readonly limitBytes: number;
  /** 32-bit words from an address on. */
  readonly words: (address: number, count: number) => Int32Array;
  /** Copies an array to an address. */
  readonly write: (address: number, data: HostData, dtype: DType) => void;
  /** Copies `size` elements from an address. */
  readonly read: (address: number, size: number, dtype: DType) => HostData;
}

/** The largest memory that the engine grants: phones reserve less address space. */
function makeMemory(shared: boolean): { memory: WebAssembly.Memory; limit: number } {
  for (const maximum of [4, 2, 1].map((n) => (n * GIBIBYTE) / PAGE)) {
    try {
      const memory = new WebAssembly.Memory({ initial: 16, maximum, shared });
      return { memory, limit: maximum * PAGE };
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
    }
  }
  throw new FlatloraError('memory', 'wasm: the engine grants no memory of 1 GiB');
}

/** The bytes of an array's data as kernels read them: booleans are whole words. */
const VIEWS = {
  float: Float32Array,
  int: Int32Array,
  uint: Uint32Array,
  bool: Int32Array,
  bfloat16: Uint16Array,
  float16: Uint16Array,
} as const;

/** @param shared whether several threads use it. */
export function createMemory(shared: boolean): WasmMemory {
  const { memory, limit } = makeMemory(shared);
  let pages = 16;
  const growTo = (end: number): number | undefined => {
    const needed = Math.ceil(end / PAGE) - pages;
    const generous = Math.min(Math.max(needed, Math.ceil(pages * GROWTH)), limit / PAGE - pages);
    for (const more of [generous, needed]) {
      if (more < needed) continue;
      try {
        memory.grow(more);
        pages += more;
        return heapEnd();
      } catch {
        // A smaller step may still do.
      }
    }
    return undefined;
  };
  // The memory's last bytes stay free, so that the last array has spare bytes too.
  const heapEnd = () => pages * PAGE - ALIGNMENT;
  // Address 0 is nobody's.
  const allocator = createAllocator(ALIGNMENT, (end) => growTo(end + ALIGNMENT));
  const view = (address: number, size: number, dtype: DType) =>
    new VIEWS[dtype](memory.buffer, address, size);
  return {
    memory,
    allocate: (bytes) => allocator.allocate(bytes + SPARE),
    free: allocator.free,
    usedBytes: allocator.usedBytes,
    limitBytes: limit,
    words: (address, count) => new Int32Array(memory.buffer, address, count),
    write: (address, data, dtype) => view(address, data.length, dtype).set(data),
    // A copy in memory of its own, which nobody shares.
    read: (address, size, dtype) => {
      const copy = storage(dtype, size, 32);
      copy.set(view(address, size, dtype));
      return copy;
    },
  };
}
