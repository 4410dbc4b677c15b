/** c ⊙_row (W + s·B·A) as an operator, against the same put together from matrices. */
import {
  add,
  denseOperator,
  foldIn,
  grad,
  type HostArray,
  hostNormal,
  key,
  type LinearOperator,
  type MadeOnDemand,
  matmul,
  matmulTransposed,
  mul,
  reduceSum,
  reshape,
  roundTo,
  scaledLowRankSum,
  simplify,
  square,
  stopGradient,
  sub,
  trace,
  treeLeaves,
  type Value,
} from '../../src/autodiff/index.js';
import { floats, relativeError, run, toNumbers } from '../support/numeric.js';

const [M, N, R, ROWS, SCALE] = [5, 7, 2, 4, 1.5];

interface Parts<A> {
  readonly w: A;
  readonly a: A;
  readonly b: A;
  readonly c: A;
  readonly x: A;
  readonly delta: A;
}

const draw = (n: number, shape: readonly number[]): HostArray =>
  floats(
    hostNormal(
      foldIn(key(61), n),
      shape.reduce((s, d) => s * d, 1),
    ),
    shape,
  );
const parts: Parts<HostArray> = {
  w: draw(0, [M, N]),
  a: draw(1, [R, N]),
  b: draw(2, [M, R]),
  c: draw(3, [M]),
  x: draw(4, [ROWS, N]),
  delta: draw(5, [M, N]),
};
const upstream = draw(6, [ROWS, M]);

const operator = ({ w, a, b, c }: Parts<Value>): LinearOperator =>
  scaledLowRankSum(denseOperator(w), { a, b, scale: SCALE }, c);
const matrix = ({ w, a, b, c }: Parts<Value>): Value =>
  mul(reshape(c, [M, 1]), add(w, mul(SCALE, matmul(b, a))));
/** A recipe of 2Δ. */
const onDemand = (delta: Value): MadeOnDemand => ({
  operands: [delta],
  make: ([d]) => mul(2, d as Value),
});
/** Rounded, with the derivative of what was rounded. */
const straightThrough = (x: Value, exact = x): Value =>
  add(roundTo(stopGradient(x), 'bfloat16'), sub(exact, stopGradient(exact)));

type Form = readonly [string, (p: Parts<Value>) => LinearOperator, (p: Parts<Value>) => Value];
const forms: readonly Form[] = [
  ['as it is', operator, matrix],
  ['plus an array', (p) => operator(p).plus(p.delta), (p) => add(matrix(p), p.delta)],
  [
    'plus a recipe',
    (p) => operator(p).plus(onDemand(p.delta)),
    (p) => add(matrix(p), mul(2, p.delta)),
  ],
  [
    'plus both',
    (p) => operator(p).plus(onDemand(p.delta)).plus(p.delta),
    (p) => add(matrix(p), mul(3, p.delta)),
  ],
  ['rounded', (p) => operator(p).rounded('bfloat16'), (p) => straightThrough(matrix(p))],
  [
    'plus an array, rounded',
    (p) => operator(p).plus(p.delta).rounded('bfloat16'),
    (p) => straightThrough(add(matrix(p), p.delta)),
  ],
];

const leavesOf = (f: (p: Parts<Value>) => unknown): number[][] =>
  run(f as never, parts).map(toNumbers);
const worst = (given: number[][], expected: number[][]): number =>
  Math.max(...given.map((x, i) => relativeError(x, expected[i] as number[])));

describe.each(forms)('%s', (name, op, dense) => {
  // W is frozen under every use there is: the rounded form gives its part no derivative.
  const wanted = (p: Parts<Value>) =>
    name.includes('rounded') ? { ...p, w: stopGradient(p.w), delta: stopGradient(p.delta) } : p;

  test('value and all derivatives of x·W′ᵀ', () => {
    const loss = (apply: (p: Parts<Value>) => Value) => (p: Parts<Value>) =>
      grad((q: Parts<Value>) => reduceSum(mul(upstream, apply(wanted(q)))))(p);
    const ours = (p: Parts<Value>) => op(p).apply(p.x);
    const theirs = (p: Parts<Value>) => matmulTransposed(p.x, dense(p));
    expect(worst(leavesOf(ours), leavesOf(theirs))).toBeLessThan(1e-12);
    const [given, expected] = [leavesOf(loss(ours)), leavesOf(loss(theirs))];
    expect(given).toHaveLength(6);
    expect(worst(given, expected)).toBeLessThan(1e-12);
  });

  test('value and derivatives of the matrix and of its row norms', () => {
    for (const [ours, theirs] of [
      [(p: Parts<Value>) => op(p).dense(), dense],
      [
        (p: Parts<Value>) => op(p).rowNormsSquared(),
        (p: Parts<Value>) => reduceSum(square(dense(p)), -1),
      ],
    ] as const) {
      const loss = (f: (p: Parts<Value>) => Value) => (p: Parts<Value>) =>
        grad((q: Parts<Value>) => reduceSum(square(f(wanted(q)))))(p);
      expect(worst(leavesOf(ours), leavesOf(theirs))).toBeLessThan(1e-12);
      expect(worst(leavesOf(loss(ours)), leavesOf(loss(theirs)))).toBeLessThan(1e-12);
    }
  });
});

test('the gradient of A, B and c forms no matrix of the size of W', () => {
  const wide = { ...parts, w: draw(7, [50, 70]), a: draw(8, [R, 70]), b: draw(9, [50, R]) };
  const tape = simplify(
    trace(
      ((p: Parts<Value>) =>
        grad((q: Pick<Parts<Value>, 'a' | 'b' | 'c'>) =>
          reduceSum(square(operator({ ...p, ...q }).apply(p.x))),
        )({ a: p.a, b: p.b, c: p.c })) as never,
      { ...wide, c: draw(10, [50]), x: draw(11, [ROWS, 70]), delta: draw(12, [1]) },
    ),
  );
  const sizes = tape.equations.flatMap((e) =>
    e.outputs.map((o) => o.shape.reduce((s, d) => s * d, 1)),
  );
  expect(Math.max(...sizes)).toBeLessThan(50 * 70);
  expect(treeLeaves(tape.outputs).length).toBeGreaterThan(0);
});
