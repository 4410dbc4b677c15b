/** From what a reader typed to a function that can be traced. */
import { transform } from 'sucrase';
import * as engine from '../../../src/autodiff/index.js';
import * as methods from '../../../src/flatlora/index.js';
import * as models from '../../../src/models/index.js';

/** Names that the reader's code may use. */
const SCOPE: Readonly<Record<string, unknown>> = { ...models, ...methods, ...engine };

export interface Program {
  readonly f: (...args: readonly unknown[]) => unknown;
  /** Shapes of the arguments by name, in order; all floats. */
  readonly inputs: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** A problem of the reader's code, with its line where it is known. */
export class SourceProblem extends Error {
  readonly line: number | undefined;
  constructor(message: string, line?: number) {
    super(message);
    this.line = line;
  }
}

const LARGEST = 2 ** 20;

/** The line of a stack's first frame in the reader's code. */
function lineOf(thrown: unknown): number | undefined {
  const found = /(?:<anonymous>|reader\.ts):(\d+):\d+/.exec((thrown as Error)?.stack ?? '');
  // `new Function` puts two lines before the body.
  return found === null ? undefined : Number(found[1]) - 2;
}

/** What went wrong in the reader's function, as one sentence with its line. */
export function problemOf(thrown: unknown): SourceProblem {
  if (thrown instanceof SourceProblem) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new SourceProblem(message.split('\n')[0] ?? 'something went wrong', lineOf(thrown));
}

const isShape = (x: unknown): x is number[] =>
  Array.isArray(x) && x.every((n) => Number.isInteger(n) && n >= 0);

/**
 * @param code TypeScript with `const inputs = { x: [4, 3] }` and `function f(x) { … }`.
 * @throws SourceProblem, in a sentence, for anything else.
 */
export function readProgram(code: string): Program {
  let script: string;
  try {
    script = transform(code, { transforms: ['typescript'] }).code;
  } catch (thrown) {
    const { message, loc } = thrown as Error & { loc?: { line: number } };
    throw new SourceProblem(message.replace(/\s*\(\d+:\d+\)$/, ''), loc?.line);
  }
  let made: { f?: unknown; inputs?: unknown };
  try {
    const run = new Function(
      ...Object.keys(SCOPE),
      `"use strict";${script}\nreturn { f: typeof f === 'undefined' ? undefined : f, inputs: typeof inputs === 'undefined' ? undefined : inputs };`,
    );
    made = run(...Object.values(SCOPE));
  } catch (thrown) {
    throw problemOf(thrown);
  }
  const { f, inputs } = made;
  if (typeof f !== 'function') throw new SourceProblem('there is no function f');
  if (typeof inputs !== 'object' || inputs === null || Object.keys(inputs).length === 0) {
    throw new SourceProblem('there are no inputs: write const inputs = { x: [4, 3] }');
  }
  const shapes = Object.entries(inputs).map(([name, shape]) => {
    if (!isShape(shape)) {
      throw new SourceProblem(`inputs.${name}: expected a shape such as [4, 3] or [] for a number`);
    }
    if (shape.reduce((n, side) => n * side, 1) > LARGEST) {
      throw new SourceProblem(`inputs.${name}: more than ${LARGEST} elements`);
    }
    return { name, shape };
  });
  return { f: f as Program['f'], inputs: shapes };
}
