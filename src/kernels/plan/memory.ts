/**
 * Where a plan's intermediates lie in one block of memory, and which outputs may take the memory of an
 * input that the caller gives away. Both follow from the plan alone and serve any backend.
 */
import { type Aval, isHalf, showAval, sizeOf, type Var } from '../../autodiff/index.js';
import { nodesOf } from './expression.js';
import { joint } from './lower.js';
import { type AnyKernel, outputsOf, type Plan } from './plan.js';
import { positionKey } from './position.js';

/** Bytes of an array as kernels hold it: 2 an element in half precision, else 4. */
export const bytesOf = ({ shape, dtype }: Aval): number => sizeOf(shape) * (isHalf(dtype) ? 2 : 4);

/** Bytes for people: 512 B, 1.5 KB, 2.1 GB. */
export function showBytes(bytes: number): string {
  const unit = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 3);
  const value = bytes / 1000 ** unit;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${['B', 'KB', 'MB', 'GB'][unit]}`;
}

/** The largest buffers of a plan, for errors: `b7 float[4096,4096] 67.1 MB, …`. */
export const largestBuffers = (plan: Plan<AnyKernel>, count = 3): string =>
  [...plan.inputs, ...plan.constants.map((c) => c.variable), ...plan.kernels.flatMap(outputsOf)]
    .sort((a, b) => bytesOf(b) - bytesOf(a))
    .slice(0, count)
    .map((v) => `b${v.id} ${showAval(v)} ${showBytes(bytesOf(v))}`)
    .join(', ');

/** When an intermediate is needed, and where it lies. */
export interface Place {
  readonly variable: Var;
  readonly offset: number;
  readonly bytes: number;
  /** Number of the kernel that writes it, and of the last that reads it. */
  readonly first: number;
  readonly last: number;
}

export interface Placement {
  readonly places: readonly Place[];
  /** Size of the block. */
  readonly arenaBytes: number;
  /** The greatest sum of live intermediates at any kernel: no placement can do with less. */
  readonly lowerBound: number;
}

export interface PlacementOptions {
  /** Offsets are multiples of this; 64 by default. */
  readonly alignment?: number;
  /** Bytes left free behind each array; 64 by default. */
  readonly spare?: number;
}

type Interval = Omit<Place, 'offset'>;

/** The intermediates that a plan writes, each with its life. */
function intervalsOf({ kernels, outputs, dies }: Plan<AnyKernel>): Interval[] {
  const last = new Map<number, number>();
  dies.forEach((gone, i) => {
    for (const v of gone) last.set(v.id, i);
  });
  const kept = new Set(outputs.map((v) => v.id));
  return kernels.flatMap((kernel, first) =>
    outputsOf(kernel)
      .filter((v) => !kept.has(v.id))
      .map((variable) => ({
        variable,
        bytes: bytesOf(variable),
        first,
        last: last.get(variable.id) ?? kernels.length - 1,
      })),
  );
}

/** Places intervals one after another, each into the lowest gap between those that live with it. */
function placeInOrder(
  intervals: readonly Interval[],
  { alignment = 64, spare = 64 }: PlacementOptions,
): { places: Place[]; end: number } {
  const roomFor = (bytes: number) => Math.ceil((bytes + spare) / alignment) * alignment;
  // Sorted by offset, so that one pass sees the gaps.
  const placed: Place[] = [];
  let end = 0;
  for (const interval of intervals) {
    const room = roomFor(interval.bytes);
    let offset = 0;
    for (const other of placed) {
      if (other.last < interval.first || other.first > interval.last) continue;
      if (other.offset >= offset + room) break;
      offset = Math.max(offset, other.offset + roomFor(other.bytes));
    }
    const next = placed.findIndex((p) => p.offset >= offset);
    placed.splice(next < 0 ? placed.length : next, 0, { ...interval, offset });
    end = Math.max(end, offset + room);
  }
  return { places: placed, end };
}

/** Greatest sum of the bytes that are alive at one kernel. */
function greatestSum(intervals: readonly Interval[], kernels: number): number {
  const change = new Float64Array(kernels + 1);
  for (const { first, last, bytes } of intervals) {
    change[first] = (change[first] as number) + bytes;
    change[last + 1] = (change[last + 1] as number) - bytes;
  }
  let [live, most] = [0, 0];
  for (const c of change) {
    live += c;
    most = Math.max(most, live);
  }
  return most;
}

/** A block of at most so many times the lower bound is not worth another try. */
const GOOD_ENOUGH = 1.02;

/**
 * Offsets of the intermediates such that no two that are alive at one kernel overlap. Finding the
 * smallest block is NP-hard; largest first is within a thousandth of
 * the bound for training steps of transformers, and first written first is tried where it is not.
 */
export function placeIntermediates(
  plan: Plan<AnyKernel>,
  options: PlacementOptions = {},
): Placement {
  const intervals = intervalsOf(plan);
  const lowerBound = greatestSum(intervals, plan.kernels.length);
  const bySize = [...intervals].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const largestFirst = placeInOrder(bySize, options);
  const best =
    largestFirst.end <= GOOD_ENOUGH * lowerBound
      ? largestFirst
      : [largestFirst, placeInOrder(intervals, options)].reduce((a, b) => (b.end < a.end ? b : a));
  return { places: best.places, arenaBytes: best.end, lowerBound };
}

/**
 * Whether a kernel may write over an input: it does not read it, or each of its elements needs the
 * input's element at its own position only. Of a kernel with a loop inside the latter is not
 * believed: a backend may keep partial sums in the output while it still needs the input.
 */
function mayOverwrite(kernel: AnyKernel, input: Var): boolean {
  if (kernel.reads.every((v) => v.id !== input.id)) return true;
  if ('kind' in kernel) return false;
  const { output, body, axes } = kernel;
  if (isHalf(input.dtype) !== isHalf(output.dtype)) return false;
  const own = positionKey(joint(axes));
  return nodesOf(body).every(
    (e) =>
      e.kind !== 'fold' &&
      !(e.kind === 'gather' && e.buffer.id === input.id) &&
      !(e.kind === 'load' && e.buffer.id === input.id && positionKey(e.at) !== own),
  );
}

/**
 * For each output the number of an input whose memory it may take when that input is given away: of
 * the same size, read by no later kernel, read by the output's own kernel at the element's own
 * position only, and taken by no other output.
 */
export function inPlaceOutputs(plan: Plan<AnyKernel>): readonly (number | undefined)[] {
  const { kernels, inputs, outputs } = plan;
  const lastRead = new Map<number, number>();
  kernels.forEach(({ reads }, i) => {
    for (const v of reads) lastRead.set(v.id, i);
  });
  const writer = new Map(kernels.flatMap((k, i) => outputsOf(k).map((v) => [v.id, i])));
  const taken = new Set<number>();
  const take = (output: Var, suits: (kernel: AnyKernel, input: Var) => boolean) => {
    const at = writer.get(output.id);
    if (at === undefined) return undefined;
    const kernel = kernels[at] as AnyKernel;
    // A constant that is a result may be there before its kernel's turn.
    if (kernel.reads.some((v) => v.id === output.id)) return undefined;
    const found = inputs.findIndex(
      (input, i) =>
        !taken.has(i) &&
        bytesOf(input) === bytesOf(output) &&
        (lastRead.get(input.id) ?? -1) <= at &&
        suits(kernel, input) &&
        mayOverwrite(kernel, input),
    );
    if (found < 0) return undefined;
    taken.add(found);
    return found;
  };
  // First those that a kernel reads, whose memory is in the cache, then whatever is left.
  const own = outputs.map((v) =>
    take(v, ({ reads }, input) => reads.some((r) => r.id === input.id)),
  );
  return outputs.map((v, i) => own[i] ?? take(v, () => true));
}
