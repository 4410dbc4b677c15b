/** Replaces `checkpoint` equations by the tapes that they hold, without merging anything. */
import { dropUnused, type Equation, lookUp, type Tape, type Var } from '../autodiff/index.js';

/** The same program without nested tapes, variables numbered anew. */
export function inlineCheckpoints(tape: Tape): Tape {
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
