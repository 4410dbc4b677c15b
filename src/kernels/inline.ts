/**
 * Makes a tape of plain equations: fused primitives that a backend does not run itself become their
 * definitions, and `checkpoint` equations become the tapes that they hold.
 */
import {
  apply,
  dropUnused,
  type Equation,
  input,
  linearise,
  lookUp,
  simplify,
  sizeOf,
  type Tape,
  type Var,
} from '../autodiff/index.js';

/** The same program without nested tapes and without fused primitives but those of `fused`. */
export const inlineTape = (tape: Tape, fused: ReadonlySet<string> = new Set()): Tape =>
  inlineCheckpoints(expandFused(tape, fused));

/**
 * Fused primitives that are not in `kept` as their definitions, in held tapes too. What the
 * definitions share (a forward and a backward pass share most) is then computed once.
 */
function expandFused(tape: Tape, kept: ReadonlySet<string>): Tape {
  // No kernel is asked to cope with empty arrays.
  const isKept = ({ primitive, inputs, outputs }: Equation) =>
    kept.has(primitive.name) && [...inputs, ...outputs].every((v) => sizeOf(v.shape) > 0);
  const isExpanded = (e: Equation) => e.primitive.definition !== undefined && !isKept(e);
  const holds = ({ equations }: Tape): boolean =>
    equations.some((e) => isExpanded(e) || ('tape' in e.params && holds(e.params.tape)));
  if (!holds(tape)) return tape;
  const inputs = tape.inputs.map(input);
  const values = new Map(tape.inputs.map((v, i) => [v.id, inputs[i] as (typeof inputs)[0]]));
  for (const equation of tape.equations) {
    const { primitive, inputs: ins, params, outputs } = equation;
    const operands = ins.map((v) => lookUp(values, v));
    const results = isExpanded(equation)
      ? primitive.definition?.(operands, params)
      : apply(
          primitive,
          operands,
          'tape' in params ? { ...params, tape: expandFused(params.tape, kept) } : params,
        );
    outputs.forEach((v, i) => {
      values.set(v.id, results?.[i] as (typeof inputs)[0]);
    });
  }
  const outputs = tape.outputs.map((v) => lookUp(values, v));
  // A definition may itself rest on fused primitives.
  return expandFused(simplify(linearise(inputs, outputs).tape), kept);
}

/** Replaces `checkpoint` equations by the tapes that they hold, without merging anything. */
function inlineCheckpoints(tape: Tape): Tape {
  let nextId = 0;
  const fresh = ({ shape, dtype }: Var): Var => ({ id: nextId++, shape, dtype });
  const equations: Equation[] = [];
  const run = (inner: Tape, inputs: readonly Var[]): readonly Var[] => {
    const names = new Map(inner.inputs.map((v, i) => [v.id, inputs[i] as Var]));
    for (const { primitive, inputs: ins, params, outputs } of inner.equations) {
      const operands = ins.map((v) => lookUp(names, v));
      const held: Tape | undefined = primitive.name === 'checkpoint' ? params.tape : undefined;
      const results = held ? run(held, operands) : outputs.map(fresh);
      if (!held) equations.push({ primitive, inputs: operands, params, outputs: results });
      outputs.forEach((v, i) => {
        names.set(v.id, results[i] as Var);
      });
    }
    return inner.outputs.map((v) => lookUp(names, v));
  };
  const inputs = tape.inputs.map(fresh);
  const outputs = run(tape, inputs);
  // A held tape computes all of its outputs, wanted or not; outside it they can be told apart.
  return dropUnused({ inputs, equations, outputs });
}
