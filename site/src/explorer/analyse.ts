/**
 * What the explorer shows of a function, as plain data: its tape, the tape of a transform with the
 * correspondence, the plan, the kernels' code. Nothing here knows of a page.
 */
import {
  type Aval,
  batchTape,
  type Equation,
  foldInTraced,
  input,
  isValue,
  jvpTape,
  lift,
  linearise,
  ones,
  printTape,
  replay,
  simplify,
  type Tape,
  type Value,
  vjpTape,
} from '../../../src/autodiff/index.js';
import { perturb } from '../../../src/flatlora/index.js';
import { originOf, withMarks } from './provenance.js';
import { type Program, problemOf, SourceProblem } from './source.js';

export const TRANSFORMS = ['grad', 'vjp', 'jvp', 'vmap', 'flat'] as const;
export type TransformName = (typeof TRANSFORMS)[number];

/** Examples that `vmap` stacks. */
export const BATCH = 3;
/** σ that `flat` perturbs matrices with. */
export const SIGMA = 0.1;

/** An equation as it is shown. */
export interface Line {
  /** `c: float[2]`, what it defines. */
  readonly left: string;
  /** `reduceSum{axes=[0]} b` */
  readonly right: string;
  /** The equation of the function that it stands for or was made for. */
  readonly origin: number | undefined;
}

export interface TapeView {
  readonly inputs: readonly string[];
  readonly lines: readonly Line[];
  readonly outputs: string;
}

/** The tape of the reader's function. @throws SourceProblem */
export function tapeOf({ f, inputs }: Program): Tape {
  const avals = inputs.map(({ shape }): Aval => ({ shape, dtype: 'float' }));
  try {
    const placeholders = avals.map(input);
    const out = f(...placeholders);
    if (!isValue(out) && typeof out !== 'number') {
      const given = Array.isArray(out) ? 'a list' : out === undefined ? 'nothing' : typeof out;
      throw new SourceProblem(`f gives ${given}; give one array`);
    }
    return linearise(placeholders, [lift(out as Value)]).tape;
  } catch (thrown) {
    throw problemOf(thrown);
  }
}

const isFloat = ({ dtype }: Aval) => dtype === 'float';

/** A tape whose outputs are some of another's at given further inputs. */
function within(inputs: readonly Value[], outputs: readonly Value[]): Tape {
  const { tape, captured } = linearise(inputs, outputs);
  if (captured.length > 0) throw new SourceProblem('the function uses values from outside');
  return tape;
}

const scalarOnly = (tape: Tape, name: string): void => {
  const [out] = tape.outputs;
  if (out?.shape.length !== 0 || !isFloat(out)) {
    throw new SourceProblem(
      `${name} needs a function to one number; this one gives ${out?.dtype}[${out?.shape.join(', ')}]. Sum it up, or choose vjp or jvp.`,
    );
  }
};

function gradient(tape: Tape): Tape {
  scalarOnly(tape, 'grad');
  const inputs = tape.inputs.map(input);
  const pulled = vjpTape(
    tape,
    tape.inputs.map(() => true),
  );
  return within(inputs, replay(pulled, [...inputs, ones([])]).slice(tape.outputs.length));
}

/** f with every matrix W replaced by W + ε of Eq. 7, and its gradient. */
function flatGradient(tape: Tape): Tape {
  scalarOnly(tape, 'flat');
  const inputs = tape.inputs.map(input);
  const key = input({ shape: [2], dtype: 'uint' });
  const noisy = inputs.map((x, i) =>
    x.shape.length === 2 ? perturb(x, foldInTraced(key, i), SIGMA) : x,
  );
  const pulled = vjpTape(
    tape,
    tape.inputs.map(() => true),
  );
  // The noise is a constant of the differentiation, so the gradient is the one at W + ε.
  return within([...inputs, key], replay(pulled, [...noisy, ones([])]).slice(tape.outputs.length));
}

const MAKERS: Readonly<Record<TransformName, (tape: Tape) => Tape>> = {
  grad: gradient,
  vjp: (tape) =>
    vjpTape(
      tape,
      tape.inputs.map(() => true),
    ),
  jvp: (tape) =>
    jvpTape(
      tape,
      tape.inputs.map(() => true),
    ),
  vmap: (tape) =>
    batchTape(
      tape,
      tape.inputs.map(() => true),
      BATCH,
    ),
  flat: flatGradient,
};

/** The transformed tape, its equations marked with those of the function. @throws SourceProblem */
export function transformed(tape: Tape, name: TransformName): Tape {
  try {
    return MAKERS[name](withMarks(tape));
  } catch (thrown) {
    throw problemOf(thrown);
  }
}

/** Names of the inputs that a transform adds. */
function inputNames(names: readonly string[], name: TransformName | undefined): readonly string[] {
  switch (name) {
    case 'vjp':
      return [...names, 'cotangent'];
    case 'jvp':
      return [...names, ...names.map((n) => `d${n}`)];
    case 'flat':
      return [...names, 'key'];
    default:
      return names;
  }
}

/** A tape as lines. @param own whether it is the function's own: then equation i stands for itself. */
export function viewOf(
  tape: Tape,
  names: readonly string[],
  transform: TransformName | undefined,
): TapeView {
  const lines = printTape(tape)
    .split('\n')
    // Tapes that an equation holds are indented below it.
    .reduce<string[]>((all, line) => {
      if (line.startsWith('  ') && all.length > 0) all[all.length - 1] += `\n${line}`;
      else all.push(line);
      return all;
    }, []);
  const shown = inputNames(names, transform);
  const inputs = lines
    .filter((line) => line.startsWith('input '))
    .map((line, i) => `${line.replace(/^input /, '')}   ← ${shown[i] ?? 'input'}`);
  const equations = lines.filter((l) => !l.startsWith('input ') && !l.startsWith('return '));
  return {
    inputs,
    lines: equations.map((text, i) => {
      const at = text.indexOf(' = ');
      return {
        left: text.slice(0, at),
        right: text.slice(at + 3),
        origin: transform === undefined ? i : originOf(tape.equations[i] as Equation),
      };
    }),
    outputs: (lines.at(-1) as string).replace(/^return /, ''),
  };
}

/** The same tape without what comes to nothing, marks where they survive. */
export const simplified = (tape: Tape): Tape => simplify(tape);
