/**
 * The one error type of the public edge. Inside, what can fail is an `Either` with a `Problem`;
 * where a user's call ends, `orThrow` turns it into a `FlatloraError` with a one-line message that
 * names the argument, what was given and what was expected.
 */
import * as E from 'fp-ts/lib/Either.js';

/** What went wrong, by the part of the library that noticed it. */
export type ProblemKind =
  | 'shape'
  | 'dtype'
  | 'argument'
  | 'tree'
  | 'backend'
  | 'memory'
  | 'data'
  | 'checkpoint'
  | 'target-modules'
  | 'not-finite';

export interface Problem {
  readonly kind: ProblemKind;
  readonly message: string;
}

/** A value or the reason why there is none. */
export type Result<A> = E.Either<Problem, A>;

export class FlatloraError extends Error {
  override readonly name = 'FlatloraError';
  constructor(
    readonly kind: ProblemKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export const problem = (kind: ProblemKind, message: string): Problem => ({ kind, message });

/** A failed result. */
export const fail = (kind: ProblemKind, message: string): E.Either<Problem, never> =>
  E.left(problem(kind, message));

/** `ok` when the condition holds, otherwise the problem. */
export const check = (
  condition: boolean,
  kind: ProblemKind,
  message: () => string,
): Result<void> => (condition ? E.right(undefined) : fail(kind, message()));

/** The value of a result, or its problem thrown as a `FlatloraError`. */
export function orThrow<A>(result: Result<A>): A {
  if (E.isLeft(result)) throw new FlatloraError(result.left.kind, result.left.message);
  return result.right;
}
