/** Tapes as text. */
import {
  checkpoint,
  floats,
  gelu,
  grad,
  iota,
  key,
  matmul,
  mul,
  normal,
  printTape,
  reduceSum,
  simplify,
  sin,
  trace,
  type Value,
} from '../../src/autodiff/index.js';

const lines = (...text: string[]) => text.join('\n');

test('a gradient, as it is traced and simplified', () => {
  const f = (x: Value) => reduceSum(mul(sin(x), x));
  expect(printTape(simplify(trace(grad(f), floats([1, 2]))))).toBe(
    lines(
      'input a: float[2]',
      'b: float[2] = sin a',
      'c: float[2] = cos a',
      'd: float[2] = mul a c',
      'e: float[2] = add b d',
      'return e',
    ),
  );
});

test('parameters, held tapes, data, several results', () => {
  const w = floats([1, 2, 3, 4, 5, 6], [2, 3]);
  const f = (x: Value, k: Value) => [
    checkpoint((y: Value) => matmul(y, w))(x),
    normal(k, [2]),
    iota([2, 2], 1),
  ];
  expect(printTape(trace(f, floats([1, 2]), key(1)))).toBe(
    lines(
      'input a: float[2]',
      'input b: uint[2]',
      'c: float[3] = checkpoint a',
      '  input a: float[2]',
      '  b: float[2,3] = constant{value=data[2,3]}',
      '  c: float[3] = dot{contract=[[0],[0]] batch=[[],[]]} a b',
      '  return c',
      'd: float[2] = randomNormal{shape=[2]} b',
      'e: int[2,2] = iota{shape=[2,2] axis=1}',
      'return c, d, e',
    ),
  );
});

test('names go on after z', () => {
  const many = trace((x: Value) => [...Array(30)].reduce((y: Value) => sin(y), x), floats([1]));
  expect(printTape(many)).toContain('z: float[1] = sin y\naa: float[1] = sin z\nab:');
  expect(
    printTape(trace(gelu, floats([1])), '> ')
      .split('\n')
      .every((l) => l.startsWith('> ')),
  ).toBe(true);
});
