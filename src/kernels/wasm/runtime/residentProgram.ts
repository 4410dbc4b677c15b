/**
 * A program in memory: its constants, the places of its intermediates, and its frame, the list of
 * addresses by which its code finds all of them.
 */
import { FlatloraError, flatData, type Var } from '../../../autodiff/index.js';
import { bytesOf, largestBuffers, placeIntermediates, showBytes } from '../../plan/memory.js';
import type { AnyKernel, Plan } from '../../plan/plan.js';
import { FRAME } from '../barrier.js';
import type { WasmProgram } from '../program.js';
import { align } from './allocator.js';
import type { WasmMemory } from './memory.js';
import type { Threads } from './threads.js';
import type { Workspace } from './workspace.js';

/** What the programs of a backend share. */
export interface Premises {
  readonly memory: WasmMemory;
  readonly workspace: Workspace;
  readonly threads: Threads;
}

export interface ResidentProgram {
  /**
   * Makes ready for one run on arrays at these addresses.
   * @throws FlatloraError of kind `memory` when the intermediates find no room.
   */
  readonly prepare: (inputs: readonly number[], outputs: readonly number[]) => void;
  /** Runs kernels first ≤ i < last, by default all. */
  readonly run: (first?: number, last?: number) => Promise<void>;
  /** Runs it kernel by kernel: the milliseconds of each. */
  readonly time: () => Promise<readonly number[]>;
  /** Gives its memory back; not while it runs. */
  readonly dispose: () => void;
  readonly constantCount: number;
  readonly constantBytes: number;
  /** Bytes of intermediates and scratch while it runs. */
  readonly workspaceBytes: number;
}

/** The error for a memory that is full. */
export const outOfMemory = (
  memory: WasmMemory,
  what: string,
  bytes: number,
  plan?: Plan<AnyKernel>,
) =>
  new FlatloraError(
    'memory',
    `wasm: out of memory: no room for ${what} of ${showBytes(bytes)}, ${showBytes(memory.usedBytes())} of the ${showBytes(memory.limitBytes)} that WebAssembly's 32-bit addresses reach are taken (Node 20 has no 64-bit memories)${plan === undefined ? '' : `; the program's largest buffers: ${largestBuffers(plan)}`}`,
  );

/** @throws FlatloraError of kind `memory` when constants find no room. */
export function residentProgram(
  { memory, workspace, threads }: Premises,
  plan: Plan<AnyKernel>,
  program: WasmProgram,
  module: WebAssembly.Module,
): ResidentProgram {
  const owned: number[] = [];
  const own = (bytes: number, what: string): number => {
    const address = memory.allocate(bytes);
    if (address === undefined) {
      owned.forEach(memory.free);
      throw outOfMemory(memory, what, bytes, plan);
    }
    owned.push(address);
    return address;
  };

  const slots = new Map(program.buffers.map((v, i) => [v.id, FRAME.buffers + i]));
  const frameWords = FRAME.buffers + program.buffers.length;
  const frame = own(4 * frameWords, 'the frame');
  const frameView = () => memory.words(frame, frameWords);
  const point = (words: Int32Array, { id }: Var, address: number): void => {
    const slot = slots.get(id);
    if (slot !== undefined) words[slot] = address;
  };
  frameView().fill(0);
  // A constant that is a result needs no memory of its own: each run writes it where it goes.
  const results = new Map(plan.outputs.map((v, i) => [v.id, i]));
  const constants = plan.constants.filter((c) => !results.has(c.variable.id));
  const constantResults = plan.constants.filter((c) => results.has(c.variable.id));
  for (const { variable, value } of constants) {
    const address = own(bytesOf(variable), `constant b${variable.id}`);
    memory.write(address, flatData(value), variable.dtype);
    point(frameView(), variable, address);
  }

  const { places, arenaBytes } = placeIntermediates(plan);
  const arena = align(arenaBytes);
  const sharedScratch = align(program.sharedScratchBytes);
  const workspaceBytes = arena + sharedScratch + threads.count * program.scratchBytesPerThread;
  workspace.reserve(workspaceBytes);
  let base: number | undefined;

  const job = { module, frame, first: 0, last: program.kernelNames.length };
  return {
    prepare: (inputs, outputs) => {
      const block = workspace.open(workspaceBytes);
      if (block === undefined) {
        throw outOfMemory(memory, 'intermediates', workspaceBytes, plan);
      }
      const words = frameView();
      // A program that failed may have left threads counted in.
      words[FRAME.arrivals] = 0;
      if (block !== base) {
        base = block;
        words[FRAME.sharedScratch] = block + arena;
        words[FRAME.scratch] = block + arena + sharedScratch;
        for (const { variable, offset } of places) point(words, variable, block + offset);
      }
      plan.inputs.forEach((v, i) => {
        point(words, v, inputs[i] as number);
      });
      plan.outputs.forEach((v, i) => {
        point(words, v, outputs[i] as number);
      });
      for (const { variable, value } of constantResults) {
        const address = outputs[results.get(variable.id) as number] as number;
        memory.write(address, flatData(value), variable.dtype);
      }
    },
    run: (first = job.first, last = job.last) => threads.run({ ...job, first, last }),
    time: () => threads.time(job),
    dispose: () => {
      threads.forget(module);
      owned.forEach(memory.free);
      workspace.drop(workspaceBytes);
    },
    constantCount: constants.length,
    constantBytes: constants.reduce((n, c) => n + bytesOf(c.variable), 0),
    workspaceBytes,
  };
}
