/**
 * Rewrites that suit kernels with one output element per thread, tape to tape:
 *
 * - a long sum into few elements becomes two shorter ones (more threads, less rounding);
 * - a concatenation of many arrays becomes a tree of concatenations of few;
 * - where a backend asks for it, a long product becomes a sum of shorter ones;
 * - an output that is an input, a constant or another output becomes a copy.
 */
import {
  add,
  apply,
  bind,
  concat,
  type DotParams,
  dot,
  type Equation,
  input,
  linearise,
  lookUp,
  pad,
  range,
  reduceSum,
  reshape,
  sizeOf,
  sliceAxis,
  stopGradientPrimitive,
  type Tape,
  transpose,
  type Value,
} from '../../autodiff/index.js';
import type { FusionLimits } from './fuse.js';

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

/** Products with fewer results (and no batch) are quick whatever the cache does. */
const WORTH_SPLITTING = 2048;
/** More pieces than this cost more in launches than they save. */
const MOST_PIECES = 16;

/**
 * A long product as a sum of shorter ones over parts of its first contracted axis. A kernel that
 * walks through all of one operand for each row of the other wants that operand to fit the cache.
 */
function splitProduct(
  [lhs, rhs]: readonly [Value, Value],
  params: DotParams,
  longest: number,
): Value | undefined {
  const [left, right] = [params.contract[0][0], params.contract[1][0]];
  if (left === undefined || right === undefined) return undefined;
  const total = params.contract[0].reduce((n, a) => n * (lhs.shape[a] as number), 1);
  const size = lhs.shape[left] as number;
  const outputs = (sizeOf(lhs.shape) / total) * (sizeOf(rhs.shape) / total);
  if (total <= longest || outputs < WORTH_SPLITTING) return undefined;
  const pieces = range(Math.min(size, MOST_PIECES) + 1).find(
    (p) => p > 0 && size % p === 0 && total / p <= longest,
  );
  if (pieces === undefined) return undefined;
  const width = size / pieces;
  return range(pieces)
    .map((p) =>
      dot(
        sliceAxis(lhs, left, p * width, (p + 1) * width),
        sliceAxis(rhs, right, p * width, (p + 1) * width),
        params,
      ),
    )
    .reduce((sum, part) => add(sum, part));
}

/** The tape as the planner wants it. */
export function prepare(tape: Tape, { maxReads, longestProduct }: FusionLimits): Tape {
  const inputs = tape.inputs.map(input);
  const values = new Map(tape.inputs.map((v, i) => [v.id, inputs[i] as Value]));
  const rewritten = ({ primitive, params }: Equation, xs: readonly Value[]): Value | undefined => {
    if (primitive.name === 'reduceSum') return splitSum(xs[0] as Value, params.axes);
    if (primitive.name === 'concat') return joinFew(xs, params.axis, maxReads);
    if (primitive.name === 'dot' && longestProduct !== undefined) {
      return splitProduct(xs as readonly [Value, Value], params, longestProduct);
    }
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
    const isConstant = value.source?.primitive.name === 'constant';
    const own = taken.has(value) || isConstant ? bind(stopGradientPrimitive, [value], {}) : value;
    taken.add(own);
    return own;
  });
  return linearise(inputs, outputs).tape;
}
