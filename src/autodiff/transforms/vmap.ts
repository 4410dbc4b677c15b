/** Batching: from a tape for one example to the tape for a stack of them. */
import { normaliseAxis, range, showShape } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { flatten, unflatten } from '../core/pytree.js';
import { type Environment, linearise, lookUp, type Tape } from '../core/tape.js';
import { apply, input, type Value } from '../core/value.js';
import type { Operand } from '../primitives/source.js';
import { lift } from '../primitives/source.js';
import { broadcastTo, moveAxis } from '../primitives/structural.js';
import { applyClosure, type Traceable, traceAt } from './trace.js';

/**
 * @param batched which inputs carry the batch as axis 0.
 * @returns a tape on batched inputs whose outputs all carry the batch as axis 0.
 */
export function batchTape(tape: Tape, batched: readonly boolean[], size: number): Tape {
  const inputs = tape.inputs.map((v, i) =>
    input(batched[i] ? { ...v, shape: [size, ...v.shape] } : v),
  );
  const values: Environment<Value> = new Map();
  const isBatched = new Set<number>();
  tape.inputs.forEach((v, i) => {
    values.set(v.id, inputs[i] as Value);
    if (batched[i]) isBatched.add(v.id);
  });
  for (const { primitive, inputs: ins, params, outputs: outs } of tape.equations) {
    const operands = ins.map((v) => lookUp(values, v));
    const flags = ins.map((v) => isBatched.has(v.id));
    const results = flags.includes(true)
      ? primitive.batch({ inputs: operands, batched: flags, params, size })
      : apply(primitive, operands, params);
    outs.forEach((v, i) => {
      values.set(v.id, results[i] as Value);
      if (flags.includes(true)) isBatched.add(v.id);
    });
  }
  const outputs = tape.outputs.map((v) => {
    const value = lookUp(values, v);
    return isBatched.has(v.id) ? value : broadcastTo(value, [size, ...v.shape]);
  });
  return linearise(inputs, outputs).tape;
}

/** The axis to map over: of each argument (`null`: the same for all), or one for all arguments. */
export type InAxes = number | readonly (number | null)[];

/**
 * Maps `f` over an axis of its arguments: write it for one example, call it on a stack.
 *
 * @param inAxes the mapped axis of each argument's leaves, 0 by default; `null` leaves one whole.
 * @returns a function whose outputs carry the mapped axis first.
 */
export function vmap<Args extends readonly unknown[], Out>(
  f: Traceable<[...Args], Out>,
  inAxes: InAxes = 0,
): (...args: Args) => Out {
  return (...args) => {
    if (typeof inAxes !== 'number' && inAxes.length !== args.length) {
      throw new FlatloraError(
        'argument',
        `vmap: ${inAxes.length} axes given for ${args.length} arguments; use null for those not mapped`,
      );
    }
    const trees = args.map((arg) => flatten<Operand>(arg));
    const axes = trees.flatMap(({ leaves }, i) =>
      leaves.map(() => (typeof inAxes === 'number' ? inAxes : (inAxes[i] ?? null))),
    );
    const leaves = trees.flatMap((t) => t.leaves.map((x) => lift(x)));
    const stacked = leaves.map((leaf, i) => {
      const axis = axes[i] ?? null;
      if (axis === null) return leaf;
      const from = normaliseAxis(axis, leaf.shape.length);
      if (from === undefined) {
        throw new FlatloraError(
          'shape',
          `vmap: axis ${axis} of leaf ${i} is outside its shape ${showShape(leaf.shape)}`,
        );
      }
      return moveAxis(leaf, from, 0);
    });
    const sizes = new Set(stacked.filter((_, i) => axes[i] !== null).map((x) => x.shape[0]));
    const [size] = sizes;
    if (sizes.size !== 1 || size === undefined) {
      const shapes = leaves.map((x) => showShape(x.shape)).join(', ');
      throw new FlatloraError(
        'shape',
        `vmap: mapped axes must have one common size, given shapes ${shapes} and axes ${axes.join(', ')}`,
      );
    }
    const examples = stacked.map((x, i) =>
      input(axes[i] === null ? x : { ...x, shape: x.shape.slice(1) }),
    );
    let next = 0;
    const exampleArgs = trees.map((t) =>
      unflatten<unknown>(
        t.shape,
        range(t.leaves.length).map(() => examples[next++]),
      ),
    );
    const { closure, outShape } = traceAt(f as Traceable, exampleArgs);
    const { tape, captured } = closure;
    const flags = tape.inputs.map((_, i) => i < axes.length && axes[i] !== null);
    const results = applyClosure(batchTape(tape, flags, size), stacked, captured);
    return unflatten<Out>(outShape, results);
  };
}
