/** Hand-made programs for tests of what runs programs: each step shows something of the runtime. */
import type { Var } from '../../../src/autodiff/index.js';
import type { AnyKernel, Plan } from '../../../src/kernels/plan/plan.js';
import type { CodeGenerator } from '../../../src/kernels/wasm/backend.js';
import { BARRIER_INDEX, barrierFunctions, FRAME } from '../../../src/kernels/wasm/barrier.js';
import { type Code, encodeModule, type WasmFunction } from '../../../src/kernels/wasm/encoding.js';
import {
  call,
  drop,
  get,
  i32,
  repeatWhile,
  set,
  when,
} from '../../../src/kernels/wasm/instructions.js';

/** Locals of `run`. */
const [frame, thread, threads, first, last] = [0, 1, 2, 3, 4].map(get) as [
  Code,
  Code,
  Code,
  Code,
  Code,
];
const STEP = 5;

/** What each thread does in each step, as code over the names above. */
export interface Stub {
  readonly frame: Code;
  readonly thread: Code;
  readonly threads: Code;
  readonly step: Code;
  /** The word at an index of the buffer at a slot, and adding to it for all threads to see. */
  readonly word: (slot: number, index: Code) => Code;
  readonly increase: (slot: number, index: Code, by: number) => Code;
  readonly store: (slot: number, index: Code, value: Code) => Code;
}

const addressOf = (slot: number, index: Code): Code =>
  i32.add(i32.load(frame, 4 * (FRAME.buffers + slot)), i32.mul(index, i32.const(4)));

const STUB: Stub = {
  frame,
  thread,
  threads,
  step: get(STEP),
  word: (slot, index) => i32.atomicLoad(addressOf(slot, index), 0),
  increase: (slot, index, by) => drop(i32.atomicAdd(addressOf(slot, index), i32.const(by), 0)),
  store: (slot, index, value) => i32.store(addressOf(slot, index), value),
};

export const TRAP: Code = [0x00];

/**
 * A generator whose programs do the same `body` in each of `steps` steps, with a barrier after each at
 * which threads go to sleep at once.
 */
export function stubGenerator(
  steps: number,
  body: (stub: Stub) => Code,
  scratch: { readonly perThread?: number; readonly shared?: number } = {},
): CodeGenerator {
  return {
    limits: { maxReads: 24, fused: new Set() },
    build: (plan: Plan<AnyKernel>, { shared }) => {
      const run: WasmFunction = {
        params: ['i32', 'i32', 'i32', 'i32', 'i32'],
        locals: ['i32'],
        body: [
          ...set(STEP, first),
          ...when(
            i32.ltS(first, last),
            repeatWhile(i32.ltS(get(STEP), last), [
              ...body(STUB),
              ...(shared ? call(BARRIER_INDEX, [frame, threads]) : []),
              ...set(STEP, i32.add(get(STEP), i32.const(1))),
            ]),
          ),
        ],
        exportAs: 'run',
      };
      const buffers = new Map<number, Var>();
      for (const v of [...plan.inputs, ...plan.outputs]) buffers.set(v.id, v);
      return {
        bytes: encodeModule(shared ? [...barrierFunctions(0), run] : [run], shared),
        buffers: [...buffers.values()],
        scratchBytesPerThread: scratch.perThread ?? 0,
        sharedScratchBytes: scratch.shared ?? 0,
        kernelNames: Array.from({ length: steps }, (_, i) => `b${i}`),
      };
    },
  };
}
