/**
 * The memory that running programs work in. Runs take turns, so all programs of a backend share one
 * block, as large as the neediest of them asks; it is allocated at the first run.
 */
import type { WasmMemory } from './memory.js';

export interface Workspace {
  /** A program that needs that many bytes exists from now on. */
  readonly reserve: (bytes: number) => void;
  /** It exists no longer. Not while a program runs. */
  readonly drop: (bytes: number) => void;
  /** The block's address, or `undefined` where there is no room. */
  readonly open: () => number | undefined;
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
    open: () => {
      const bytes = needed();
      if (block !== undefined && block.bytes >= bytes) return block.address;
      close();
      const address = allocate(bytes);
      if (address !== undefined) block = { address, bytes };
      return address;
    },
  };
}
