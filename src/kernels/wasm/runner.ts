/** The function `run`, which calls the kernels in order, and the barrier at which threads meet. */
import { kernelCost } from '../plan/cost.js';
import { type Expression, nodesOf } from '../plan/expression.js';
import type { AnyKernel } from '../plan/plan.js';
import type { Code, WasmFunction } from './encoding.js';
import { call, drop, get, i32, repeatWhile, set, when } from './instructions.js';
import { createWriter } from './writer.js';

/** Words of a frame, the block of memory through which a run gets its addresses. */
export const FRAME = {
  /** Threads that have come to the barrier, and how often it has opened. */
  arrivals: 0,
  generation: 1,
  sharedScratch: 2,
  /** Of thread 0; the others' follow, `scratchBytesPerThread` apart. */
  scratch: 3,
  buffers: 8,
} as const;

/**
 * How often a thread looks at the barrier before it goes to sleep: as long as waking takes, and then
 * some. A training step of 600 small kernels on two idle cores takes 13 ms at 4,096, 4.6 at 32,768 and
 * no less above; where another process wants a core too, 9 and 13.
 */
const SPINS = 32_768;

/** Waits until all threads have come: parameters frame, threads. */
export function barrier(): WasmFunction {
  const writer = createWriter(['i32', 'i32']);
  const [frame, threads] = [get(0), get(1)];
  const word = (name: 'arrivals' | 'generation') => 4 * FRAME[name];
  const before = writer.define('i32', i32.atomicLoad(frame, word('generation')));
  const tries = writer.local('i32');
  const isLast = i32.eq(
    i32.add(i32.atomicAdd(frame, i32.const(1), word('arrivals')), i32.const(1)),
    threads,
  );
  const still = i32.eq(i32.atomicLoad(frame, word('generation')), get(before));
  const open = [
    ...i32.atomicStore(frame, i32.const(0), word('arrivals')),
    ...drop(i32.atomicAdd(frame, i32.const(1), word('generation'))),
    ...drop(i32.notify(frame, word('generation'))),
  ];
  const spin = repeatWhile(
    i32.and(still, i32.ltS(get(tries), i32.const(SPINS))),
    set(tries, i32.add(get(tries), i32.const(1))),
  );
  const sleep = repeatWhile(still, drop(i32.wait(frame, get(before), word('generation'))));
  writer.emit(when(isLast, open, [...set(tries, i32.const(0)), ...spin, ...when(still, sleep)]));
  return writer.finish();
}

/** Below this much work (bytes, and eighths of an operation) a kernel is thread 0's alone. */
const SOLO_WORK = 65_536;

const draws = ({ kind }: Expression): boolean => kind === 'randomWord' || kind === 'randomNormal';

/** Whether one thread is sooner done with a kernel than several with waiting for each other. */
export const isSolo = (kernel: AnyKernel): boolean => {
  if ('kind' in kernel || nodesOf(kernel.body).some(draws)) return false;
  const { flops, bytes } = kernelCost(kernel);
  return flops / 8 + bytes < SOLO_WORK;
};

/** A call of a kernel's function. */
export interface Call {
  readonly index: number;
  readonly part: number;
  /** Places in the frame of the buffers' addresses. */
  readonly slots: readonly number[];
  readonly solo: boolean;
}

/**
 * Calls the kernels in order: parameters frame, thread, threads, first, last. All threads wait for
 * each other after a kernel, but not between kernels that are thread 0's alone.
 */
export function runner(
  calls: readonly Call[],
  scratchBytes: number,
  barrierIndex: number | undefined,
): WasmFunction {
  const writer = createWriter(['i32', 'i32', 'i32', 'i32', 'i32']);
  type Five = readonly [Code, Code, Code, Code, Code];
  const [frame, thread, threads, first, last] = [0, 1, 2, 3, 4].map(get) as unknown as Five;
  const word = (index: number): Code => i32.load(frame, 4 * index);
  const scratch = writer.define(
    'i32',
    i32.add(word(FRAME.scratch), i32.mul(thread, i32.const(scratchBytes))),
  );
  const shared = writer.define('i32', word(FRAME.sharedScratch));
  calls.forEach(({ index, part, slots, solo }, i) => {
    const addresses = slots.map((slot) => word(FRAME.buffers + slot));
    const crew = solo ? i32.const(1) : threads;
    const own = [thread, crew, get(scratch), get(shared), i32.const(part)];
    const made = call(index, [...own, ...addresses]);
    const several = i32.gtS(threads, i32.const(1));
    const goesOnAlone = solo && calls[i + 1]?.solo === true;
    const isLast = i32.eq(i32.const(i + 1), last);
    const meet = goesOnAlone ? i32.and(several, isLast) : several;
    const wait = barrierIndex === undefined ? [] : when(meet, call(barrierIndex, [frame, threads]));
    const wanted = i32.and(i32.leS(first, i32.const(i)), i32.ltS(i32.const(i), last));
    writer.emit(when(wanted, [...(solo ? when(i32.eqz(thread), made) : made), ...wait]));
  });
  return writer.finish('run');
}
