/** The attention primitive against attention composed of other primitives, and what tapes show of it. */
import fc from 'fast-check';
import {
  checkpoint,
  exp,
  fusedAttention,
  grad,
  type HostArray,
  hostArray,
  hvp,
  iota,
  logSumExp,
  lt,
  matmul,
  matmulTransposed,
  mul,
  printTape,
  reduceSum,
  select,
  simplify,
  softmax,
  square,
  type Tape,
  trace,
  type Value,
  vmap,
} from '../../src/autodiff/index.js';
import { inlineTape } from '../../src/kernels/inline.js';
import { boolArray, generator, uniformArray } from '../support/draw.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';

interface Options {
  readonly scale: number;
  readonly causal: boolean;
}

const fused = (q: Value, k: Value, v: Value, { scale, causal }: Options) =>
  fusedAttention(q, k, v, { scale, causal });

/** The textbook formula. */
function composed(q: Value, k: Value, v: Value, { scale, causal }: Options) {
  const products = mul(matmulTransposed(q, k), scale);
  const [queries, keys] = products.shape.slice(-2) as [number, number];
  const later = lt(iota([queries, keys], 0), iota([queries, keys], 1));
  const scores = causal ? select(later, -1e9, products) : products;
  return { out: matmul(softmax(scores), v), logSumExp: logSumExp(scores) };
}

const sizes = fc.record({
  batch: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  queries: fc.integer({ min: 1, max: 9 }),
  keys: fc.integer({ min: 1, max: 9 }),
  depth: fc.integer({ min: 1, max: 5 }),
  width: fc.integer({ min: 1, max: 5 }),
  causal: fc.boolean(),
  scale: fc.double({ min: 0.1, max: 2, noNaN: true }),
  seed: fc.nat(1e6),
});
type Sizes = typeof sizes extends fc.Arbitrary<infer S> ? S : never;

const operands = ({ batch, queries, keys, depth, width, seed }: Sizes): HostArray[] => {
  const random = generator(seed);
  return [
    uniformArray(random, [...batch, queries, depth]),
    uniformArray(random, [...batch, keys, depth]),
    uniformArray(random, [...batch, keys, width]),
  ];
};

test('value, gradient and Hessian–vector product are those of the formula', () => {
  const loss = (f: typeof fused, s: Sizes) => (qkv: readonly Value[]) => {
    const [q, k, v] = qkv as [Value, Value, Value];
    const { out, logSumExp: rows } = f(q, k, v, s);
    return mul(reduceSum(square(out)), exp(mul(0.1, reduceSum(rows))));
  };
  fc.assert(
    fc.property(sizes, (s) => {
      const qkv = operands(s);
      const direction = operands({ ...s, seed: s.seed + 1 });
      const all = (f: typeof fused) =>
        run(
          (xs: readonly Value[], vs: readonly Value[]) => [
            f(...(xs as [Value, Value, Value]), s),
            grad(loss(f, s))(xs),
            hvp(loss(f, s))(vs, xs),
          ],
          qkv,
          direction,
        ).map(toNumbers);
      const want = all(composed);
      all(fused).forEach((got, i) => {
        const expected = want[i] as number[];
        const scale = Math.max(1, ...expected.map(Math.abs));
        const [a, b] = [got, expected].map((xs) => xs.map((x) => x / scale));
        expect(relativeError(a as number[], b as number[])).toBeLessThan(1e-12);
      });
    }),
    { numRuns: runs(60) },
  );
});

describe('a query that sees nothing', () => {
  const [q, k, v] = [1, 2, 3].map((seed) => uniformArray(generator(seed), [3, 2])) as [
    HostArray,
    HostArray,
    HostArray,
  ];
  // With causal order query 0 could see key 0 alone.
  const mask = hostArray(Uint8Array.from([0, 1, 1, 1, 1, 0, 0, 0, 0]), [3, 3]);
  const attend = (qkv: readonly Value[], m: Value) => {
    const [a, b, c] = qkv as [Value, Value, Value];
    return fusedAttention(a, b, c, { scale: 1, causal: true, mask: m }).out;
  };
  test('gets zeros and sends none, NaN nowhere', () => {
    const [out, dq, ...rest] = run(
      (xs: readonly Value[], m: Value) => [
        attend(xs, m),
        grad((ys: readonly Value[]) => reduceSum(square(attend(ys, m))))(xs),
        hvp((ys: readonly Value[]) => reduceSum(square(attend(ys, m))))(xs, xs),
      ],
      [q, k, v],
      mask,
    ).map(toNumbers) as [number[], number[], ...number[][]];
    for (const x of [out, dq]) {
      expect([...x.slice(0, 2), ...x.slice(4)]).toEqual([0, 0, 0, 0]);
      expect(x.slice(2, 4)).not.toEqual([0, 0]);
    }
    expect(rest.flat().every(Number.isFinite)).toBe(true);
  });
});

test('scores beyond the range of exp do not overflow', () => {
  const big = floats([1000, 0, -1000, 500], [4, 1]);
  const f = (x: Value) => {
    const { out, logSumExp: rows } = fusedAttention(x, x, x, { scale: 1, causal: false });
    return [out, rows, grad((y: Value) => reduceSum(fused(y, y, y, options).out))(x)];
  };
  const options = { scale: 1, causal: false };
  const [out, rows, gradient] = run(f, big).map(toNumbers) as [number[], number[], number[]];
  expect(out).toEqual([1000, 125, -1000, 1000]);
  expect(rows[0]).toBe(1e6);
  expect(gradient.every(Number.isFinite)).toBe(true);
});

describe('tapes', () => {
  const x = uniformArray(generator(1), [2, 5, 3]);
  const loss = (y: Value) => reduceSum(square(fused(y, y, y, { scale: 1, causal: true }).out));
  const names = (tape: Tape) => tape.equations.map((e) => e.primitive.name);
  const attentions = (tape: Tape) => names(tape).filter((n) => n.startsWith('attention'));

  test('a gradient has one equation for each pass, and none of its arrays holds scores', () => {
    const tape = simplify(trace(grad(loss), x));
    expect(attentions(tape)).toEqual(['attention', 'attentionBackward']);
    expect(printTape(tape)).not.toContain('5,5]');
  });

  test('vmap keeps it whole', () => {
    const tape = simplify(trace(vmap(grad(loss)), x));
    expect(attentions(tape)).toEqual(['attention', 'attentionBackward']);
  });

  test('inlining leaves none but those that are asked for, inside checkpoints too', () => {
    const tape = trace(grad(checkpoint(loss)), x);
    expect(names(tape)).toContain('checkpoint');
    expect(attentions(inlineTape(tape))).toEqual([]);
    expect(attentions(inlineTape(tape, new Set(['attention'])))).toEqual(['attention']);
    const kept = inlineTape(tape, new Set(['attention', 'attentionBackward']));
    expect(attentions(kept)).toEqual(['attention', 'attentionBackward']);
  });

  test('both definitions share one product of queries and keys', () => {
    const dots = names(inlineTape(simplify(trace(grad(loss), x)))).filter((n) => n === 'dot');
    expect(dots).toHaveLength(6);
  });
});

test('operands that do not fit are typed errors', () => {
  const array = (...shape: number[]) => uniformArray(generator(1), shape);
  const attend = (...xs: HostArray[]) =>
    numbers(
      (q: Value, k: Value, v: Value, mask?: Value) =>
        fusedAttention(q, k, v, { scale: 1, causal: false, mask }).out,
      ...xs,
    );
  expect(() => attend(array(2, 3), array(4, 2), array(4, 5))).toThrow(
    'attention: q, k, v are float[2,3], float[4,2], float[4,5], expected float[b…,T,d], float[b…,S,d], float[b…,S,e]',
  );
  expect(() => attend(array(3), array(3), array(3))).toThrow('attention: q, k, v are float[3]');
  const fitting = [array(2, 3), array(4, 3), array(4, 5)];
  expect(() => attend(...fitting, array(2, 4))).toThrow('mask is float[2,4], expected bool[2,4]');
  expect(() => attend(...fitting, boolArray(generator(1), [4]))).toThrow('mask is bool[4]');
  expect(() => attend(...fitting, boolArray(generator(1), [2, 4]))).not.toThrow();
});
