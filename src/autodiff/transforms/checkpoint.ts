/**
 * Rematerialisation: trade time for memory.
 *
 * `checkpoint(f)` keeps only the inputs of `f` for the backward pass, and computes its inside again
 * there. On the tape it is one equation that holds `f`'s own tape. Its derivative is again one such
 * equation, whose tape recomputes `f` and goes backwards through it; since simplification never
 * looks across its border, the recomputation is not merged with the first one.
 *
 * Reference: Griewank, Walther, "Revolve", 2000; Chen et al., "Training deep nets with sublinear
 * memory cost", 2016.
 */
import * as E from 'fp-ts/lib/Either.js';
import type { Aval } from '../core/aval.js';
import { unflatten } from '../core/pytree.js';
import { dropUnused, type Tape } from '../core/tape.js';
import { apply, type Primitive } from '../core/value.js';
import { zerosLike } from '../primitives/source.js';
import { jvpTape } from './jvp.js';
import { argumentLeaves, type Traceable, traceAt } from './trace.js';
import { isFloat, vjpTape } from './vjp.js';
import { batchTape } from './vmap.js';

/** A tape with its first `count` outputs dropped. */
const withoutOutputs = (tape: Tape, count: number): Tape =>
  dropUnused({ ...tape, outputs: tape.outputs.slice(count) });

export const checkpointPrimitive: Primitive<{ readonly tape: Tape }> = {
  name: 'checkpoint',
  doc: 'Runs `tape` on the operands; its inside is computed again where a derivative needs it.',
  shape: (_, { tape }) => E.right(tape.outputs.map(({ shape, dtype }) => ({ shape, dtype }))),
  vjp: ({ inputs, params: { tape }, cotangents }) => {
    const wanted = inputs.map(isFloat);
    const backward = withoutOutputs(vjpTape(tape, wanted), tape.outputs.length);
    const seeds = cotangents.filter((_, i) => isFloat(tape.outputs[i] as Aval));
    const gradients = apply(checkpointPrimitive, [...inputs, ...seeds], { tape: backward });
    let next = 0;
    return wanted.map((w) => (w ? gradients[next++] : undefined));
  },
  jvp: ({ inputs, params: { tape }, tangents }) => {
    const moving = tangents.map((t) => t !== undefined);
    const forward = withoutOutputs(jvpTape(tape, moving), tape.outputs.length);
    const seeds = tangents.filter((t) => t !== undefined);
    const moved = apply(checkpointPrimitive, [...inputs, ...seeds], { tape: forward });
    let next = 0;
    return tape.outputs.map((v) => (isFloat(v) ? (moved[next++] ?? zerosLike(v)) : undefined));
  },
  batch: ({ inputs, batched, params: { tape }, size }) =>
    apply(checkpointPrimitive, inputs, { tape: batchTape(tape, batched, size) }),
};

/** The same function, whose inside is not kept for the backward pass but computed again. */
export const checkpoint =
  <Args extends readonly unknown[], Out>(f: Traceable<[...Args], Out>) =>
  (...args: Args): Out => {
    const { closure, outShape } = traceAt(f as Traceable, args);
    const inputs = [...argumentLeaves(args), ...closure.captured];
    return unflatten<Out>(outShape, apply(checkpointPrimitive, inputs, { tape: closure.tape }));
  };
