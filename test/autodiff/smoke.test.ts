import {
  checkpoint,
  floats,
  gelu,
  grad,
  hessian,
  hostPermutation,
  hvp,
  jacobian,
  key,
  matmul,
  mul,
  normal,
  permutation,
  printTape,
  reduceSum,
  simplify,
  sin,
  softmax,
  tanh,
  trace,
  type Value,
  vmap,
} from '../../src/autodiff/index.js';
import { numbers, run } from '../support/numeric.js';

test('smoke', () => {
  const f = (x: Value) => reduceSum(mul(sin(x), x));
  const x = floats([0.5, 1, 2]);
  expect(numbers(grad(f), x)[1]).toBeCloseTo(Math.cos(1) + Math.sin(1), 12);
  expect(numbers((v: Value) => hvp(f)(v, v), x)).toHaveLength(3);
  const g = (x: Value) => reduceSum(tanh(checkpoint((y: Value) => gelu(softmax(mul(y, y))))(x)));
  const plain = (x: Value) => reduceSum(tanh(gelu(softmax(mul(x, x)))));
  expect(numbers(grad(g), x)).toEqual(numbers(grad(plain), x));
  expect(numbers(hessian(g), x)).toHaveLength(9);
  console.log(printTape(simplify(trace(grad(g), x))));
  console.log(printTape(simplify(trace(grad(plain), x))));
  const w = floats([1, 2, 3, 4, 5, 6], [3, 2]);
  expect(
    numbers(
      vmap((r: Value) => matmul(r, w)),
      floats([1, 2, 3, 4, 5, 6], [2, 3]),
    ),
  ).toEqual([22, 28, 49, 64]);
  expect(
    numbers(
      jacobian((x) => mul(x, x)),
      x,
    ),
  ).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 4]);
  expect(numbers((k: Value) => permutation(k, 9), key(5))).toEqual([...hostPermutation(key(5), 9)]);
  expect(run((k: Value) => normal(k, [4]), key(5))[0]?.shape).toEqual([4]);
});
