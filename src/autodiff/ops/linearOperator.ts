/**
 * Linear operators: matrices known by what they do, not by their elements.
 *
 * A layer's weight may be a plain array, or a sum such as W + s·B·A that is cheaper to apply than to
 * form. Layers ask only for the functions below, so that a re-parametrised weight can stand wherever
 * an array does.
 */

import { type HalfPrecision, range } from '../core/aval.js';
import { FlatloraError } from '../core/errors.js';
import { isValue, type Value } from '../core/value.js';
import { matmul, matmulTransposed } from '../primitives/dot.js';
import { add, max, mul, roundTo, stopGradient, sub, widened } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { sliceAxis } from '../primitives/slicing.js';
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

/** How row norms are wanted. */
export interface NormOptions {
  /** Whether they are to be constants of the differentiation, as those of Eq. 7 are; not by default. */
  readonly detached?: boolean;
}

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
  readonly rowNormsSquared: (options?: NormOptions) => Value;
  /** W + Δ for a matrix Δ [m, n]. */
  readonly plus: (delta: Delta) => LinearOperator;
  /** The matrix rounded to a half precision; its derivative is taken as that of the matrix. */
  readonly rounded: (precision: HalfPrecision) => LinearOperator;
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
  rounded: (precision) => denseOperator(roundTo(matrix, precision)),
});

/** W + Δ, perhaps rounded, whose Δ is made for each product and never kept. */
const sumOnDemand = (
  matrix: Value,
  delta: MadeOnDemand,
  precision?: HalfPrecision,
): LinearOperator => {
  const sum = (w: Value, operands: readonly Value[]): Value => {
    const exact = add(w, delta.make(operands));
    return precision === undefined ? exact : roundTo(exact, precision);
  };
  const dense = () => sum(matrix, delta.operands);
  return {
    _tag: 'LinearOperator',
    shape: matrix.shape as unknown as readonly [number, number],
    apply: (x) =>
      checkpoint((input: Value, w: Value, operands: readonly Value[]) =>
        matmulTransposed(input, sum(w, operands)),
      )(x, matrix, delta.operands),
    dense,
    rowNormsSquared: () => reduceSum(square(dense()), -1),
    plus: (further) => {
      if (precision !== undefined) return denseOperator(dense()).plus(further);
      return isValue(further)
        ? sumOnDemand(add(matrix, further), delta)
        : sumOnDemand(matrix, {
            operands: [...delta.operands, ...further.operands],
            make: (operands) =>
              add(
                delta.make(operands.slice(0, delta.operands.length)),
                further.make(operands.slice(delta.operands.length)),
              ),
          });
    },
    rounded: (next) =>
      precision === undefined
        ? sumOnDemand(matrix, delta, next)
        : denseOperator(roundTo(dense(), next)),
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

/** Ranks up to this are written out in `unrolledNorms`. */
const UNROLLED_RANK = 16;

/**
 * ‖W_i + s·Σ_k B_ik A_k‖² as it stands, the sum over the rank written out: one kernel that reads W once and
 * forms no matrix, where the expansion below is three small products. A constant of the differentiation.
 */
function unrolledNorms(matrix: Value, { a, b, scale }: LowRankUpdate): Value {
  const [fixedA, fixedB] = [stopGradient(a), stopGradient(mul(b, scale))];
  const terms = range(a.shape[0] as number).map((k) =>
    mul(sliceAxis(fixedB, 1, k, k + 1), sliceAxis(fixedA, 0, k, k + 1)),
  );
  return reduceSum(square(terms.reduce((sum, term) => add(sum, term), stopGradient(matrix))), -1);
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
    rowNormsSquared: ({ detached = false } = {}) => {
      if (detached && (a.shape[0] as number) <= UNROLLED_RANK) {
        return unrolledNorms(base.dense(), update);
      }
      const cross = reduceSum(mul(b, transpose(base.apply(a))), -1);
      const own = reduceSum(mul(matmul(b, matmulTransposed(a, a)), b), -1);
      const mixed = add(mul(2 * scale, cross), mul(scale * scale, own));
      return max(add(base.rowNormsSquared(), mixed), 0);
    },
    plus: (delta) => lowRankSum(base.plus(delta), update),
    rounded: (precision) => {
      const merged = mul(scale, matmul(stopGradient(b), stopGradient(a)));
      return throughLowRank(base.plus(merged).rounded(precision), update);
    },
  };
};

/**
 * A matrix whose value is given and whose derivatives in A and B are those of s·B·A: the low-rank
 * product is added and taken away again as a constant in A and B, so that only its derivatives stay.
 * As in `lowRankSum` no gradient of the shape of the matrix is formed.
 */
const throughLowRank = (
  value: LinearOperator,
  { a, b, scale, onInput = (x: Value) => x }: LowRankUpdate,
): LinearOperator => {
  /** Zero, with the derivatives of f(A, B) in A and B. */
  const derivativesOf = (f: (a: Value, b: Value) => Value) =>
    sub(f(a, b), f(stopGradient(a), stopGradient(b)));
  const dense = () =>
    add(
      value.dense(),
      derivativesOf((p, q) => mul(scale, matmul(q, p))),
    );
  const again = (next: LinearOperator) => throughLowRank(next, { a, b, scale, onInput });
  return {
    _tag: 'LinearOperator',
    shape: value.shape,
    apply: (x) => {
      if (onInput(x) !== x) {
        throw new FlatloraError(
          'argument',
          "rounded: the merged weight has no input of A of its own; turn the adapter's dropout off",
        );
      }
      return add(
        value.apply(x),
        derivativesOf((p, q) => matmulTransposed(mul(matmulTransposed(x, p), scale), q)),
      );
    },
    dense,
    rowNormsSquared: () => reduceSum(square(dense()), -1),
    plus: (delta) => again(value.plus(delta)),
    rounded: (precision) => again(value.rounded(precision)),
  };
};

/** Any weight as an operator; one in half precision is widened where it is used. */
export const asOperator = (weight: Weight): LinearOperator =>
  isValue(weight) ? denseOperator(widened(weight)) : weight;
