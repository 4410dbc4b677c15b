/**
 * Rewrites that suit kernels with one output element per thread, tape to tape:
 *
 * - a long sum into few elements becomes two shorter ones (more threads, less rounding);
 * - a concatenation of many arrays becomes a tree of concatenations of few;
 * - an output that is an input or another output becomes a copy.
 */
import {
  apply,
  bind,
  concat,
  type Equation,
  input,
  linearise,
  lookUp,
  pad,
  range,
  reduceSum,
  reshape,
  sizeOf,
  stopGradientPrimitive,
  type Tape,
  transpose,
  type Value,
} from '../../autodiff/index.js';

/** Sums longer than this are split, for more threads … */
const LONG_SUM = 1024;
/** … unless there are at least so many of them … */
const MANY = 256;
/** … but those longer than this are always split, for accuracy. */
const VERY_LONG_SUM = 8192;

/** The greatest divisor of n that is at most its square root. */
function nearSquareDivisor(n: number): number {
  for (let d = Math.floor(Math.sqrt(n)); d > 1; d--) if (n % d === 0) return d;
  return 1;
}

function splitSum(x: Value, axes: readonly number[]): Value | undefined {
  const folded = axes.reduce((n, a) => n * (x.shape[a] as number), 1);
  const kept = range(x.shape.length).filter((a) => !axes.includes(a));
  const keptShape = kept.map((a) => x.shape[a] as number);
  if (folded <= (sizeOf(keptShape) >= MANY ? VERY_LONG_SUM : LONG_SUM)) return undefined;
  const flat = reshape(transpose(x, [...kept, ...axes]), [...keptShape, folded]);
  const divisor = nearSquareDivisor(folded);
  // A length without a fair divisor is filled up with zeros.
  const outer = divisor * 16 >= Math.sqrt(folded) ? divisor : Math.floor(Math.sqrt(folded));
  const inner = Math.ceil(folded / outer);
  const none = keptShape.map(() => 0);
  const missing = outer * inner - folded;
  const whole = missing === 0 ? flat : pad(flat, [...none, 0], [...none, missing]);
  return reduceSum(reduceSum(reshape(whole, [...keptShape, outer, inner]), -1), -1);
}

function joinFew(operands: readonly Value[], axis: number, few: number): Value {
  if (operands.length <= few) return concat(operands, axis);
  const groups = range(Math.ceil(operands.length / few)).map((g) =>
    concat(operands.slice(g * few, (g + 1) * few), axis),
  );
  return joinFew(groups, axis, few);
}

/** The tape as the planner wants it. */
export function prepare(tape: Tape, maxReads: number): Tape {
  const inputs = tape.inputs.map(input);
  const values = new Map(tape.inputs.map((v, i) => [v.id, inputs[i] as Value]));
  const rewritten = ({ primitive, params }: Equation, xs: readonly Value[]): Value | undefined => {
    if (primitive.name === 'reduceSum') return splitSum(xs[0] as Value, params.axes);
    if (primitive.name === 'concat') return joinFew(xs, params.axis, maxReads);
    return undefined;
  };
  for (const equation of tape.equations) {
    const operands = equation.inputs.map((v) => lookUp(values, v));
    const special = rewritten(equation, operands);
    const results = special ? [special] : apply(equation.primitive, operands, equation.params);
    equation.outputs.forEach((v, i) => {
      values.set(v.id, results[i] as Value);
    });
  }
  const taken = new Set<Value>(inputs);
  const outputs = tape.outputs.map((v) => {
    const value = lookUp(values, v);
    const own = taken.has(value) ? bind(stopGradientPrimitive, [value], {}) : value;
    taken.add(own);
    return own;
  });
  return linearise(inputs, outputs).tape;
}
