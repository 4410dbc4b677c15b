/**
 * Values: what a traced function computes with.
 *
 * A value is a node of an expression: either an input of the function being traced, or the
 * application of a primitive to other values. Nothing is computed when a value is made, no list of
 * "what happened so far" is kept anywhere, and no value is ever changed; tracing a function is just
 * calling it. `tape.ts` lays such an expression out as a list of equations.
 */
import type * as E from 'fp-ts/lib/Either.js';
import type { Aval, DType, Shape } from './aval.js';
import { FlatloraError, orThrow, type Problem } from './errors.js';

/** A node of a traced expression. */
export interface Value extends Aval {
  readonly _tag: 'Value';
  readonly shape: Shape;
  readonly dtype: DType;
  /** Where the value comes from; `undefined` for an input of the function being traced. */
  readonly source: Application | undefined;
  /** Which of the source's outputs this is. */
  readonly index: number;
}

/** A primitive applied to values. */
export interface Application {
  readonly primitive: Primitive;
  readonly inputs: readonly Value[];
  readonly params: Params;
  readonly outputs: readonly Value[];
}

/** Static parameters of an application: plain data that is known while tracing. */
// biome-ignore lint/suspicious/noExplicitAny: each primitive knows the type of its own parameters.
export type Params = any;

/** A rule's result for one operand: a value, or `undefined` for "identically zero". */
export type MaybeValue = Value | undefined;

export interface VjpArguments<P> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly params: P;
  /** One per output; zeros where an output was not used. */
  readonly cotangents: readonly Value[];
}

export interface JvpArguments<P> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly params: P;
  /** One per input; `undefined` for zero. */
  readonly tangents: readonly MaybeValue[];
}

export interface BatchArguments<P> {
  /** Batched inputs carry the batch as axis 0. */
  readonly inputs: readonly Value[];
  readonly batched: readonly boolean[];
  readonly params: P;
  readonly size: number;
}

/**
 * A primitive, defined once: everything that transforms need to know of it. Backends implement it
 * by name.
 */
export interface Primitive<P = Params> {
  readonly name: string;
  /** The formula, and what the parameters mean. */
  readonly doc: string;
  /** Output shapes and dtypes, or why the operands do not fit. */
  readonly shape: (inputs: readonly Aval[], params: P) => E.Either<Problem, readonly Aval[]>;
  /** Cotangents of the inputs from those of the outputs. */
  readonly vjp: (args: VjpArguments<P>) => readonly MaybeValue[];
  /** Tangents of the outputs from those of the inputs (at least one is not zero). */
  readonly jvp: (args: JvpArguments<P>) => readonly MaybeValue[];
  /** The same computation on a batch; every output carries the batch as axis 0. */
  readonly batch: (args: BatchArguments<P>) => readonly Value[];
  /** For elementwise primitives: the function of plain numbers that is applied to each element. */
  readonly scalar?: (...xs: readonly number[]) => number;
  /** For fused primitives (`transforms/fused.ts`): the same computation in other primitives. */
  readonly definition?: (inputs: readonly Value[], params: P) => readonly Value[];
}

export const isValue = (x: unknown): x is Value =>
  typeof x === 'object' && x !== null && (x as Value)._tag === 'Value';

/** A fresh input of a function that is about to be traced. */
export const input = ({ shape, dtype }: Aval): Value => ({
  _tag: 'Value',
  shape,
  dtype,
  source: undefined,
  index: 0,
});

/** Applies a primitive; throws a typed error when the operands do not fit. */
export function apply<P>(
  primitive: Primitive<P>,
  inputs: readonly Value[],
  params: P,
): readonly Value[] {
  inputs.forEach((x, i) => {
    if (!isValue(x)) {
      throw new FlatloraError(
        'argument',
        `${primitive.name}: operand ${i} is ${x === null ? 'null' : typeof x}, expected a traced value`,
      );
    }
  });
  const outputs: Value[] = [];
  const source: Application = { primitive, inputs, params, outputs };
  orThrow(primitive.shape(inputs, params)).forEach(({ shape, dtype }, index) => {
    outputs.push({ _tag: 'Value', shape, dtype, source, index });
  });
  return outputs;
}

/** `apply` for primitives with one output. */
export const bind = <P>(primitive: Primitive<P>, inputs: readonly Value[], params: P): Value =>
  apply(primitive, inputs, params)[0] as Value;
