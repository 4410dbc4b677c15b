/**
 * Linear operators: matrices known by what they do, not by their elements.
 *
 * A layer's weight may be a plain array, or a sum such as W + s·B·A that is cheaper to apply than to
 * form. Layers ask only for the functions below, so that a re-parametrised weight can stand wherever
 * an array does.
 */

import { isValue, type Value } from '../core/value.js';
import { matmul, matmulTransposed } from '../primitives/dot.js';
import { add, max, mul } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { transpose } from '../primitives/structural.js';
import { checkpoint } from '../transforms/checkpoint.js';
import { square } from './functions.js';

/**
 * A matrix that is made where it is used, from a few small operands (a key, m norms), and made again
 * in the backward pass instead of being kept for it.
 */
export interface MadeOnDemand {
  readonly operands: readonly Value[];
  /** Must use no traced value but its argument, else that value is kept instead of made again. */
  readonly make: (operands: readonly Value[]) => Value;
}

/** What can be added to an operator: an array, or the recipe of one. */
export type Delta = Value | MadeOnDemand;

/** A matrix W of shape [m, n] (m outputs, n inputs). */
export interface LinearOperator {
  readonly _tag: 'LinearOperator';
  /** [m, n] */
  readonly shape: readonly [number, number];
  /** x [b…, n] → x·Wᵀ [b…, m]. */
  readonly apply: (x: Value) => Value;
  /** The matrix itself, [m, n]. */
  readonly dense: () => Value;
  /** ‖W_i‖² of each output row, [m], without forming the matrix where that is possible. */
  readonly rowNormsSquared: () => Value;
  /** W + Δ for a matrix Δ [m, n]. */
  readonly plus: (delta: Delta) => LinearOperator;
}

/** A weight matrix: an array [m, n] or an operator that stands for one. */
export type Weight = Value | LinearOperator;

/** The array that a delta stands for. */
export const madeDelta = (delta: Delta): Value =>
  isValue(delta) ? delta : delta.make(delta.operands);

/**
 * The operator of an array.
 * @param rowNormsSquared ‖W_i‖², [m], where they are known already; computed otherwise.
 */
export const denseOperator = (
  matrix: Value,
  rowNormsSquared: () => Value = () => reduceSum(square(matrix), -1),
): LinearOperator => ({
  _tag: 'LinearOperator',
  shape: matrix.shape as unknown as readonly [number, number],
  apply: (x) => matmulTransposed(x, matrix),
  dense: () => matrix,
  rowNormsSquared,
  plus: (delta) =>
    isValue(delta) ? denseOperator(add(matrix, delta)) : sumOnDemand(matrix, delta),
});

/** W + Δ whose Δ is made for each product and never kept. */
const sumOnDemand = (matrix: Value, delta: MadeOnDemand): LinearOperator => {
  const dense = () => add(matrix, madeDelta(delta));
  return {
    _tag: 'LinearOperator',
    shape: matrix.shape as unknown as readonly [number, number],
    apply: (x) =>
      checkpoint((input: Value, w: Value, operands: readonly Value[]) =>
        matmulTransposed(input, add(w, delta.make(operands))),
      )(x, matrix, delta.operands),
    dense,
    rowNormsSquared: () => reduceSum(square(dense()), -1),
    plus: (further) =>
      isValue(further)
        ? sumOnDemand(add(matrix, further), delta)
        : sumOnDemand(matrix, {
            operands: [...delta.operands, ...further.operands],
            make: (operands) =>
              add(
                delta.make(operands.slice(0, delta.operands.length)),
                further.make(operands.slice(delta.operands.length)),
              ),
          }),
  };
};

/** The parts of a low-rank update s·B·A. */
export interface LowRankUpdate {
  /** A, [r, n] */
  readonly a: Value;
  /** B, [m, r] */
  readonly b: Value;
  /** s */
  readonly scale: number;
  /** Applied to the input of A only, such as LoRA's dropout; `dense` and the norms leave it out. */
  readonly onInput?: (x: Value) => Value;
}

/**
 * W + s·B·A, applied as x·Wᵀ + s·(x·Aᵀ)·Bᵀ. Neither B·A nor a gradient of the shape of W is formed.
 *
 * Its row norms come from those of W:
 *
 *     ‖W_i + s·B_i A‖² = ‖W_i‖² + 2s·B_i(A W_iᵀ) + s²·B_i(A Aᵀ)B_iᵀ
 *
 * clipped at 0, which rounding could pass where the two parts cancel.
 */
export const lowRankSum = (base: LinearOperator, update: LowRankUpdate): LinearOperator => {
  const { a, b, scale, onInput = (x: Value) => x } = update;
  return {
    _tag: 'LinearOperator',
    shape: base.shape,
    apply: (x) =>
      add(base.apply(x), matmulTransposed(mul(matmulTransposed(onInput(x), a), scale), b)),
    dense: () => add(base.dense(), mul(scale, matmul(b, a))),
    rowNormsSquared: () => {
      const cross = reduceSum(mul(b, transpose(base.apply(a))), -1);
      const own = reduceSum(mul(matmul(b, matmulTransposed(a, a)), b), -1);
      const mixed = add(mul(2 * scale, cross), mul(scale * scale, own));
      return max(add(base.rowNormsSquared(), mixed), 0);
    },
    plus: (delta) => lowRankSum(base.plus(delta), update),
  };
};

/** Any weight as an operator. */
export const asOperator = (weight: Weight): LinearOperator =>
  isValue(weight) ? denseOperator(weight) : weight;
