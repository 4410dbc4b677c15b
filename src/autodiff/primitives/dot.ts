/**
 * The general product of two arrays: sums over pairs of contracted axes, keeps pairs of batch axes.
 *
 *     out[b…, i…, j…] = Σₖ lhs[b…, i…, k…] · rhs[b…, j…, k…]
 *
 * Which axes are which is a parameter, so that no operand is ever transposed in memory first: x·W,
 * x·Wᵀ and both products of the backward pass are the same primitive.
 */
import * as E from 'fp-ts/lib/Either.js';
import { aval, broadcastShapes, range, type Shape, sameShape, showShape } from '../core/aval.js';
import { FlatloraError, fail } from '../core/errors.js';
import { bind, type Primitive, type Value } from '../core/value.js';
import { add } from './elementwise.js';
import { lift, type Operand } from './source.js';
import { broadcastTo, moveAxis, reshape, transpose } from './structural.js';

/** Axis pairs: `contract[0][i]` of lhs goes with `contract[1][i]` of rhs; the same for `batch`. */
export interface DotParams {
  readonly contract: readonly [Shape, Shape];
  readonly batch: readonly [Shape, Shape];
}

/** The axes of an operand that are neither contracted nor batch axes. */
export const freeAxes = (rank: number, contract: Shape, batch: Shape): number[] =>
  range(rank).filter((a) => !contract.includes(a) && !batch.includes(a));

const pick = (shape: Shape, axes: Shape): number[] => axes.map((a) => shape[a] as number);

export const dotPrimitive: Primitive<DotParams> = {
  name: 'dot',
  doc: 'Σ over the `contract` axis pairs of lhs · rhs, for each index of the `batch` axis pairs. Result axes: batch, free axes of lhs, free axes of rhs.',
  shape: ([lhs, rhs], { contract, batch }) => {
    if (lhs?.dtype !== 'float' || rhs?.dtype !== 'float') {
      return fail('dtype', `dot: operands are ${lhs?.dtype} and ${rhs?.dtype}, expected float`);
    }
    const proper = ([lhs, rhs] as const).every(({ shape }, side) => {
      const axes = [...(contract[side] as Shape), ...(batch[side] as Shape)];
      return axes.every((a, i) => shape[a] !== undefined && axes.indexOf(a) === i);
    });
    if (!proper) {
      const named = [...contract, ...batch].map(showShape).join(' ');
      return fail(
        'argument',
        `dot: axes ${named} must be distinct axes of ${showShape(lhs.shape)} and ${showShape(rhs.shape)}`,
      );
    }
    for (const [kind, axes] of [
      ['inner dimensions', contract],
      ['batch dimensions', batch],
    ] as const) {
      if (!sameShape(pick(lhs.shape, axes[0]), pick(rhs.shape, axes[1]))) {
        return fail(
          'shape',
          `dot: ${kind} differ: ${showShape(lhs.shape)} · ${showShape(rhs.shape)}`,
        );
      }
    }
    const shape = [
      ...pick(lhs.shape, batch[0]),
      ...pick(lhs.shape, freeAxes(lhs.shape.length, contract[0], batch[0])),
      ...pick(rhs.shape, freeAxes(rhs.shape.length, contract[1], batch[1])),
    ];
    return E.right([aval(shape, 'float')]);
  },
  vjp: ({ inputs: [lhs, rhs], cotangents: [g], params }) => [
    operandCotangent(g as Value, lhs as Value, rhs as Value, params, 0),
    operandCotangent(g as Value, rhs as Value, lhs as Value, params, 1),
  ],
  jvp: ({ inputs: [lhs, rhs], tangents: [dl, dr], params }) => {
    const left = dl && bind(dotPrimitive, [dl, rhs as Value], params);
    const right = dr && bind(dotPrimitive, [lhs as Value, dr], params);
    return [left && right ? add(left, right) : (left ?? right)];
  },
  batch: ({ inputs, batched, params: { contract, batch } }) => {
    const shift = (axes: Shape, side: 0 | 1) => axes.map((a) => (batched[side] ? a + 1 : a));
    const both = batched[0] && batched[1];
    const moved: DotParams = {
      contract: [shift(contract[0], 0), shift(contract[1], 1)],
      batch: [
        [...(both ? [0] : []), ...shift(batch[0], 0)],
        [...(both ? [0] : []), ...shift(batch[1], 1)],
      ],
    };
    const out = bind(dotPrimitive, inputs, moved);
    if (both) return [out];
    // The batch is a free axis of one operand: it comes first among that operand's free axes.
    const lhsFree = (inputs[0] as Value).shape.length - contract[0].length - batch[0].length;
    return [moveAxis(out, batch[0].length + (batched[0] ? 0 : lhsFree), 0)];
  },
};

/** The cotangent of one operand: the product of `g` with the other, laid out as the operand is. */
function operandCotangent(
  g: Value,
  self: Value,
  other: Value,
  { contract, batch }: DotParams,
  side: 0 | 1,
): Value {
  const mine = side;
  const theirs = (1 - side) as 0 | 1;
  const selfFree = freeAxes(self.shape.length, contract[mine], batch[mine]);
  const otherFree = freeAxes(other.shape.length, contract[theirs], batch[theirs]);
  const batches = batch[0].length;
  const lhsFreeCount = side === 0 ? selfFree.length : otherFree.length;
  // Where the other operand's free axes stand in g: behind the batch axes, lhs before rhs.
  const from = side === 0 ? batches + lhsFreeCount : batches;
  const product = bind(dotPrimitive, [g, other], {
    contract: [otherFree.map((_, i) => from + i), otherFree],
    batch: [range(batches), batch[theirs]],
  });
  // The product's axes: batch, free axes of self, then the other's contracted axes in their order.
  const contracted = [...contract[theirs]].sort((a, b) => a - b);
  const sources = [
    ...batch[mine],
    ...selfFree,
    ...contracted.map((a) => contract[mine][contract[theirs].indexOf(a)] as number),
  ];
  return transpose(
    product,
    range(self.shape.length).map((axis) => sources.indexOf(axis)),
  );
}

/** The general product with explicit axes. */
export const dot = (lhs: Operand, rhs: Operand, params: DotParams): Value =>
  bind(dotPrimitive, [lift(lhs), lift(rhs)], params);

/** Checks a product's inner axes, and repeats leading axes of size 1 where the other side has more. */
function alignStacks(
  name: string,
  lhs: Operand,
  rhs: Operand,
  innerB: -1 | -2,
): { readonly a: Value; readonly b: Value; readonly batch: Shape } {
  const [a, b] = [lift(lhs), lift(rhs)];
  const shapes = `${showShape(a.shape)} · ${showShape(b.shape)}`;
  if (a.shape.length < 1 || b.shape.length < 2) {
    throw new FlatloraError(
      'shape',
      `${name}: operands are ${shapes}, expected at least a vector and a matrix`,
    );
  }
  if (a.shape.at(-1) !== b.shape.at(innerB)) {
    throw new FlatloraError('shape', `${name}: inner dimensions differ: ${shapes}`);
  }
  const [la, lb] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  if (la.length === 0 || lb.length === 0) return { a, b, batch: [] };
  const joint = broadcastShapes(la, lb);
  if (joint === undefined) {
    throw new FlatloraError('shape', `${name}: batch dimensions differ: ${shapes}`);
  }
  const repeat = (x: Value) => broadcastTo(x, [...joint, ...x.shape.slice(-2)]);
  return { a: repeat(a), b: repeat(b), batch: range(joint.length) };
}

/**
 * Matrix product over the last two axes: [b…,m,k] · [b…,k,n] → [b…,m,n]. Leading axes are equal,
 * broadcast, or stand on one side only; a vector on either side has no m or n.
 */
export function matmul(lhs: Operand, rhs: Operand): Value {
  const right = lift(rhs);
  if (right.shape.length === 1) {
    const column = matmul(lhs, reshape(right, [right.shape[0] as number, 1]));
    return reshape(column, column.shape.slice(0, -1));
  }
  const { a, b, batch } = alignStacks('matmul', lhs, right, -2);
  const out = dot(a, b, {
    contract: [[a.shape.length - 1], [b.shape.length - 2]],
    batch: [batch, batch],
  });
  // With a batch on the right alone the result reads [m, b…, n]; bring m behind the batch.
  const alone = batch.length === 0 && b.shape.length > 2 && a.shape.length === 2;
  return alone ? moveAxis(out, 0, b.shape.length - 2) : out;
}

/** Product with a transposed right side: [b…,m,k] · [b…,n,k] → [b…,m,n]; a linear layer's `x Wᵀ`. */
export function matmulTransposed(lhs: Operand, rhs: Operand): Value {
  const { a, b, batch } = alignStacks('matmulTransposed', lhs, rhs, -1);
  const out = dot(a, b, {
    contract: [[a.shape.length - 1], [b.shape.length - 1]],
    batch: [batch, batch],
  });
  const alone = batch.length === 0 && b.shape.length > 2 && a.shape.length === 2;
  return alone ? moveAxis(out, 0, b.shape.length - 2) : out;
}
