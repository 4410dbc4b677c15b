/** Numeric helpers of the tests: running functions on the reference, comparing, differencing. */
import {
  flatData,
  floats,
  type HostArray,
  hostArray,
  type Traceable,
  trace,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import { inlineTape } from '../../src/kernels/inline.js';
import { interpret } from '../../src/kernels/reference/backend.js';

/** A function traced once at the shapes of `examples`, to be run on the reference many times. */
export function traced(f: Traceable, ...examples: unknown[]): (...args: unknown[]) => HostArray[] {
  const tape = inlineTape(trace(f, ...examples));
  return (...args) => [...interpret(tape, treeLeaves<HostArray>(args))];
}

/** Runs a traced function on the reference, synchronously; the outputs' leaves. */
export const run = (f: Traceable, ...args: unknown[]): HostArray[] => traced(f, ...args)(...args);

/** The only output as numbers. */
export const numbers = (f: Traceable, ...args: unknown[]): number[] =>
  Array.from(flatData(run(f, ...args)[0] as HostArray));

export const toNumbers = (x: HostArray): number[] => Array.from(flatData(x));

/** max |a − b| / max(1, |a|, |b|) over all elements. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (Object.is(x, y) || x === y) continue;
    const error = Math.abs(x - y) / Math.max(1, Math.abs(x), Math.abs(y));
    worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
  }
  return worst;
}

/** x + h·v, elementwise on the host. */
export const moved = (x: HostArray, v: HostArray, h: number): HostArray => {
  const [a, b] = [flatData(x), flatData(v)];
  return floats(
    Array.from(a, (value, i) => value + h * (b[i] as number)),
    x.shape,
  );
};

/** Σ x·y over two host arrays. */
export const inner = (x: HostArray, y: HostArray): number => {
  const [a, b] = [toNumbers(x), toNumbers(y)];
  return a.reduce((sum: number, value: number, i: number) => sum + value * (b[i] as number), 0);
};

/** Central difference of a scalar function of a step length, with one Richardson step. */
export function derivativeAtZero(f: (h: number) => number, step = 1e-3): number {
  const central = (h: number) => (f(h) - f(-h)) / (2 * h);
  return (4 * central(step / 2) - central(step)) / 3;
}

export type Scalar = (...xs: Value[]) => Value;

export { floats, hostArray };
