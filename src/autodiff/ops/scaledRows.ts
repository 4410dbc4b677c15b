/**
 * Rows scaled by factors that are trained: c ⊙_row (W + s·B·A), DoRA's form of a weight.
 *
 * As it stands it is applied as c ⊙ (x·Wᵀ + s·(x·Aᵀ)·Bᵀ), so no matrix is formed. With something added
 * to it, or rounded, it is the matrix c ⊙ W + Δ whose c is a constant, with the low-rank path beside
 * it, and c's derivative apart: scaling what comes out would scale Δ too.
 */
import type { HalfPrecision } from '../core/aval.js';
import { isValue, type Value } from '../core/value.js';
import { add, mul, stopGradient, sub } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { reshape } from '../primitives/structural.js';
import { square } from './functions.js';
import {
  type Delta,
  denseOperator,
  type LinearOperator,
  type LowRankUpdate,
  lowRankSum,
} from './linearOperator.js';

const column = (x: Value): Value => reshape(x, [x.shape[0] as number, 1]);

/**
 * The operator c ⊙_row (W + s·B·A).
 * @param factors c, [m]; may depend on A and B.
 */
export function scaledLowRankSum(
  base: LinearOperator,
  update: LowRankUpdate,
  factors: Value,
): LinearOperator {
  const inner = lowRankSum(base, update);
  const fixed = stopGradient(factors);
  /** c ⊙ W + s·(c ⊙ B)·A, c a constant. */
  const atFixedFactors = () =>
    lowRankSum(scaledBase(base, fixed), { ...update, b: mul(update.b, column(fixed)) });
  return {
    _tag: 'LinearOperator',
    shape: base.shape,
    apply: (x) => mul(inner.apply(x), factors),
    dense: () => mul(inner.dense(), column(factors)),
    rowNormsSquared: (options) => mul(inner.rowNormsSquared(options), square(factors)),
    plus: (delta) => withFactors(atFixedFactors().plus(delta), inner, factors),
    rounded: (precision) => withFactors(atFixedFactors().rounded(precision), inner, factors),
  };
}

/** c ⊙_row W for constant c, which is multiplied where W is read and never kept. */
function scaledBase(base: LinearOperator, fixed: Value): LinearOperator {
  const matrix = () => mul(base.dense(), column(fixed));
  const scaled = () => denseOperator(matrix(), () => mul(base.rowNormsSquared(), square(fixed)));
  return {
    ...scaled(),
    plus: (delta: Delta) =>
      isValue(delta)
        ? scaled().plus(delta)
        : base.plus({
            operands: [base.dense(), fixed, ...delta.operands],
            make: ([w, c, ...operands]) =>
              add(mul(w as Value, column(sub(c as Value, 1))), delta.make(operands)),
          }),
    rounded: (precision: HalfPrecision) => scaled().rounded(precision),
  };
}

/**
 * An operator with c's derivative of c ⊙ M added to it, of value zero. Derivatives of first order are
 * exact; of the second ones those with c on one side and x, A, B on the other are left out, for the
 * sake of a product that would only multiply zeros.
 */
function withFactors(value: LinearOperator, inner: LinearOperator, factors: Value): LinearOperator {
  const zero = sub(factors, stopGradient(factors));
  const dense = () => add(value.dense(), mul(stopGradient(inner.dense()), column(zero)));
  return {
    _tag: 'LinearOperator',
    shape: value.shape,
    apply: (x) => add(value.apply(x), mul(stopGradient(inner.apply(x)), zero)),
    dense,
    rowNormsSquared: () => reduceSum(square(dense()), -1),
    plus: (delta) => withFactors(value.plus(delta), inner, factors),
    rounded: (precision) => withFactors(value.rounded(precision), inner, factors),
  };
}
