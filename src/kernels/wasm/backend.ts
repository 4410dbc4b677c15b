/**
 * The wasm backend: a whole tape becomes one WebAssembly module (`program.ts`) that runs on all cores
 * over one shared memory (`runtime/`). Arrays stay in that memory between programs.
 *
 * Floats are float32, integers exact 32-bit words. All arrays together have at most 4 GiB.
 */
import { avalOfHost, flatData, hostArray, normalTable, sizeOf } from '../../autodiff/index.js';
import type { Backend } from '../backend.js';
import { liveArrays } from '../liveArrays.js';
import { bytesOf } from '../plan/memory.js';
import type { AnyKernel, FusedLimits, Plan } from '../plan/plan.js';
import { createExecutable } from './executable.js';
import { buildWasmProgram, type ProgramOptions, type WasmProgram } from './program.js';
import { createQueue } from './runtime/queue.js';
import { outOfMemory } from './runtime/residentProgram.js';
import { setUp, type WasmOptions } from './runtime/setup.js';
import { createWorkspace } from './runtime/workspace.js';

export type { WasmOptions } from './runtime/setup.js';

const NAME = 'wasm';

/** What makes code of plans. Tests bring their own. */
export interface CodeGenerator {
  readonly limits: FusedLimits;
  readonly build: (plan: Plan<AnyKernel>, options: ProgramOptions) => WasmProgram;
}

/** Plans as this backend runs them. */
export const GENERATOR: CodeGenerator = {
  limits: {
    maxReads: 24,
    operandCost: 30,
    fused: new Set(['attention', 'attentionBackward']),
  },
  build: buildWasmProgram,
};

/**
 * A backend on WebAssembly.
 * @throws FlatloraError (rejection) when the engine has no SIMD, or lacks what `options` ask for.
 */
export async function wasmBackend(
  options: WasmOptions = {},
  generator: CodeGenerator = GENERATOR,
): Promise<Backend> {
  const { memory, threads, shared, relaxed } = await setUp(options);
  const live = liveArrays<number>(NAME);
  const queue = createQueue();
  const workspace = createWorkspace(memory);
  let disposed = false;
  const table = memory.allocate(normalTable.byteLength) as number;
  memory.write(table, normalTable, 'float');
  live.count(1, normalTable.byteLength);
  const premises = { memory, workspace, threads };

  return {
    name: NAME,
    precision: 32,
    upload: (array) => {
      live.requireOpen();
      const like = avalOfHost(array);
      const bytes = bytesOf(like);
      const address = memory.allocate(bytes);
      if (address === undefined) throw outOfMemory(memory, `an array [${like.shape}]`, bytes);
      memory.write(address, flatData(array), like.dtype);
      return live.hold(like, address, bytes);
    },
    download: async (array) => {
      const address = live.handleOf(array);
      return hostArray(memory.read(address, sizeOf(array.shape), array.dtype), array.shape);
    },
    release: (array) => {
      const address = live.forget(array);
      // A run that waits for its turn may still read it.
      if (address !== undefined) queue.afterwards(() => memory.free(address));
    },
    memory: live.memory,
    compile: async (tape) => {
      live.requireOpen();
      return createExecutable(tape, generator, {
        ...premises,
        live,
        queue,
        relaxed,
        shared,
        normalTable: table,
      });
    },
    dispose: async () => {
      if (disposed) return;
      disposed = true;
      live.close();
      await queue.settle();
      await threads.stop();
    },
  };
}
