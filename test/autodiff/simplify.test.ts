import {
  add,
  broadcastTo,
  checkpoint,
  constant,
  convert,
  div,
  exp,
  floats,
  foldInTraced,
  type HostArray,
  hostArray,
  ints,
  iota,
  key,
  lt,
  mul,
  neg,
  normal,
  pad,
  printTape,
  reduceMax,
  reduceSum,
  reshape,
  scalar,
  simplify,
  sin,
  slice,
  splitTraced,
  stopGradient,
  sub,
  type Tape,
  type Traceable,
  trace,
  transpose,
  type Value,
} from '../../src/autodiff/index.js';
import { inlineTape } from '../../src/kernels/inline.js';
import { interpret } from '../../src/kernels/reference/backend.js';
import { toNumbers } from '../support/numeric.js';

const x2 = floats([1, 2]);
const x23 = floats([1, 2, 3, 4, 5, 6], [2, 3]);

/** The simplified tape as text, without the line of the inputs. */
const simplified = (f: Traceable, ...examples: unknown[]): string[] =>
  printTape(simplify(trace(f, ...examples)))
    .split('\n')
    .filter((line) => !line.startsWith('input'));

const outcomes = (tape: Tape, inputs: readonly HostArray[]): number[][] =>
  interpret(inlineTape(tape), inputs).map(toNumbers);

describe('small cases', () => {
  test.each<[string, Traceable]>([
    ['x + 0', (x: Value) => add(x, 0)],
    ['0 + x', (x: Value) => add(0, x)],
    ['x − 0', (x: Value) => sub(x, 0)],
    ['x · 1', (x: Value) => mul(x, 1)],
    ['1 · x', (x: Value) => mul(1, x)],
    ['x / 1', (x: Value) => div(x, 1)],
    ['−(−x)', (x: Value) => neg(neg(x))],
    ['0 − (−x)', (x: Value) => sub(0, neg(x))],
    ['stopGradient', (x: Value) => stopGradient(x)],
    ['convert to the type it has', (x: Value) => convert(x, 'float')],
    ['reshape there and back', (x: Value) => reshape(reshape(x, [3, 2]), [2, 3])],
    ['transpose there and back', (x: Value) => transpose(transpose(x))],
    ['the whole slice', (x: Value) => slice(x, [0, 0])],
    ['no padding', (x: Value) => pad(x, [0, 0], [0, 0])],
    ['x · exp 0', (x: Value) => mul(x, exp(0))],
    ['x + (2 − 2)', (x: Value) => add(x, sub(2, 2))],
  ])('%s is x', (_, f) => {
    expect(simplified(f, x23)).toEqual(['return a']);
  });

  test('dead code goes, unused inputs stay', () => {
    const dead = (x: Value, _y: Value) => {
      sin(x);
      return exp(x);
    };
    expect(printTape(simplify(trace(dead, x2, x2)))).toBe(
      ['input a: float[2]', 'input b: float[2]', 'c: float[2] = exp a', 'return c'].join('\n'),
    );
  });

  test('equal equations are one', () => {
    expect(simplified((x: Value) => add(mul(sin(x), 2), mul(sin(x), 2)), x2)).toEqual([
      'b: float[2] = sin a',
      'c: float[] = constant{value=2}',
      'd: float[2] = broadcast{shape=[2] axes=[]} c',
      'e: float[2] = mul b d',
      'f: float[2] = add e e',
      'return f',
    ]);
  });

  test('numbers known while tracing are computed', () => {
    expect(simplified((x: Value) => mul(x, add(mul(2, 3), 4)), x2)).toEqual([
      'b: float[] = constant{value=10}',
      'c: float[2] = broadcast{shape=[2] axes=[]} b',
      'd: float[2] = mul a c',
      'return d',
    ]);
  });

  test('broadcasts compose, unit reductions become reshapes', () => {
    const f = (x: Value) => broadcastTo(reshape(broadcastTo(x, [3, 2]), [3, 2]), [4, 3, 2]);
    expect(simplified(f, x2)).toEqual([
      'b: float[4,3,2] = broadcast{shape=[4,3,2] axes=[2]} a',
      'return b',
    ]);
    const g = (x: Value) => add(reduceSum(reshape(x, [1, 2]), 0), reduceMax(reshape(x, [2, 1]), 1));
    expect(simplified(g, x2)).toEqual(['b: float[2] = add a a', 'return b']);
  });

  test('0 − x is −x; int identities keep the type', () => {
    expect(simplified((x: Value) => sub(0, x), x2)).toEqual(['b: float[2] = neg a', 'return b']);
    expect(simplified((x: Value) => add(mul(x, 1), 0), ints([1, 2]))).toEqual(['return a']);
    expect(simplified((x: Value) => convert(x, 'float'), ints([1, 2]))).toEqual([
      'b: float[2] = convert{dtype=float} a',
      'return b',
    ]);
  });

  test('0 · x is kept, for it may be NaN', () => {
    expect(simplified((x: Value) => mul(0, x), x2)).toHaveLength(4);
    const tape = simplify(trace((x: Value) => [mul(0, x), sub(x, x), div(x, x)], x2));
    expect(outcomes(tape, [floats([Number.NaN, Infinity])])).toEqual(
      [0, 1, 2].map(() => [Number.NaN, Number.NaN]),
    );
  });
});

describe('what must not be merged', () => {
  const constants = (tape: Tape) =>
    tape.equations.filter((e) => e.primitive.name === 'constant').length;

  test('constants of another type, −0 and 0, NaN', () => {
    const types = trace((x: Value) => [add(x, 2), convert(mul(iota([2]), 2), 'float')], x2);
    expect(constants(simplify(types))).toBe(2);
    const zeros = trace((x: Value) => [div(x, scalar(0)), div(x, scalar(-0))], x2);
    expect(outcomes(simplify(zeros), [x2])).toEqual([
      [Infinity, Infinity],
      [-Infinity, -Infinity],
    ]);
    const nan = trace((x: Value) => [add(x, Number.NaN), add(x, Infinity)], x2);
    expect(outcomes(simplify(nan), [x2])).toEqual([
      [Number.NaN, Number.NaN],
      [Infinity, Infinity],
    ]);
    const precision = trace(
      (x: Value) => [
        add(x, constant(hostArray(Float64Array.of(0.1), []))),
        add(x, constant(hostArray(Float32Array.of(0.1), []))),
      ],
      x2,
    );
    expect(outcomes(simplify(precision), [floats([0, 0])])).toEqual(
      [0.1, Math.fround(0.1)].map((v) => [v, v]),
    );
  });

  test('the same primitive with other parameters or the other way round', () => {
    const f = (x: Value) => [
      reduceSum(x, 0, { keepAxes: true }),
      reduceSum(x, 1, { keepAxes: true }),
      sub(x, sin(x)),
      sub(sin(x), x),
      lt(x, sin(x)),
      lt(sin(x), x),
      pad(x, [1, 0], [0, 0]),
      pad(x, [0, 0], [1, 0]),
      pad(x, [0, 0], [0, 0], [1, 0]),
    ];
    const tape = trace(f, x23);
    expect(simplify(tape).equations).toHaveLength(tape.equations.length - 3);
    expect(outcomes(simplify(tape), [x23])).toEqual(outcomes(tape, [x23]));
  });

  test('host arrays: the same one is one constant, an equal one is another', () => {
    const [w, copy] = [floats([1, 2]), floats([1, 2])];
    const of = (a: HostArray, b: HostArray) =>
      constants(simplify(trace((x: Value) => add(mul(x, constant(a)), exp(constant(b))), x2)));
    expect(of(w, w)).toBe(1);
    expect(of(w, copy)).toBe(2);
  });

  test('keys with another purpose, draws of another shape', () => {
    const f = (k: Value) => {
      const [s] = splitTraced(k, 1) as [Value];
      return [normal(s, [2]), normal(foldInTraced(k, 0), [2]), normal(s, [1, 2]), normal(s, [2])];
    };
    const tape = simplify(trace(f, key(1)));
    expect(tape.equations.filter((e) => e.primitive.name === 'randomNormal')).toHaveLength(3);
    expect(outcomes(tape, [key(1)])).toEqual(outcomes(trace(f, key(1)), [key(1)]));
  });

  test('a checkpoint and what is outside, or another checkpoint', () => {
    const f = (x: Value) => add(checkpoint((y: Value) => sin(add(y, 0)))(x), sin(x));
    expect(simplified(f, x2)).toEqual([
      'b: float[2] = checkpoint a',
      '  input a: float[2]',
      '  b: float[2] = sin a',
      '  return b',
      'c: float[2] = sin a',
      'd: float[2] = add b c',
      'return d',
    ]);
  });
});
