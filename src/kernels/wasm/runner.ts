/** The function `run`, which calls the kernels in order. */

import { kernelCost } from '../plan/cost.js';
import { type Expression, nodesOf } from '../plan/expression.js';
import type { AnyKernel } from '../plan/plan.js';
import { BARRIER_INDEX, FRAME } from './barrier.js';
import type { Code, WasmFunction } from './encoding.js';
import { call, get, i32, when } from './instructions.js';
import { createWriter } from './writer.js';

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
  /** Whether threads must wait for each other behind it. */
  readonly meets: boolean;
}

/**
 * Calls the kernels in order: parameters frame, thread, threads, first, last. Threads wait for each other
 * where `meets` says so, and at the end.
 */
export function runner(
  calls: readonly Call[],
  scratchBytes: number,
  meeting: boolean,
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
  calls.forEach(({ index, part, slots, solo, meets }, i) => {
    const addresses = slots.map((slot) => word(FRAME.buffers + slot));
    const crew = solo ? i32.const(1) : threads;
    const own = [thread, crew, get(scratch), get(shared), i32.const(part)];
    const made = call(index, [...own, ...addresses]);
    const several = i32.gtS(threads, i32.const(1));
    const isLast = i32.eq(i32.const(i + 1), last);
    const meet = meets ? several : i32.and(several, isLast);
    const wait = meeting ? when(meet, call(BARRIER_INDEX, [frame, threads])) : [];
    const wanted = i32.and(i32.leS(first, i32.const(i)), i32.ltS(i32.const(i), last));
    writer.emit(when(wanted, [...(solo ? when(i32.eqz(thread), made) : made), ...wait]));
  });
  return writer.finish('run');
}
