/** The programs by which a backend is held to the reference for one primitive. */
import {
  dtypeOfHost,
  type HostArray,
  ints,
  jvp,
  type Tape,
  trace,
  type Value,
  vjp,
} from '../../src/autodiff/index.js';
import { type Case, directionsLike, floatPart, resultsOf } from '../autodiff/laws/case.js';

/** Integers beyond 2²⁴ are refused by float32 kernels; that is tested elsewhere. */
const within24Bits = (x: HostArray): HostArray =>
  dtypeOfHost(x) === 'int'
    ? ints(
        Array.from(x.data, (n) => n % 2 ** 24),
        x.shape,
      )
    : x;

type Lists = readonly Value[];

export interface NamedProgram {
  readonly name: string;
  readonly tape: Tape;
  readonly inputs: readonly HostArray[];
}

/** The programs of a case: the primitive itself, and with float operands its derivatives. */
export function programsOf(given: Case): NamedProgram[] {
  const theCase = { ...given, inputs: given.inputs.map(within24Bits) };
  const { f, inputs, seed } = theCase;
  const forward = {
    name: 'value',
    tape: trace((...xs: Value[]) => f(xs), ...inputs),
    inputs,
  };
  const part = floatPart(theCase);
  const { g, x } = part;
  if (x.length === 0) return [forward];
  const v = directionsLike(x, seed);
  const u = directionsLike(resultsOf(part), seed + 1);
  const pushed = (xs: Lists, vs: Lists) => jvp(g, [xs], [vs]).tangents;
  const pulled = (xs: Lists, us: Lists) => vjp(g, xs).pullback(us)[0];
  return [
    forward,
    { name: 'jvp', tape: trace(pushed, x, v), inputs: [...x, ...v] },
    { name: 'vjp', tape: trace(pulled, x, u), inputs: [...x, ...u] },
  ];
}
