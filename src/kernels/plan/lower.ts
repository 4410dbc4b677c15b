/**
 * Lowering: from a fused tape to kernels. The expression of a stored variable is found by asking each
 * equation, from the result backwards, for its element at given coordinates.
 */
import {
  type DotParams,
  type Equation,
  freeAxes,
  type HostArray,
  numberAt,
  PURPOSE,
  type Tape,
  type Var,
} from '../../autodiff/index.js';
import {
  type Condition,
  type Expression,
  type FoldKind,
  number,
  positionsOf,
} from './expression.js';
import { throughReshapes } from './fuse.js';
import {
  fixed,
  flatten,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  positionKey,
  quotient,
  regroup,
  times,
  wantedCut,
} from './position.js';

/** The position that loops over the parts of one axis stand for, the outermost part first. */
export const joint = (parts: readonly LoopVariable[]): Position =>
  flatten(
    parts.map((v) => v.size),
    parts.map(ofAtom),
  );

/** A cut that one of the loops needs so that the expression does without a division. */
export const cutOf = (body: Expression, loops: readonly LoopVariable[]) =>
  positionsOf(body)
    .map(wantedCut)
    .find((cut) => cut !== undefined && loops.some((v) => v.name === cut.name));

/** The parts of an axis with one of them cut in two. */
export const cutLoop = (
  parts: readonly LoopVariable[],
  cut: { readonly name: string; readonly inner: number },
  fresh: (size: number) => LoopVariable,
): readonly LoopVariable[] =>
  parts.flatMap((v) => (v.name === cut.name ? [fresh(v.size / cut.inner), fresh(cut.inner)] : [v]));

/** Makes the expression of a variable's element at coordinates. */
export type ElementAt = (variable: Var, coordinates: readonly Position[]) => Expression;

/** The number of a scalar constant. */
export const scalarConstant = (equation: Equation | undefined): number | undefined => {
  const value: HostArray | undefined =
    equation?.primitive.name === 'constant' ? equation.params.value : undefined;
  return value !== undefined && value.shape.length === 0
    ? numberAt(value, value.offset)
    : undefined;
};

const at = (coordinates: readonly Position[], axis: number): Position =>
  coordinates[axis] as Position;

/**
 * @param stored the variables that are in memory: each is loaded, except `root`, which is computed.
 * @param root the variable that the kernel fills.
 */
export function elementOf(
  tape: Tape,
  definitions: ReadonlyMap<number, Equation>,
  stored: ReadonlySet<number>,
  root: Var,
): ElementAt {
  let loops = 0;
  const fresh = (size: number): LoopVariable => ({ kind: 'loop', name: `k${loops++}`, size });
  const inputs = new Set(tape.inputs.map((v) => v.id));
  const known = new Map<string, Expression>();

  const element: ElementAt = (variable, coordinates) => {
    const key = `${variable.id}@${coordinates.map(positionKey).join()}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const made = make(variable, coordinates);
    known.set(key, made);
    return made;
  };

  const make: ElementAt = (variable, coordinates) => {
    const inMemory =
      inputs.has(variable.id) || (stored.has(variable.id) && variable.id !== root.id);
    const equation = inMemory ? undefined : definitions.get(variable.id);
    const literal = scalarConstant(equation);
    if (literal !== undefined) return number(literal);
    if (equation === undefined || equation.primitive.name === 'constant') {
      if (variable.shape.includes(0)) return number(0);
      return { kind: 'load', buffer: variable, at: flatten(variable.shape, coordinates) };
    }
    return rule(equation, coordinates);
  };

  /** A fold over axes of the operands; `body` gets the coordinates of the folded axes. */
  const fold = (
    kind: FoldKind,
    sizes: readonly number[],
    body: (folded: readonly Position[]) => Expression,
  ): Expression => {
    if (sizes.includes(0)) return number(kind === 'max' ? Number.NEGATIVE_INFINITY : 0);
    let axes = sizes.map((size): readonly LoopVariable[] => [fresh(size)]);
    for (;;) {
      const made = body(axes.map(joint));
      const loops = axes.flat().filter((v) => v.size > 1);
      // An index of the greatest element needs its one loop whole.
      const cut = kind === 'argmax' ? undefined : cutOf(made, loops);
      if (cut === undefined) return { kind: 'fold', fold: kind, loops, body: made };
      axes = axes.map((parts) => cutLoop(parts, cut, fresh));
    }
  };

  const apply = (name: string, operands: readonly Expression[]): Expression => ({
    kind: 'apply',
    name,
    operands,
    dtype: 'float',
    from: 'float',
  });

  const rule = (equation: Equation, coordinates: readonly Position[]): Expression => {
    const { primitive, inputs: operands, params, outputs } = equation;
    const [x, y] = operands as readonly [Var, Var];
    const output = outputs[0] as Var;
    if (primitive.scalar !== undefined) {
      return {
        kind: 'apply',
        name: primitive.name,
        operands: operands.map((v) => element(v, coordinates)),
        dtype: output.dtype,
        from: x.dtype,
      };
    }
    switch (primitive.name) {
      case 'iota':
        return { kind: 'position', at: at(coordinates, params.axis) };
      case 'broadcast':
        return element(
          x,
          params.axes.map((a: number) => at(coordinates, a)),
        );
      case 'reshape':
        return element(x, regroup(output.shape, x.shape, coordinates));
      case 'transpose':
        return element(
          x,
          x.shape.map((_, axis) => at(coordinates, params.permutation.indexOf(axis))),
        );
      case 'slice':
        return element(
          x,
          coordinates.map((c, i) => plus(times(c, params.stride[i]), fixed(params.start[i]))),
        );
      case 'pad':
        return padded(x, params, coordinates);
      case 'concat':
        return joined(operands, params.axis, coordinates);
      case 'reduceSum':
      case 'reduceMax': {
        const { axes } = params;
        return fold(
          primitive.name === 'reduceSum' ? 'sum' : 'max',
          axes.map((a: number) => x.shape[a]),
          (folded) => {
            let kept = 0;
            return element(
              x,
              x.shape.map((_, a) =>
                axes.includes(a) ? (folded[axes.indexOf(a)] as Position) : at(coordinates, kept++),
              ),
            );
          },
        );
      }
      case 'argmax':
        return fold('argmax', [x.shape[params.axis] as number], ([k]) =>
          element(x, [
            ...coordinates.slice(0, params.axis),
            k as Position,
            ...coordinates.slice(params.axis),
          ]),
        );
      case 'dot':
        return product(x, y, params, coordinates);
      case 'gather': {
        const lead = y.shape.length;
        const width = x.shape.slice(1).reduce((n, d) => n * d, 1);
        if (x.shape.includes(0)) return number(0);
        return {
          kind: 'gather',
          buffer: throughReshapes(x, definitions),
          row: element(y, coordinates.slice(0, lead)),
          rows: x.shape[0] as number,
          width,
          at: flatten(x.shape.slice(1), coordinates.slice(lead)),
        };
      }
      case 'scatterAdd': {
        const [row, ...rest] = coordinates;
        return fold('sum', x.shape, (folded) =>
          apply('select', [
            apply('equal', [element(x, folded), { kind: 'position', at: row as Position }]),
            element(y, [...folded, ...rest]),
            number(0),
          ]),
        );
      }
      case 'randomBits':
      case 'randomNormal': {
        const keys = coordinates.slice(0, x.shape.length - 1);
        return {
          kind: primitive.name === 'randomBits' ? 'randomWord' : 'randomNormal',
          key: [element(x, [...keys, fixed(0)]), element(x, [...keys, fixed(1)])],
          at: flatten(params.shape, coordinates.slice(keys.length)),
        };
      }
      case 'deriveKey': {
        const keys = coordinates.slice(0, -1);
        return {
          kind: 'derivedWord',
          key: [element(x, [...keys, fixed(0)]), element(x, [...keys, fixed(1)])],
          purpose: PURPOSE[params.purpose as keyof typeof PURPOSE],
          data: element(y, keys),
          word: at(coordinates, coordinates.length - 1),
        };
      }
      default:
        throw new Error(`no lowering for primitive ${primitive.name}`);
    }
  };

  const padded = (
    x: Var,
    params: { low: number[]; interior: number[] },
    coordinates: readonly Position[],
  ): Expression => {
    if (x.shape.includes(0)) return number(0);
    const conditions: Condition[] = [];
    const inner = coordinates.map((c, i): Position => {
      const step = (params.interior[i] as number) + 1;
      const low = params.low[i] as number;
      const high = low + ((x.shape[i] as number) - 1) * step + 1;
      conditions.push({ at: c, low, high, step });
      // Outside the range this position means nothing; the guard's other side is taken.
      return quotient(plus(c, fixed(-low)), step);
    });
    return { kind: 'guard', conditions, inside: element(x, inner), outside: number(0) };
  };

  const joined = (
    operands: readonly Var[],
    axis: number,
    coordinates: readonly Position[],
  ): Expression => {
    const present = operands.filter((v) => !v.shape.includes(0));
    let end = present.reduce((n, v) => n + (v.shape[axis] as number), 0);
    return present.reduceRight<Expression | undefined>((later, v) => {
      const start = end - (v.shape[axis] as number);
      const inside = element(
        v,
        coordinates.map((c, a) => (a === axis ? plus(c, fixed(-start)) : c)),
      );
      const condition = { at: at(coordinates, axis), low: start, high: end, step: 1 };
      end = start;
      return later === undefined
        ? inside
        : { kind: 'guard', conditions: [condition], inside, outside: later };
    }, undefined) as Expression;
  };

  const product = (
    lhs: Var,
    rhs: Var,
    { contract, batch }: DotParams,
    coordinates: readonly Position[],
  ): Expression => {
    const lhsFree = freeAxes(lhs.shape.length, contract[0], batch[0]);
    const rhsFree = freeAxes(rhs.shape.length, contract[1], batch[1]);
    const place = (
      v: Var,
      side: 0 | 1,
      free: readonly number[],
      from: number,
      folded: readonly Position[],
    ) =>
      v.shape.map((_, a) => {
        const [c, b] = [contract[side].indexOf(a), batch[side].indexOf(a)];
        if (c >= 0) return folded[c] as Position;
        return at(coordinates, b >= 0 ? b : from + free.indexOf(a));
      });
    return fold(
      'sum',
      contract[0].map((a) => lhs.shape[a] as number),
      (folded) =>
        apply('mul', [
          element(lhs, place(lhs, 0, lhsFree, batch[0].length, folded)),
          element(rhs, place(rhs, 1, rhsFree, batch[0].length + lhsFree.length, folded)),
        ]),
    );
  };

  return element;
}
