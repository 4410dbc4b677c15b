/**
 * The memory that running programs work in. Runs take turns, so all programs of a backend share one
 * block, as large as the neediest of them asks; it is allocated at the first run. A program that asks
 * for more than there is keeps no other from running: then the block is as large as the runner asks.
 */
import type { WasmMemory } from './memory.js';

export interface Workspace {
  /** A program that needs that many bytes exists from now on. */
  readonly reserve: (bytes: number) => void;
  /** It exists no longer. Not while a program runs. */
  readonly drop: (bytes: number) => void;
  /** Address of a block of at least so many bytes, or `undefined` where there is no room. */
  readonly open: (bytes: number) => number | undefined;
}

export function createWorkspace({ allocate, free }: WasmMemory): Workspace {
  const reserved: number[] = [];
  let block: { readonly address: number; readonly bytes: number } | undefined;
  const needed = () => reserved.reduce((most, bytes) => Math.max(most, bytes), 0);
  const close = () => {
    if (block !== undefined) free(block.address);
    block = undefined;
  };
  return {
    reserve: (bytes) => void reserved.push(bytes),
    drop: (bytes) => {
      reserved.splice(reserved.indexOf(bytes), 1);
      if (block !== undefined && block.bytes > needed()) close();
    },
    open: (bytes) => {
      if (block !== undefined && block.bytes >= bytes) return block.address;
      close();
      for (const size of [Math.max(needed(), bytes), bytes]) {
        const address = allocate(size);
        if (address === undefined) continue;
        block = { address, bytes: size };
        return address;
      }
      return undefined;
    },
  };
}
