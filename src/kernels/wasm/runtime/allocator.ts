/**
 * A best-fit allocator over plain addresses: which parts of one memory are free. Neighbouring free
 * parts are joined, and the memory is asked to grow only when no part is large enough.
 */

/** Addresses and sizes are multiples of this: the longest vector that kernels load, and a cache line. */
export const ALIGNMENT = 64;

export const align = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

export interface Allocator {
  /** The address of `bytes` fresh bytes, or `undefined` where the memory can grow no further. */
  readonly allocate: (bytes: number) => number | undefined;
  /** Gives back what `allocate` gave. */
  readonly free: (address: number) => void;
  /** Bytes that are allocated now. */
  readonly usedBytes: () => number;
}

interface Part {
  readonly address: number;
  readonly size: number;
}

/** The number of free parts that begin below an address. */
function partsBelow(parts: readonly Part[], address: number): number {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle] as Part).address < address) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Adds a free part to a list that is sorted by address, and joins it with its neighbours. */
function insert(parts: Part[], { address, size }: Part): void {
  const at = partsBelow(parts, address);
  const before = parts[at - 1];
  const after = parts[at];
  const joinsBefore = before !== undefined && before.address + before.size === address;
  const joinsAfter = after !== undefined && address + size === after.address;
  const start = joinsBefore ? before.address : address;
  const end = joinsAfter ? after.address + after.size : address + size;
  parts.splice(at - Number(joinsBefore), Number(joinsBefore) + Number(joinsAfter), {
    address: start,
    size: end - start,
  });
}

/**
 * @param start first address that may be handed out; a multiple of 64.
 * @param growTo makes the memory end at that address or later and returns its new end, or `undefined`
 *   when it cannot.
 */
export function createAllocator(
  start: number,
  growTo: (end: number) => number | undefined,
): Allocator {
  const free: Part[] = [];
  const taken = new Map<number, number>();
  let end = start;
  let used = 0;

  /** The index of the smallest free part that is large enough. */
  const bestFit = (size: number): number => {
    let best = -1;
    free.forEach((part, i) => {
      if (part.size >= size && (best < 0 || part.size < (free[best] as Part).size)) best = i;
    });
    return best;
  };

  const grow = (size: number): boolean => {
    const last = free.at(-1);
    const atEnd = last !== undefined && last.address + last.size === end ? last.size : 0;
    const newEnd = growTo(end + size - atEnd);
    if (newEnd === undefined) return false;
    insert(free, { address: end, size: newEnd - end });
    end = newEnd;
    return true;
  };

  return {
    allocate: (bytes) => {
      const size = Math.max(align(bytes), ALIGNMENT);
      let at = bestFit(size);
      if (at < 0) {
        if (!grow(size)) return undefined;
        at = free.length - 1;
      }
      const { address, size: available } = free[at] as Part;
      const rest = { address: address + size, size: available - size };
      free.splice(at, 1, ...(rest.size > 0 ? [rest] : []));
      taken.set(address, size);
      used += size;
      return address;
    },
    free: (address) => {
      const size = taken.get(address);
      if (size === undefined) throw new Error(`allocator: nothing is allocated at ${address}`);
      taken.delete(address);
      used -= size;
      insert(free, { address, size });
    },
    usedBytes: () => used,
  };
}
