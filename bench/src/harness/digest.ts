/** Comparing results: what is kept of an array, and when two engines agree. */
import type { Digest, Digests } from './job.js';

/** Elements that are compared one by one. */
const SAMPLES = 16;

/** Root mean square and evenly spread elements of an array. */
export function digest(data: ArrayLike<number>): Digest {
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += (data[i] as number) ** 2;
  const count = Math.min(SAMPLES, data.length);
  const samples = Array.from(
    { length: count },
    (_, i) => data[Math.floor((i * data.length) / count)] as number,
  );
  return { rms: Math.sqrt(sum / Math.max(1, data.length)), samples };
}

export const digestAll = (arrays: Readonly<Record<string, ArrayLike<number>>>): Digests =>
  Object.fromEntries(Object.entries(arrays).map(([name, data]) => [name, digest(data)]));

/**
 * The greatest difference between two engines' results, as a share of the root mean square of the
 * array in which it was found; infinite where one of them lacks a result or has a NaN.
 */
export function worstDifference(
  ours: Digests,
  theirs: Digests,
): { readonly name: string; readonly difference: number } {
  return Object.entries(ours).reduce(
    (worst, [name, expected]) => {
      const difference = differenceOf(expected, theirs[name]);
      return difference > worst.difference ? { name, difference } : worst;
    },
    { name: '', difference: 0 },
  );
}

function differenceOf(expected: Digest, given: Digest | undefined): number {
  if (given === undefined || given.samples.length !== expected.samples.length) return Infinity;
  const scale = Math.max(expected.rms, Number.MIN_VALUE);
  const theirs = [given.rms, ...given.samples];
  const worst = [expected.rms, ...expected.samples].reduce(
    (most, x, i) => Math.max(most, Math.abs(number(x) - number(theirs[i])) / scale),
    0,
  );
  return Number.isNaN(worst) ? Infinity : worst;
}

/** JSON writes NaN and infinities as null; whoever has one agrees with nobody. */
const number = (x: number | null | undefined): number => x ?? Number.NaN;
