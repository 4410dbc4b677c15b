/**
 * What is computed inside products: cheap arithmetic, half precision, noise whatever it costs; dear
 * arithmetic only where a single product needs it.
 */
import {
  add,
  convert,
  type HostArray,
  key,
  matmul,
  mul,
  normal,
  reduceSum,
  simplify,
  square,
  type Traceable,
  tanh,
  toHalf,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { planTape } from '../../../src/kernels/plan/plan.js';
import { generator, uniformArray } from '../../support/draw.js';

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);

/** The shapes of what a plan stores. */
const shapesOf = (f: Traceable, args: readonly unknown[], operandCost?: number) =>
  planTape(simplify(trace(f, ...args)), {
    maxReads: 12,
    ...(operandCost !== undefined && { operandCost }),
  }).kernels.map((k) => k.output.shape.join());

describe('operands of products', () => {
  const [x, y, w] = [array(7, 11), array(8, 11), array(11, 5)];
  const two = (operand: (v: Value) => Value) => (a: Value, b: Value, v: Value) => {
    const shared = operand(v);
    return [matmul(a, shared), matmul(b, shared)];
  };
  const one = (operand: (v: Value) => Value) => (a: Value, _: Value, v: Value) =>
    matmul(a, operand(v));
  const inputs = [x, y, w];

  test.each<[string, (v: Value) => Value, number]>([
    ['an addition', (v) => add(v, 1), 0],
    ['a conversion', (v) => convert(convert(v, 'int'), 'float'), 0],
    ['a hyperbolic tangent', tanh, 1],
  ])('%s for several products is stored or not', (_, operand, stored) => {
    const count = (shapes: string[]) => shapes.filter((s) => s === '11,5').length;
    expect(count(shapesOf(two(operand), inputs, 30))).toBe(stored);
    expect(count(shapesOf(two(operand), inputs))).toBe(1);
  });

  test('dear arithmetic for one product is done while copying, within the limit', () => {
    expect(shapesOf(one(tanh), inputs, 30)).toEqual(['7,5']);
    expect(shapesOf(one(tanh), inputs, 29)).toEqual(['11,5', '7,5']);
    expect(
      shapesOf(
        one((v) => tanh(tanh(v))),
        inputs,
        30,
      ),
    ).toEqual(['11,5', '7,5']);
  });

  test('half precision is widened inside', () => {
    const half = [x, y, toHalf(w, 'bfloat16')];
    const widen = (v: Value) => convert(v, 'float');
    expect(shapesOf(two(widen), half, 12)).toEqual(['7,5', '8,5']);
    expect(shapesOf(two(widen), half)).toContain('11,5');
  });

  test('noise is drawn in each product, whatever it costs; for others, too, it is stored', () => {
    const noisy = (k: Value) => (v: Value) => add(v, mul(0.1, normal(k, [11, 5])));
    const products = (a: Value, b: Value, v: Value, k: Value) => two(noisy(k))(a, b, v);
    expect(shapesOf(products, [...inputs, key(1)], 1)).toEqual(['7,5', '8,5']);
    const seen = (a: Value, b: Value, v: Value, k: Value) => [
      ...products(a, b, v, k),
      reduceSum(square(noisy(k)(v)), 1),
    ];
    expect(shapesOf(seen, [...inputs, key(1)], 1)).toContain('11,5');
    const result = (a: Value, b: Value, v: Value, k: Value) => [
      ...products(a, b, v, k),
      noisy(k)(v),
    ];
    expect(shapesOf(result, [...inputs, key(1)], 1).filter((s) => s === '11,5')).toHaveLength(1);
  });

  test('a sum inside an operand is stored', () => {
    const normalised = (v: Value) => mul(v, reduceSum(v, 0));
    expect(shapesOf(one(normalised), inputs, 30)).toEqual(['5', '7,5']);
    const twice = (v: Value) => matmul(v, array(5, 5));
    expect(shapesOf(one(twice), inputs, 30)).toEqual(['11,5', '7,5']);
    // Noise does not change that: nobody sums up again for every element that is copied.
    const merged = (a: Value, _: Value, v: Value, k: Value) =>
      matmul(a, add(twice(v), normal(k, [11, 5])));
    expect(shapesOf(merged, [...inputs, key(1)], 30)).toEqual(['11,5', '7,5']);
  });
});
