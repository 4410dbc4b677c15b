/**
 * Fused primitives: a few operations that a backend may run as one kernel, because what lies between
 * their operands and results should never be written to memory.
 *
 * A fused primitive has a shape rule and a `definition`, a plain function of traced values built from
 * other primitives. The definition is its meaning, and everything follows from it:
 *
 * - a backend that does not know the primitive by name runs the definition (`kernels/inline.ts`);
 * - jvp, vmap and vjp transform the definition, so derivatives of every order are right from the
 *   start. Rules of its own are given only where they pay: a vjp that names another fused primitive
 *   (which is transformed through its own definition in turn), or a batching rule that keeps it whole.
 *
 * To add one: a file in `primitives/` that calls `fused`, and a line in `registry.ts`.
 */
import type { Aval } from '../core/aval.js';
import { linearise, replay, type Tape } from '../core/tape.js';
import { input, type Primitive, type Value } from '../core/value.js';
import { zerosLike } from '../primitives/source.js';
import { jvpTape } from './jvp.js';
import { isFloat, vjpTape } from './vjp.js';
import { batchTape } from './vmap.js';

/** What a fused primitive states; missing rules come from the definition. */
export type FusedRules<P> = Pick<Primitive<P>, 'name' | 'doc' | 'shape'> &
  Required<Pick<Primitive<P>, 'definition'>> &
  Partial<Pick<Primitive<P>, 'vjp' | 'batch'>>;

/** A primitive from its definition and the rules that it states itself. */
export function fused<P>(rules: FusedRules<P>): Primitive<P> {
  const tapeAt = (operands: readonly Aval[], params: P): Tape => {
    const own = operands.map(input);
    return linearise(own, rules.definition(own, params)).tape;
  };
  return {
    vjp: ({ inputs, cotangents, params }) => {
      const tape = tapeAt(inputs, params);
      const wanted = inputs.map(isFloat);
      const seeds = cotangents.filter((_, i) => isFloat(tape.outputs[i] as Aval));
      const pulled = replay(vjpTape(tape, wanted), [...inputs, ...seeds]);
      let next = tape.outputs.length;
      return wanted.map((w) => (w ? pulled[next++] : undefined));
    },
    jvp: ({ inputs, tangents, params }) => {
      const tape = tapeAt(inputs, params);
      const moving = tangents.map((t) => t !== undefined);
      const seeds = tangents.filter((t) => t !== undefined);
      const moved = replay(jvpTape(tape, moving), [...inputs, ...seeds]);
      let next = tape.outputs.length;
      return tape.outputs.map((v) => (isFloat(v) ? (moved[next++] ?? zerosLike(v)) : undefined));
    },
    batch: ({ inputs, batched, params, size }) => {
      const examples = inputs.map((x, i) => (batched[i] ? { ...x, shape: x.shape.slice(1) } : x));
      return replay(batchTape(tapeAt(examples, params), batched, size), inputs as Value[]);
    },
    ...rules,
  };
}
