/** Values and derivatives at the points that the strategies of the laws stay away from. */
import {
  abs,
  convert,
  div,
  exp,
  floats,
  floor,
  grad,
  hostArray,
  ints,
  jvp,
  log,
  lt,
  max,
  min,
  mul,
  pow,
  reduceMax,
  reduceSum,
  relu,
  select,
  sign,
  softplus,
  sqrt,
  type Value,
} from '../../src/autodiff/index.js';
import { numbers } from '../support/numeric.js';

/** −0 counts as 0. */
const unsigned = (xs: readonly number[]): number[] => xs.map((x) => x + 0);

const derivative = (f: (x: Value) => Value, ...at: number[]): number[] =>
  numbers((x: Value) => grad((y: Value) => reduceSum(f(y)))(x), floats(at));
const forward = (f: (x: Value) => Value, ...at: number[]): number[] =>
  numbers((x: Value) => jvp(f, [x], [floats(at.map(() => 1))]).tangents, floats(at));

test.each([
  ['abs', abs, [0, -0, 2], [0, 0, 1]],
  ['relu', relu, [0, -1, 1], [0, 0, 1]],
  ['sign', sign, [0, -3], [0, 0]],
  ['floor', floor, [1, 1.5], [0, 0]],
  ['sqrt', sqrt, [0, 4], [Infinity, 0.25]],
  ['log', log, [0, 2], [Infinity, 0.5]],
  ['softplus', softplus, [0, 700, -700], [0.5, 1, Math.exp(-700)]],
  ['max with itself: the halves add up', (x: Value) => max(x, x), [2], [1]],
  ['max with a tied constant', (x: Value) => max(x, 2), [2, 3, 1], [0.5, 1, 0]],
  ['min with a tied constant', (x: Value) => min(x, 2), [2, 3, 1], [0.5, 0, 1]],
  ['1/x', (x: Value) => div(1, x), [2, 0], [-0.25, -Infinity]],
  ['x⁰', (x: Value) => pow(x, 0), [0, 2, -2], [0, 0, 0]],
  ['x¹', (x: Value) => pow(x, 1), [0, 2, -2], [1, 1, 1]],
  ['x³', (x: Value) => pow(x, 3), [0, 2, -2], [0, 12, 12]],
  ['reduceMax: ties share', (x: Value) => reduceMax(x), [3, 1, 3], [0.5, 0, 0.5]],
] as const)('%s', (_, f, at, expected) => {
  expect(unsigned(derivative(f, ...at))).toEqual([...expected]);
  const total = expected.reduce((a: number, b) => a + b, 0);
  const tangents = unsigned(forward(f, ...at));
  // A scalar result moves by the sum of all partial derivatives.
  expect(tangents).toEqual(tangents.length === 1 ? [total] : [...expected]);
});

test('second derivatives where a power or a kink would spoil them', () => {
  const second = (f: (x: Value) => Value, ...at: number[]) =>
    derivative((x) => grad((y: Value) => reduceSum(f(y)))(x), ...at);
  expect(second(softplus, 0)[0]).toBeCloseTo(0.25, 15);
  expect(second((x) => pow(x, 1), 0, 2)).toEqual([0, 0]);
  expect(second((x) => pow(x, 2), 0, 2)).toEqual([2, 2]);
});

test('pow: the derivative by the exponent at bases that are not positive', () => {
  const byExponent = (x: number) =>
    numbers((y: Value) => grad((z: Value) => pow(x, z))(y), floats([2], []))[0];
  expect(byExponent(0)).toBe(0);
  expect(byExponent(-3)).toBe(0);
  expect(byExponent(Math.E)).toBeCloseTo(Math.E ** 2, 12);
});

test('the branch that select does not take adds no NaN where its own derivative is finite', () => {
  const safe = (x: Value) => select(lt(0, x), log(select(lt(0, x), x, 1)), 0);
  expect(derivative(safe, 0, -1, 2)).toEqual([0, 0, 0.5]);
});

test('overflow and NaN go through as IEEE says', () => {
  expect(numbers(exp, floats([1000, -1000, Number.NaN]))).toEqual([Infinity, 0, Number.NaN]);
  expect(numbers((x: Value) => mul(0, x), floats([Infinity, Number.NaN, 1]))).toEqual([
    Number.NaN,
    Number.NaN,
    0,
  ]);
  expect(numbers((x: Value) => reduceMax(x), floats([1, Number.NaN, 3]))).toEqual([Number.NaN]);
  expect(numbers((x: Value) => max(x, 1), floats([Number.NaN]))).toEqual([Number.NaN]);
});

test('conversions', () => {
  const toInt = (x: Value) => convert(x, 'int');
  expect(numbers(toInt, floats([1.9, -1.9, 0, -0.5]))).toEqual([1, -1, 0, 0]);
  expect(numbers((x: Value) => convert(x, 'float'), ints([-3, 7]))).toEqual([-3, 7]);
  const bools = hostArray(Uint8Array.from([1, 0]), [2]);
  expect(numbers((x: Value) => convert(x, 'float'), bools)).toEqual([1, 0]);
});
