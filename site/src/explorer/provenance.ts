/**
 * Which equation of a function made which equations of its derivative. Every equation of the function gets
 * a primitive of its own that carries the equation's number; what its rules build is given the same mark
 * before the transform goes on. So the marks are exact: nothing is guessed by comparing names.
 */
import {
  apply,
  type Equation,
  type MaybeValue,
  type Primitive,
  type Tape,
  type Value,
} from '../../../src/autodiff/index.js';

/** A primitive that knows whose it is. */
interface Marked extends Primitive {
  readonly origin: number;
}

/** The number of the equation that this one was made for; `undefined` for sums of cotangents, seeds, noise. */
export const originOf = ({ primitive }: Equation): number | undefined =>
  (primitive as Partial<Marked>).origin;

/** Gives the mark to what a rule built, which ends where the rule's own arguments begin. */
function marking(origin: number, given: readonly MaybeValue[]) {
  const made = new Map<unknown, readonly Value[]>();
  const known = new Set(given);
  const mark = (value: Value): Value => {
    const { source } = value;
    if (source === undefined || known.has(value)) return value;
    const before = made.get(source);
    if (before !== undefined) return before[value.index] as Value;
    const primitive: Marked =
      (source.primitive as Partial<Marked>).origin === undefined
        ? { ...source.primitive, origin }
        : (source.primitive as Marked);
    const outputs = apply(primitive, source.inputs.map(mark), source.params);
    made.set(source, outputs);
    return outputs[value.index] as Value;
  };
  return (value: MaybeValue): MaybeValue => (value === undefined ? undefined : mark(value));
}

function marked(primitive: Primitive, origin: number): Marked {
  return {
    ...primitive,
    origin,
    vjp: (args) => {
      const mark = marking(origin, [...args.inputs, ...args.outputs, ...args.cotangents]);
      return primitive.vjp(args).map(mark);
    },
    jvp: (args) => {
      const mark = marking(origin, [...args.inputs, ...args.outputs, ...args.tangents]);
      return primitive.jvp(args).map(mark);
    },
    batch: (args) => {
      const mark = marking(origin, args.inputs);
      return primitive.batch(args).map((value) => mark(value) as Value);
    },
  };
}

/** The tape with marks: equation i says `i`. */
export const withMarks = (tape: Tape): Tape => ({
  ...tape,
  equations: tape.equations.map((equation, i) => ({
    ...equation,
    primitive: marked(equation.primitive, i),
  })),
});
