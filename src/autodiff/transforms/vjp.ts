/** Reverse mode: from a tape to the tape of its vector–Jacobian product. */
import type { Aval } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { flatten, type MapLeaves, unflatten } from '../core/pytree.js';
import { linearise, lookUp, replayAll, type Tape } from '../core/tape.js';
import { input, type MaybeValue, type Value } from '../core/value.js';
import { add } from '../primitives/elementwise.js';
import { ones, zerosLike } from '../primitives/source.js';
import {
  applyClosure,
  argumentLeaves,
  matchingLeaves,
  requireScalar,
  type Traceable,
  traceAt,
} from './trace.js';

export const isFloat = ({ dtype }: Aval): boolean => dtype === 'float';

/**
 * Pulls cotangents back through a tape.
 *
 * @param wanted which inputs need a cotangent; nothing is computed for the others, so that the
 *   gradient of a frozen weight costs nothing.
 * @returns a tape (inputs, cotangents of the float outputs) → (outputs, cotangents of the wanted
 *   inputs).
 */
export function vjpTape(tape: Tape, wanted: readonly boolean[]): Tape {
  const inputs = tape.inputs.map(input);
  const values = replayAll(tape, inputs);
  const outputs = tape.outputs.map((v) => lookUp(values, v));

  // Only variables that depend on a wanted input carry a cotangent.
  const active = new Set(tape.inputs.filter((_, i) => wanted[i]).map((v) => v.id));
  for (const equation of tape.equations) {
    if (equation.inputs.some((v) => active.has(v.id))) {
      for (const v of equation.outputs) if (isFloat(v)) active.add(v.id);
    }
  }

  const cotangents = new Map<number, Value>();
  const accumulate = (id: number, term: MaybeValue) => {
    if (term === undefined || !active.has(id)) return;
    const sum = cotangents.get(id);
    cotangents.set(id, sum === undefined ? term : add(sum, term));
  };

  const seeds: Value[] = [];
  for (const v of tape.outputs) {
    if (!isFloat(v)) continue;
    const seed = input(v);
    seeds.push(seed);
    accumulate(v.id, seed);
  }
  for (const { primitive, inputs: ins, params, outputs: outs } of [...tape.equations].reverse()) {
    if (!outs.some((v) => cotangents.has(v.id))) continue;
    const terms = primitive.vjp({
      inputs: ins.map((v) => lookUp(values, v)),
      outputs: outs.map((v) => lookUp(values, v)),
      params,
      cotangents: outs.map((v) => cotangents.get(v.id) ?? zerosLike(v)),
    });
    ins.forEach((v, i) => {
      accumulate(v.id, terms[i]);
    });
  }
  const gradients = tape.inputs
    .filter((_, i) => wanted[i])
    .map((v) => cotangents.get(v.id) ?? zerosLike(v));
  return linearise([...inputs, ...seeds], [...outputs, ...gradients]).tape;
}

/** What `vjp` gives: the outputs, and the map from their cotangents to the arguments'. */
export interface Pullback<Args, Out> {
  readonly outputs: Out;
  /** Takes a tree like `outputs`, gives a list like the arguments. */
  readonly pullback: (cotangents: unknown) => MapLeaves<Args, Value>;
}

/** The outputs of `f` at `args`, with the linear map v ↦ vᵀ·J of reverse mode. */
export function vjp<Args extends readonly unknown[], Out>(
  f: Traceable<[...Args], Out>,
  ...args: Args
): Pullback<Args, Out> {
  const { closure, outShape } = traceAt(f, args);
  const { tape, captured } = closure;
  const leaves = argumentLeaves(args);
  const floatOutputs = tape.outputs.filter(isFloat);
  return {
    outputs: unflatten<Out>(outShape, applyClosure(tape, leaves, captured)),
    pullback: (cotangents) => {
      const pulled = vjpTape(
        tape,
        tape.inputs.map((_, i) => i < leaves.length),
      );
      const seeds = matchingLeaves('vjp: cotangents', cotangents, floatOutputs);
      const results = applyClosure(pulled, leaves, captured, seeds);
      return unflatten(flatten([...args]).shape, results.slice(tape.outputs.length));
    },
  };
}

/** A loss and its gradient with respect to the first argument. */
export interface ValueAndGrad<P> {
  readonly value: Value;
  readonly gradient: MapLeaves<P, Value>;
}

/**
 * `f` returns a scalar; the result gives that scalar and its gradient with respect to every leaf of
 * the first argument.
 * @throws FlatloraError when the function's result is no scalar or a parameter is no float.
 */
export function valueAndGrad<P, Rest extends readonly unknown[]>(
  f: (params: P, ...rest: Rest) => Value,
): (params: P, ...rest: Rest) => ValueAndGrad<P> {
  const withAux = valueAndGradWithAux((params: P, ...rest: Rest) => ({
    loss: f(params, ...rest),
    aux: [],
  }));
  return (params, ...rest) => {
    const { value, gradient } = withAux(params, ...rest);
    return { value, gradient };
  };
}

/** `valueAndGrad` of a function that also returns a tree of values to look at. */
export function valueAndGradWithAux<P, Rest extends readonly unknown[], Aux>(
  f: (params: P, ...rest: Rest) => { readonly loss: Value; readonly aux: Aux },
): (params: P, ...rest: Rest) => ValueAndGrad<P> & { readonly aux: Aux } {
  return (params, ...rest) => {
    const args = [params, ...rest];
    const { closure, leafCounts, paths, outShape } = traceAt((...xs) => {
      const { loss, aux } = f(...(xs as unknown as [P, ...Rest]));
      return [requireScalar('grad', loss), aux];
    }, args);
    const { tape, captured } = closure;
    const count = leafCounts[0] as number;
    const leaves = argumentLeaves(args);
    leaves.slice(0, count).forEach((leaf, i) => {
      if (!isFloat(leaf)) {
        throw new FlatloraError(
          'dtype',
          `grad: parameter "${paths[i]}" is ${leaf.dtype}, expected float`,
        );
      }
    });
    const pulled = vjpTape(
      tape,
      tape.inputs.map((_, i) => i < count),
    );
    const seeds = tape.outputs.filter(isFloat).map((v, i) => (i === 0 ? ones([]) : zerosLike(v)));
    const results = applyClosure(pulled, leaves, captured, seeds);
    const [value, aux] = unflatten<[Value, Aux]>(outShape, results.slice(0, tape.outputs.length));
    return {
      value,
      aux,
      gradient: unflatten(flatten(params).shape, results.slice(tape.outputs.length)),
    };
  };
}

/** The gradient of a scalar function with respect to its first argument. */
export const grad =
  <P, Rest extends readonly unknown[]>(f: (params: P, ...rest: Rest) => Value) =>
  (params: P, ...rest: Rest): MapLeaves<P, Value> =>
    valueAndGrad(f)(params, ...rest).gradient;
