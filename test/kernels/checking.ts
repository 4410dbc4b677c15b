/** Running a program on a backend and holding it to the reference; for Node and browsers. */
import {
  dtypeOfHost,
  flatData,
  type HostArray,
  hostArray,
  type Tape,
} from '../../src/autodiff/index.js';
import { type Backend, inlineTape } from '../../src/kernels/index.js';
import { interpret } from '../../src/kernels/reference/backend.js';

/** Greatest difference from the reference, relative to max(1, |reference|). */
export const TOLERANCE = 2e-5;

/** Floats as the backend will hold them, so that rounding the operands is not counted as an error. */
export function rounded(x: HostArray): HostArray {
  return dtypeOfHost(x) === 'float'
    ? hostArray(Float64Array.from(flatData(x), Math.fround), x.shape)
    : x;
}

/** What a tape gives on the reference. */
export const expected = (tape: Tape, inputs: readonly HostArray[]): readonly HostArray[] =>
  interpret(inlineTape(tape), inputs);

/** Runs a tape once on a backend; everything that it held is freed again. */
export async function runTape(
  backend: Backend,
  tape: Tape,
  inputs: readonly HostArray[],
): Promise<readonly HostArray[]> {
  const executable = await backend.compile(tape);
  const uploaded = inputs.map(backend.upload);
  const results = await executable.run(
    uploaded,
    inputs.map(() => true),
  );
  const onHost = await Promise.all(results.map(backend.download));
  results.forEach(backend.release);
  executable.dispose();
  return onHost;
}

/** max |a − b| / max(1, |b|); NaN and ±∞ must be matched exactly. */
export function errorTo(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const error = Math.abs(x - y) / Math.max(1, Math.abs(y));
    worst = Number.isFinite(y) ? Math.max(worst, Number.isNaN(error) ? Infinity : error) : Infinity;
  }
  return worst;
}

/**
 * Throws where a backend's results differ from the reference's: shape and dtype, integers and
 * booleans in any element, floats by more than the tolerance.
 */
export function requireEqual(
  got: readonly HostArray[],
  want: readonly HostArray[],
  note: string,
  tolerance = TOLERANCE,
): number {
  let worst = 0;
  if (got.length !== want.length)
    throw new Error(`${got.length} results of ${want.length}: ${note}`);
  want.forEach((w, i) => {
    const g = got[i] as HostArray;
    const kind = (x: HostArray) => `${dtypeOfHost(x)}[${x.shape.join(',')}]`;
    if (kind(g) !== kind(w)) throw new Error(`${kind(g)}, expected ${kind(w)}: ${note}`);
    const error = errorTo(flatData(g), flatData(w));
    const allowed = dtypeOfHost(w) === 'float' ? tolerance : 0;
    if (!(error <= allowed)) {
      const show = (x: HostArray) => `[${Array.from(flatData(x)).slice(0, 40).join(', ')}]`;
      throw new Error(`result ${i} off by ${error}: ${note}\n  ${show(g)}\n  ${show(w)}`);
    }
    worst = Math.max(worst, error);
  });
  return worst;
}

/** Runs a tape on a backend and holds it to the reference; the greatest error. */
export async function checkTape(
  backend: Backend,
  tape: Tape,
  inputs: readonly HostArray[],
  note: string,
  tolerance = TOLERANCE,
): Promise<number> {
  const exact = inputs.map(rounded);
  const got = await runTape(backend, tape, exact);
  return requireEqual(got, expected(tape, exact), note, tolerance);
}
