/**
 * The barrier at which the threads of a program meet, and the frame through which they find it.
 */
import type { WasmFunction } from './encoding.js';
import { call, drop, get, i32, repeatWhile, set, when } from './instructions.js';
import { createWriter } from './writer.js';

/** Words of a frame, the block of memory through which a run gets its addresses. */
export const FRAME = {
  /** How often threads have come to a barrier in this run. */
  arrivals: 0,
  sharedScratch: 1,
  /** Of thread 0; the others' follow, `scratchBytesPerThread` apart. */
  scratch: 2,
  buffers: 8,
} as const;

/**
 * How often a thread looks at the barrier before it goes to sleep: as long as waking takes, and then
 * some. A training step of 600 small kernels on two idle cores takes 13 ms at 4,096, 4.6 at 32,768 and
 * no less above; where another process wants a core too, 9 and 13.
 */
const SPINS = 32_768;

/**
 * Sleeps while `arrivals` is as it was seen: parameters frame, seen. A function of its own, because V8
 * 11.3 (Node 20) now and then spoils the locals of a function across this instruction before it has
 * optimised it, which let a thread through too early. Here nothing is used after it.
 */
function sleepFunction(): WasmFunction {
  const writer = createWriter(['i32', 'i32']);
  writer.emit(drop(i32.wait(get(0), get(1), 4 * FRAME.arrivals)));
  return writer.finish();
}

/**
 * Waits until all threads have come: parameters frame, threads. Arrivals are only ever counted up, so
 * the number that a thread draws on arrival tells for which count it waits, however late it looks.
 */
function waitFunction(sleepIndex: number, spins: number): WasmFunction {
  const writer = createWriter(['i32', 'i32']);
  const [frame, threads] = [get(0), get(1)];
  const tries = writer.local('i32');
  const seen = writer.local('i32');
  const arrivals = 4 * FRAME.arrivals;
  const ticket = writer.define('i32', i32.atomicAdd(frame, i32.const(1), arrivals));
  const round = i32.sub(get(ticket), i32.remU(get(ticket), threads));
  const awaited = writer.define('i32', i32.add(round, threads));
  const look = set(seen, i32.atomicLoad(frame, arrivals));
  const early = i32.ltS(get(seen), get(awaited));
  const isLast = i32.eq(i32.add(get(ticket), i32.const(1)), get(awaited));
  const spin = repeatWhile(i32.and(early, i32.ltS(get(tries), i32.const(spins))), [
    ...set(tries, i32.add(get(tries), i32.const(1))),
    ...look,
  ]);
  const sleep = repeatWhile(early, [...call(sleepIndex, [frame, get(seen)]), ...look]);
  writer.emit(
    when(isLast, drop(i32.notify(frame, arrivals)), [
      ...set(tries, i32.const(0)),
      ...spin,
      ...when(early, sleep),
    ]),
  );
  return writer.finish();
}

/** Index in `barrierFunctions` of the barrier itself. */
export const BARRIER_INDEX = 1;

/** The first functions of a module whose threads meet, `BARRIER_INDEX` the one to call. */
export const barrierFunctions = (spins = SPINS): readonly WasmFunction[] => [
  sleepFunction(),
  waitFunction(0, spins),
];
