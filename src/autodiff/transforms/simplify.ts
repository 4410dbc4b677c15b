/**
 * Simplification: a tape that computes the same with less (the sign of a zero aside: x + 0 is taken
 * for x, which keeps −0). One pass over the equations that
 *
 * - folds arithmetic on numbers known while tracing (constant folding),
 * - uses algebraic identities (x + 0, x · 1, −(−x), transpose of transpose, …),
 * - reuses equal equations (common subexpressions),
 *
 * followed by dead-code elimination. `0 · x` is not folded to 0: it would hide NaN and infinity.
 * `stopGradient` disappears; simplify after differentiating. Tapes held by `checkpoint` are
 * simplified on their own, and nothing is merged across their border.
 */
import { isHalf, range, sameShape } from '../core/aval.js';
import { isHostArray, numberAt } from '../core/host.js';
import { type Equation, linearise, lookUp, type Tape } from '../core/tape.js';
import { apply, input, type Params, type Primitive, type Value } from '../core/value.js';
import { neg, widened } from '../primitives/elementwise.js';
import { gather } from '../primitives/indexing.js';
import { full } from '../primitives/source.js';
import { broadcastPrimitive, reshape, transpose } from '../primitives/structural.js';

/** The number that every element of a value has, if that is known while tracing. */
function uniformNumber({ source }: Value): number | undefined {
  if (source === undefined) return undefined;
  const { primitive, params, inputs } = source;
  switch (primitive.name) {
    case 'constant': {
      const { value } = params;
      return value.shape.length === 0 ? numberAt(value, value.offset) : undefined;
    }
    case 'broadcast':
    case 'reshape':
    case 'transpose':
      return uniformNumber(inputs[0] as Value);
    default:
      return undefined;
  }
}

const sourceOf = (v: Value, name: string) =>
  v.source?.primitive.name === name ? v.source : undefined;

/** The value of an elementwise application to known numbers. */
function foldConstant(primitive: Primitive, inputs: readonly Value[]): Value | undefined {
  const [x] = inputs;
  if (primitive.scalar === undefined || x === undefined) return undefined;
  const numbers = inputs.map(uniformNumber);
  if (numbers.some((n) => n === undefined)) return undefined;
  const dtypes = new Set(inputs.map((v) => v.dtype));
  if (dtypes.size !== 1 || primitive.name === 'lt' || primitive.name === 'equal') return undefined;
  if (x.dtype !== 'float' || primitive.name === 'convert') return undefined;
  return full(x.shape, primitive.scalar(...(numbers as number[])));
}

type Identity = (inputs: readonly Value[], params: Params) => Value | undefined;

const neutralRight =
  (neutral: number): Identity =>
  ([x, y]) =>
    uniformNumber(y as Value) === neutral ? x : undefined;
const neutralEither =
  (neutral: number): Identity =>
  ([x, y]) =>
    neutralRight(neutral)([x as Value, y as Value], {}) ??
    neutralRight(neutral)([y as Value, x as Value], {});

/** By primitive: a simpler value that is equal, or `undefined`. */
const identities: Readonly<Record<string, Identity>> = {
  add: neutralEither(0),
  sub: ([x, y]) =>
    neutralRight(0)([x as Value, y as Value], {}) ??
    (uniformNumber(x as Value) === 0 ? neg(y as Value) : undefined),
  mul: neutralEither(1),
  div: neutralRight(1),
  neg: ([x]) => sourceOf(x as Value, 'neg')?.inputs[0],
  stopGradient: ([x]) => x,
  convert: ([x], { dtype }) => (x?.dtype === dtype ? x : undefined),
  reshape: ([x], { shape }) => {
    if (sameShape((x as Value).shape, shape)) return x;
    const inner = sourceOf(x as Value, 'reshape');
    return inner && reshape(inner.inputs[0] as Value, shape);
  },
  transpose: ([x], { permutation }) => {
    if (sameShape(permutation, range(permutation.length))) return x;
    const inner = sourceOf(x as Value, 'transpose');
    return (
      inner &&
      transpose(
        inner.inputs[0] as Value,
        permutation.map((a: number) => inner.params.permutation[a]),
      )
    );
  },
  broadcast: ([x], { shape, axes }) => {
    if (sameShape((x as Value).shape, shape)) return x;
    const inner = sourceOf(x as Value, 'broadcast');
    return (
      inner &&
      apply(broadcastPrimitive, inner.inputs, {
        shape,
        axes: inner.params.axes.map((a: number) => axes[a]),
      })[0]
    );
  },
  slice: ([x], { start, limit, stride }) =>
    sameShape(limit, (x as Value).shape) &&
    [...start].every((a) => a === 0) &&
    [...stride].every((s) => s === 1)
      ? x
      : undefined,
  // Rows of a table in half precision are widened after they are taken, not the whole table before.
  gather: ([x, indices]) => {
    const table = sourceOf(x as Value, 'convert')?.inputs[0];
    return table !== undefined && isHalf(table.dtype)
      ? widened(gather(table, indices as Value))
      : undefined;
  },
  pad: ([x], { low, high, interior }) =>
    [...low, ...high, ...interior].every((n) => n === 0) ? x : undefined,
  reduceSum: ([x], { axes }) => withoutUnitAxes(x as Value, axes),
  reduceMax: ([x], { axes }) => withoutUnitAxes(x as Value, axes),
};

/** A reduction over axes of size one only is a reshape. */
const withoutUnitAxes = (x: Value, axes: readonly number[]): Value | undefined =>
  axes.every((a) => x.shape[a] === 1)
    ? reshape(
        x,
        x.shape.filter((_, a) => !axes.includes(a)),
      )
    : undefined;

/**
 * Parameters as text, equal for equal parameters; `undefined` where equality must not be used. A
 * scalar's text tells its type, and −0 from 0.
 */
function paramsKey(params: Params, numberOf: (x: unknown) => number): string | undefined {
  const value: unknown = params.value;
  if (isHostArray(value)) {
    const number = value.data[value.offset];
    return value.shape.length === 0
      ? `${value.data.constructor.name} ${Object.is(number, -0) ? '-0' : number}`
      : `array ${numberOf(value)}`; // the same host array, such as a frozen weight used twice
  }
  if ('tape' in params) return undefined;
  return JSON.stringify(params);
}

/** The simplified tape, with the same inputs and outputs. */
export function simplify(tape: Tape): Tape {
  const inputs = tape.inputs.map(input);
  const values = new Map<number, Value>(tape.inputs.map((v, i) => [v.id, inputs[i] as Value]));
  const numbers = new Map<unknown, number>();
  const numberOf = (x: unknown): number => {
    const known = numbers.get(x);
    if (known !== undefined) return known;
    numbers.set(x, numbers.size);
    return numbers.size - 1;
  };
  const valueNumber = (v: Value) => `${numberOf(v.source ?? v)}.${v.index}`;
  const known = new Map<string, readonly Value[]>();

  /** The values of an equation, or of an equal one before it. */
  const reuse = (primitive: Primitive, operands: readonly Value[], params: Params) => {
    const text = paramsKey(params, numberOf);
    if (text === undefined) return apply(primitive, operands, params);
    const signature = `${primitive.name}(${operands.map(valueNumber).join()})${text}`;
    const equal = known.get(signature);
    if (equal !== undefined) return equal;
    const fresh = apply(primitive, operands, params);
    known.set(signature, fresh);
    return fresh;
  };
  /** The simplest known form of an equation. */
  const rewrite = (
    primitive: Primitive,
    operands: readonly Value[],
    params: Params,
  ): readonly Value[] => {
    const simpler =
      foldConstant(primitive, operands) ?? identities[primitive.name]?.(operands, params);
    return simpler ? [canonical(simpler)] : reuse(primitive, operands, params);
  };
  /** A value that an identity has built, its new parts rewritten in turn. */
  const canonical = (v: Value): Value => {
    if (v.source === undefined || numbers.has(v.source)) return v;
    const { primitive, inputs: parts, params } = v.source;
    return rewrite(primitive, parts.map(canonical), params)[v.index] as Value;
  };

  for (const { primitive, inputs: ins, params, outputs } of tape.equations as readonly Equation[]) {
    const operands = ins.map((v) => lookUp(values, v));
    const inner = 'tape' in params ? { ...params, tape: simplify(params.tape) } : params;
    const results = rewrite(primitive, operands, inner);
    outputs.forEach((v, i) => {
      const result = results[i] as Value;
      numberOf(result.source ?? result);
      values.set(v.id, result);
    });
  }
  return linearise(
    inputs,
    tape.outputs.map((v) => lookUp(values, v)),
  ).tape;
}
