/**
 * After which kernels threads must wait for each other. Two kernels may run at once, a thread being in the
 * one and another already in the next, where neither writes what the other reads or writes: that is decided
 * by addresses, since intermediates take the places of others that are needed no more.
 */
import type { Var } from '../../autodiff/index.js';
import { bytesOf, inPlaceOutputs, placeIntermediates } from '../plan/memory.js';
import { type AnyKernel, outputsOf, type Plan } from '../plan/plan.js';
import { buffersOfKernel } from '../plan/signature.js';

/** Bytes in one of several memories that do not overlap. */
interface Region {
  readonly memory: string;
  readonly from: number;
  readonly to: number;
}

interface Touched {
  readonly reads: readonly Region[];
  readonly writes: readonly Region[];
  /** Thread 0's alone: such kernels follow each other on one thread. */
  readonly solo: boolean;
  /** Whether all threads pack operands into one place. */
  readonly packsTogether: boolean;
}

/** Vectors may reach past the end of an array, into bytes that are kept free. */
const SPARE = 64;

const overlap = (xs: readonly Region[], ys: readonly Region[]): boolean =>
  xs.some((x) => ys.some((y) => x.memory === y.memory && x.from < y.to && y.from < x.to));

const mayMeet = (a: Touched, b: Touched): boolean =>
  (a.solo && b.solo) ||
  !(
    (a.packsTogether && b.packsTogether) ||
    overlap(a.writes, b.reads) ||
    overlap(a.writes, b.writes) ||
    overlap(a.reads, b.writes)
  );

/** Where every buffer of a plan lies; an output that takes an input's place lies where that does. */
function regionsOf(plan: Plan<AnyKernel>): (v: Var) => Region {
  const places = new Map(placeIntermediates(plan).places.map((p) => [p.variable.id, p]));
  const inPlace = new Map(
    inPlaceOutputs(plan).flatMap((input, i) => {
      const [output, from] = [plan.outputs[i], plan.inputs[input ?? -1]];
      return output === undefined || from === undefined ? [] : [[output.id, from.id] as const];
    }),
  );
  return (v) => {
    const place = places.get(v.id);
    const [memory, from] =
      place === undefined
        ? [`b${inPlace.get(v.id) ?? v.id}`, 0]
        : (['intermediates', place.offset] as const);
    return { memory, from, to: from + bytesOf(v) + SPARE };
  };
}

/**
 * For each kernel whether all threads must be done with it before any goes on.
 * @param solo whether a kernel is thread 0's alone
 * @param packsTogether whether it packs operands into memory that threads share
 */
export function meetingsAfter(
  plan: Plan<AnyKernel>,
  solo: (kernel: number) => boolean,
  packsTogether: (kernel: number) => boolean,
): readonly boolean[] {
  const regionOf = regionsOf(plan);
  const touched = plan.kernels.map((kernel, i): Touched => {
    const writes = outputsOf(kernel);
    const written = new Set(writes.map((v) => v.id));
    const reads = buffersOfKernel(kernel).filter((v) => !written.has(v.id));
    return {
      reads: reads.map(regionOf),
      writes: writes.map(regionOf),
      solo: solo(i),
      packsTogether: packsTogether(i),
    };
  });
  const meets = touched.map(() => false);
  /** Kernels that a thread may still be in. */
  let running: Touched[] = [];
  touched.forEach((next, i) => {
    if (!running.every((before) => mayMeet(before, next))) {
      meets[i - 1] = true;
      running = [];
    }
    running.push(next);
  });
  if (meets.length > 0) meets[meets.length - 1] = true;
  return meets;
}
