/**
 * The laws of derivatives, each as a function that throws where a case breaks it.
 *
 * Differences are central, in float64, with one Richardson step (error O(h⁴)); they are compared to
 * 1e-6 relative to max(1, |a|, |b|). What the engine computes in two ways agrees to 1e-12.
 */
import {
  add,
  grad,
  type HostArray,
  hvp,
  innerProduct,
  jvp,
  mul,
  reduceSum,
  square,
  type Value,
  vjp,
} from '../../../src/autodiff/index.js';
import { generator, integerBetween } from '../../support/draw.js';
import { floats, moved, relativeError, traced } from '../../support/numeric.js';
import { type Case, directionsLike, flat, floatPart, resultsOf } from './case.js';

const DIFFERENCES = 1e-6;
const EXACT = 1e-12;

type Lists = readonly Value[];

/** Fails with the two sides in full, so that a shrunk counterexample can be read. */
function agree(law: string, note: string, a: number[], b: number[], tolerance: number): void {
  const error = relativeError(a, b);
  if (!(error <= tolerance)) {
    throw new Error(`${law}: error ${error} for ${note}\n  [${a.join(', ')}]\n  [${b.join(', ')}]`);
  }
}

const dotOf = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const absoluteDotOf = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, x, i) => sum + Math.abs(x * (b[i] as number)), 0);

/** d/dt f(x + t·v) at 0 by differences, for a function of lists of arrays. */
function difference(
  f: (xs: readonly HostArray[]) => number[],
  x: readonly HostArray[],
  v: readonly HostArray[],
  step = 2e-3,
): number[] {
  const central = (h: number) => {
    const at = (t: number) => f(x.map((xi, i) => moved(xi, v[i] as HostArray, t)));
    const [ahead, behind] = [at(h), at(-h)];
    return ahead.map((a, i) => (a - (behind[i] as number)) / (2 * h));
  };
  const [wide, narrow] = [central(step), central(step / 2)];
  return narrow.map((d, i) => (4 * d - (wide[i] as number)) / 3);
}

/** Ones at one random element of all arrays together. */
function unitDirection(xs: readonly HostArray[], seed: number): HostArray[] {
  const size = flat(xs).length;
  let position = integerBetween(generator(seed), 0, Math.max(0, size - 1));
  return xs.map((x) => {
    const v = floats(new Float64Array(x.size), x.shape);
    if (position >= 0 && position < x.size) v.data[position] = 1;
    position -= x.size;
    return v;
  });
}

/** J·v and vᵀ·J against differences and against each other. */
export function firstOrderLaws(theCase: Case): void {
  const { note, seed } = theCase;
  const part = floatPart(theCase);
  const { g, x } = part;
  const v = directionsLike(x, seed);
  const u = directionsLike(resultsOf(part), seed + 1);
  const evaluate = traced(g, x);
  const forward = traced((xs: Lists, vs: Lists) => jvp(g, [xs], [vs]).tangents, x, v)(x, v);
  const backward = traced((xs: Lists, us: Lists) => vjp(g, xs).pullback(us)[0], x, u)(x, u);

  const jv = flat(forward);
  agree(
    'jvp = differences',
    note,
    jv,
    difference((y) => flat(evaluate(y)), x, v),
    DIFFERENCES,
  );

  const utJ = flat(backward);
  const e = unitDirection(x, seed + 2);
  for (const w of [v, e]) {
    const along = difference((y) => [dotOf(flat(u), flat(evaluate(y)))], x, w);
    agree('vjp = differences', note, [dotOf(utJ, flat(w))], along, DIFFERENCES);
  }
  const scale = Math.max(1, absoluteDotOf(flat(u), jv), absoluteDotOf(utJ, flat(v)));
  const [left, right] = [dotOf(flat(u), jv) / scale, dotOf(utJ, flat(v)) / scale];
  agree('<u, Jv> = <Jᵀu, v>', note, [left], [right], EXACT);
}

/**
 * Second derivatives of L = Σ u·f + ½ Σ f², whose Hessian is not zero even where f is linear:
 * forward over reverse, reverse over reverse and forward over forward.
 */
export function secondOrderLaws(theCase: Case): void {
  const { note, seed } = theCase;
  const part = floatPart(theCase);
  const { g, x } = part;
  const v = directionsLike(x, seed);
  const u = directionsLike(resultsOf(part), seed + 1);
  const loss = (us: Lists) => (xs: Lists) => {
    const ys = g(xs);
    const halfSquares = ys.map((y) => mul(0.5, reduceSum(square(y))));
    return halfSquares.reduce((sum, term) => add(sum, term), innerProduct(ys, us));
  };
  const gradient = traced((xs: Lists, us: Lists) => grad(loss(us))(xs), x, u);
  const over = {
    forwardReverse: (xs: Lists, us: Lists, vs: Lists) => hvp(loss(us))(vs, xs),
    reverseReverse: (xs: Lists, us: Lists, vs: Lists) =>
      grad((ys: Lists) => innerProduct(grad(loss(us))(ys), vs))(xs),
    forwardForward: (xs: Lists, us: Lists, vs: Lists) =>
      jvp((ys: Lists) => jvp(loss(us), [ys], [vs]).tangents, [xs], [vs]).tangents,
  };
  const hv = flat(traced(over.forwardReverse, x, u, v)(x, u, v));
  const rr = flat(traced(over.reverseReverse, x, u, v)(x, u, v));
  const ff = flat(traced(over.forwardForward, x, u, v)(x, u, v));
  const byDifferences = difference((y) => flat(gradient(y, u)), x, v);
  agree('hvp = differences of grad', note, hv, byDifferences, DIFFERENCES);
  const scale = Math.max(1, ...hv.map(Math.abs));
  const scaled = (xs: readonly number[]) => xs.map((value) => value / scale);
  agree('reverse over reverse = forward over reverse', note, scaled(rr), scaled(hv), EXACT);
  const curvature = Math.max(1, absoluteDotOf(hv, flat(v)));
  const [left, right] = [(ff[0] as number) / curvature, dotOf(hv, flat(v)) / curvature];
  agree('forward over forward = <v, Hv>', note, [left], [right], EXACT);
}

/** Both derivatives at random directions, and the directions. */
function derivativesOf(theCase: Case) {
  const { seed } = theCase;
  const part = floatPart(theCase);
  const { g, x } = part;
  const v = directionsLike(x, seed);
  const u = directionsLike(resultsOf(part), seed + 1);
  return {
    jvp: flat(traced((xs: Lists, vs: Lists) => jvp(g, [xs], [vs]).tangents, x, v)(x, v)),
    vjp: flat(traced((xs: Lists, us: Lists) => vjp(g, xs).pullback(us)[0], x, u)(x, u)),
    v: flat(v),
    u: flat(u),
  };
}

/** All derivatives are exactly zero. */
export function zeroDerivativeLaws(theCase: Case): void {
  const { jvp: forward, vjp: back, v } = derivativesOf(theCase);
  const zerosOf = (xs: readonly number[]) => xs.map(() => 0);
  agree('jvp = 0', theCase.note, forward, zerosOf(forward), 0);
  agree('vjp = 0', theCase.note, back, zerosOf(v), 0);
}

/** Derivatives are the identity: straight through a step that has none worth following. */
export function identityDerivativeLaws(theCase: Case): void {
  const { jvp: forward, vjp: back, v, u } = derivativesOf(theCase);
  agree('jvp = identity', theCase.note, forward, v, 0);
  agree('vjp = identity', theCase.note, back, u, 0);
}
