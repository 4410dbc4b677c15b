/** From plain TypeScript functions over pytrees to tapes, and back. */
import { type Aval, showAval } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { flatten, type TreeShape, unflatten } from '../core/pytree.js';
import { type Closure, linearise, replay, type Tape } from '../core/tape.js';
import { input, isValue, type Value } from '../core/value.js';
import { lift, type Operand } from '../primitives/source.js';

/** Any function that can be traced: values (or trees of them) in, values out. */
// biome-ignore lint/suspicious/noExplicitAny: a constraint that every argument list satisfies.
export type Traceable<Args extends readonly any[] = any[], Out = unknown> = (...args: Args) => Out;

export interface Traced {
  /** The tape's inputs are the arguments' leaves in order, then what was captured. */
  readonly closure: Closure;
  /** How many leaves each argument has. */
  readonly leafCounts: readonly number[];
  readonly paths: readonly string[];
  readonly outShape: TreeShape;
}

/** All leaves of an argument list as values. */
export const argumentLeaves = (args: readonly unknown[]): readonly Value[] =>
  args.flatMap((arg) => flatten<Operand>(arg).leaves.map((x) => lift(x)));

/** Traces `f` at the shapes and dtypes of `args`, whose own values play no part. */
export function traceAt(f: Traceable, args: readonly unknown[]): Traced {
  const trees = args.map((arg) => flatten<Aval | Operand>(arg));
  const inputs: Value[] = [];
  const placeholders = trees.map(({ leaves, shape }) => {
    const own = leaves.map((leaf) => input(lift(leaf as Operand)));
    inputs.push(...own);
    return unflatten<unknown>(shape, own);
  });
  const out = flatten<Operand>(f(...placeholders));
  return {
    closure: linearise(
      inputs,
      out.leaves.map((x) => lift(x)),
    ),
    leafCounts: trees.map((t) => t.leaves.length),
    paths: trees.flatMap((t, i) => t.paths.map((p) => (p === '' ? `${i}` : `${i}.${p}`))),
    outShape: out.shape,
  };
}

/**
 * The tape of `f` at the shapes of `examples`, for people to read and backends to compile.
 * @throws FlatloraError when `f` uses values of a function that is itself being traced.
 */
export function trace(f: Traceable, ...examples: readonly unknown[]): Tape {
  const { closure } = traceAt(f, examples);
  if (closure.captured.length > 0) {
    throw new FlatloraError(
      'argument',
      `trace: the function uses ${closure.captured.length} value(s) of a surrounding traced function`,
    );
  }
  return closure.tape;
}

/** Applies a transformed tape to the arguments' leaves, the captured values and further inputs. */
export const applyClosure = (
  tape: Tape,
  leaves: readonly Value[],
  captured: readonly Value[],
  further: readonly Value[] = [],
): readonly Value[] => replay(tape, [...leaves, ...captured, ...further]);

/** The leaves of a tree that must match given shapes (tangents, cotangents), as values. */
export function matchingLeaves(
  name: string,
  tree: unknown,
  expected: readonly Aval[],
): readonly Value[] {
  const leaves = flatten<Operand>(tree).leaves.map((x) => lift(x));
  if (leaves.length !== expected.length) {
    throw new FlatloraError(
      'tree',
      `${name}: ${leaves.length} leaves given, expected ${expected.length}`,
    );
  }
  leaves.forEach((leaf, i) => {
    const want = showAval(expected[i] as Aval);
    if (showAval(leaf) !== want) {
      throw new FlatloraError('shape', `${name}: leaf ${i} is ${showAval(leaf)}, expected ${want}`);
    }
  });
  return leaves;
}

/** A scalar float output or an error that names the transform. */
export function requireScalar(name: string, out: unknown): Value {
  const value = typeof out === 'number' ? lift(out) : out;
  if (!isValue(value) || value.shape.length !== 0 || value.dtype !== 'float') {
    const given = isValue(value) ? showAval(value) : typeof out;
    throw new FlatloraError(
      'shape',
      `${name}: the function returned ${given}, expected a scalar float[]`,
    );
  }
  return value;
}
