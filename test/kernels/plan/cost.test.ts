/** Costs of kernels against counts made by hand. */
import {
  add,
  exp,
  floats,
  gather,
  ints,
  matmul,
  mul,
  reduceSum,
  simplify,
  sub,
  type Traceable,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { kernelCost, totalCost } from '../../../src/kernels/plan/cost.js';
import { planTape } from '../../../src/kernels/plan/plan.js';

const costsOf = (f: Traceable, ...examples: unknown[]) =>
  planTape(simplify(trace(f as never, ...(examples as never[]))), {
    maxReads: 12,
    operandCost: 30,
  }).kernels.map(kernelCost);
const zeros = (...shape: number[]) =>
  floats(new Float64Array(shape.reduce((n, d) => n * d, 1)), shape);

test('a product is 2·m·n·k and reads each operand once', () => {
  const [cost, ...others] = costsOf(
    (a: Value, b: Value) => matmul(a, b),
    zeros(6, 10),
    zeros(10, 7),
  );
  expect(others).toEqual([]);
  expect(cost).toEqual({ flops: 2 * 6 * 7 * 10, bytes: 4 * (60 + 70 + 42) });
});

test('a bias and a scale are one operation an element; an operand’s prologue one an element of it', () => {
  const [cost, ...others] = costsOf(
    (a: Value, b: Value, c: Value) => mul(3, add(matmul(a, mul(2, b)), c)),
    zeros(6, 10),
    zeros(10, 7),
    zeros(7),
  );
  expect(others).toEqual([]);
  expect(cost).toEqual({ flops: 840 + 2 * 42 + 70, bytes: 4 * (60 + 70 + 7 + 42) });
});

test('a sum of n numbers is n operations', () => {
  expect(costsOf((a: Value) => reduceSum(a, 1), zeros(5, 8))).toEqual([
    { flops: 40, bytes: 4 * 45 },
  ]);
});

test('of what is gathered only the rows that are read count', () => {
  const [cost] = costsOf(
    (a: Value, i: Value) => mul(2, gather(a, i)),
    zeros(1000, 8),
    ints([3, 5]),
  );
  expect(cost).toEqual({ flops: 16, bytes: 4 * (16 + 2 + 16) });
});

test('a buffer that is read many times counts once', () => {
  const [cost] = costsOf((a: Value) => sub(exp(a), a), zeros(9));
  expect(cost).toEqual({ flops: 18, bytes: 4 * 18 });
  expect(totalCost([cost, cost] as never)).toEqual({ flops: 36, bytes: 144 });
});
