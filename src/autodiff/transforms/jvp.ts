/** Forward mode: from a tape to the tape of its Jacobian–vector product. */
import { type MapLeaves, unflatten } from '../core/pytree.js';
import { linearise, lookUp, replayAll, type Tape } from '../core/tape.js';
import { input, type MaybeValue, type Value } from '../core/value.js';
import { zerosLike } from '../primitives/source.js';
import { applyClosure, argumentLeaves, matchingLeaves, type Traceable, traceAt } from './trace.js';
import { grad, isFloat } from './vjp.js';

/**
 * Pushes tangents forward through a tape.
 *
 * @param moving which inputs have a tangent; the others are constants.
 * @returns a tape (inputs, tangents of the moving inputs) → (outputs, tangents of the float outputs).
 */
export function jvpTape(tape: Tape, moving: readonly boolean[]): Tape {
  const inputs = tape.inputs.map(input);
  const values = replayAll(tape, inputs);
  const tangents = new Map<number, MaybeValue>();
  const seeds: Value[] = [];
  tape.inputs.forEach((v, i) => {
    if (!moving[i]) return;
    const seed = input(v);
    seeds.push(seed);
    tangents.set(v.id, seed);
  });
  for (const { primitive, inputs: ins, params, outputs: outs } of tape.equations) {
    const incoming = ins.map((v) => tangents.get(v.id));
    if (incoming.every((t) => t === undefined)) continue;
    const results = primitive.jvp({
      inputs: ins.map((v) => lookUp(values, v)),
      outputs: outs.map((v) => lookUp(values, v)),
      params,
      tangents: incoming,
    });
    outs.forEach((v, i) => {
      tangents.set(v.id, results[i]);
    });
  }
  const outputs = tape.outputs.map((v) => lookUp(values, v));
  const moved = tape.outputs.filter(isFloat).map((v) => tangents.get(v.id) ?? zerosLike(v));
  return linearise([...inputs, ...seeds], [...outputs, ...moved]).tape;
}

/**
 * The outputs of `f` and their directional derivative J·v.
 *
 * @param primals the argument list.
 * @param tangents a list like it; integer arguments take part with `undefined` in their place.
 * @returns outputs, and a flat list of the tangents of the float outputs.
 */
export function jvpFlat<Out>(
  f: Traceable,
  primals: readonly unknown[],
  tangents: readonly unknown[],
): { readonly outputs: Out; readonly tangents: readonly Value[] } {
  const { closure, leafCounts, outShape } = traceAt(f, primals);
  const { tape, captured } = closure;
  const leaves = argumentLeaves(primals);
  const movingArgument = leafCounts.flatMap((n, i) =>
    new Array<boolean>(n).fill(tangents[i] !== undefined),
  );
  const moving = leaves.map((leaf, i) => isFloat(leaf) && movingArgument[i] === true);
  const seeds = matchingLeaves(
    'jvp: tangents',
    tangents.filter((t) => t !== undefined),
    leaves.filter((_, i) => moving[i]),
  );
  const results = applyClosure(jvpTape(tape, moving), leaves, captured, seeds);
  return {
    outputs: unflatten<Out>(outShape, results.slice(0, tape.outputs.length)),
    tangents: results.slice(tape.outputs.length),
  };
}

/** `jvpFlat` for functions whose outputs are all floats: the tangents as a tree like the outputs. */
export function jvp<Args extends readonly unknown[], Out>(
  f: Traceable<[...Args], Out>,
  primals: Args,
  tangents: { readonly [K in keyof Args]: unknown },
): { readonly outputs: Out; readonly tangents: Out } {
  const { outShape } = traceAt(f, primals);
  const flat = jvpFlat<Out>(f, primals, tangents);
  return { outputs: flat.outputs, tangents: unflatten<Out>(outShape, flat.tangents) };
}

/**
 * Hessian–vector product ∇²f(x)·v, forward over reverse, without forming the Hessian.
 * `direction` is a tree like the first argument.
 */
export const hvp =
  <P, Rest extends readonly unknown[]>(f: (params: P, ...rest: Rest) => Value) =>
  (direction: unknown, params: P, ...rest: Rest): MapLeaves<P, Value> =>
    jvp((p: P) => grad(f)(p, ...rest), [params], [direction]).tangents;
