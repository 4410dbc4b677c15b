/**
 * Linear operators: matrices known by what they do, not by their elements.
 *
 * A layer's weight may be a plain array, or a sum such as W + s·B·A that is cheaper to apply than to
 * form. Layers ask only for the functions below, so that a re-parametrised weight can stand wherever
 * an array does.
 */

import { isValue, type Value } from '../core/value.js';
import { matmulTransposed } from '../primitives/dot.js';
import { add } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { square } from './functions.js';

/** A matrix W of shape [m, n] (m outputs, n inputs). */
export interface LinearOperator {
  readonly _tag: 'LinearOperator';
  /** x [b…, n] → x·Wᵀ [b…, m]. */
  readonly apply: (x: Value) => Value;
  /** The matrix itself, [m, n]. */
  readonly dense: () => Value;
  /** ‖W_i‖² of each output row, [m], without forming the matrix where that is possible. */
  readonly rowNormsSquared: () => Value;
  /** W + Δ for an array Δ [m, n]. */
  readonly plus: (delta: Value) => LinearOperator;
}

/** A weight matrix: an array [m, n] or an operator that stands for one. */
export type Weight = Value | LinearOperator;

/** The operator of an array. */
export const denseOperator = (matrix: Value): LinearOperator => ({
  _tag: 'LinearOperator',
  apply: (x) => matmulTransposed(x, matrix),
  dense: () => matrix,
  rowNormsSquared: () => reduceSum(square(matrix), -1),
  plus: (delta) => denseOperator(add(matrix, delta)),
});

/** Any weight as an operator. */
export const asOperator = (weight: Weight): LinearOperator =>
  isValue(weight) ? denseOperator(weight) : weight;
