/** Sorting by comparing all pairs, which needs no branches: right for the few values of small matrices. */
import type { Value } from '../core/value.js';
import { matmulTransposed } from '../primitives/dot.js';
import { add, convert, equal, lt, mul } from '../primitives/elementwise.js';
import { reduceSum } from '../primitives/reduce.js';
import { iota } from '../primitives/source.js';
import { reshape } from '../primitives/structural.js';

/**
 * Which value comes where in descending order, ties in the order given: [L, n] → [L, n, n] with 1 at
 * (k, j) when value j comes k-th.
 */
export function descending(values: Value): Value {
  const [count, n] = values.shape as readonly [number, number];
  const mine = reshape(values, [count, n, 1]);
  const others = reshape(values, [count, 1, n]);
  const earlier = convert(lt(iota([n, n], 1), iota([n, n], 0)), 'float');
  const before = add(
    convert(lt(mine, others), 'float'),
    mul(convert(equal(mine, others), 'float'), earlier),
  );
  const rank = convert(reduceSum(before, 2), 'int');
  return convert(equal(reshape(rank, [count, 1, n]), iota([count, n, n], 1)), 'float');
}

/** Values [L, n] in an order. */
export const orderValues = (order: Value, values: Value): Value => {
  const [count, n] = values.shape as readonly [number, number];
  return reduceSum(mul(order, reshape(values, [count, 1, n])), 2);
};

/** The columns of [L, m, n] in an order. */
export const orderColumns = (order: Value, matrices: Value): Value =>
  matmulTransposed(matrices, order);
