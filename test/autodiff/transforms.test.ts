/** Transforms on functions: nesting, closures, stopGradient. */
import fc from 'fast-check';
import {
  add,
  checkpoint,
  exp,
  floats,
  grad,
  type HostArray,
  hessian,
  hvp,
  jacobian,
  jvp,
  lift,
  matmul,
  mul,
  reduceSum,
  sin,
  square,
  stopGradient,
  tanh,
  trace,
  traceAt,
  transpose,
  type Value,
  vjp,
  vmap,
} from '../../src/autodiff/index.js';
import { generator, seeds, uniformArray } from '../support/draw.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';

const x3 = floats([0.5, -1, 2]);
const point = (seed: number, n = 3): HostArray => uniformArray(generator(seed), [n], -1.5, 1.5);

/** A function ℝ³ → ℝ³ with a full, asymmetric Jacobian. */
const mix = (x: Value): Value =>
  tanh(add(matmul(x, floats([1, 2, -1, 0.5, 0, 1, -2, 1, 3], [3, 3])), mul(x, sin(x))));
const scalarOf = (x: Value): Value => reduceSum(mul(mix(x), exp(mul(0.3, x))));

describe('nesting', () => {
  test('n-th derivatives of sin by grad of grad of …', () => {
    const d1 = (x: Value) => grad(sin)(x);
    const d2 = (x: Value) => grad(d1)(x);
    const d3 = (x: Value) => grad(d2)(x);
    const d4 = (x: Value) => grad(d3)(x);
    const at = floats([0.7], []);
    const found = [d1, d2, d3, d4].map((d) => numbers(d, at)[0] as number);
    const expected = [Math.cos(0.7), -Math.sin(0.7), -Math.cos(0.7), Math.sin(0.7)];
    expect(relativeError(found, expected)).toBeLessThan(1e-15);
  });

  test('the Jacobian by reverse equals the one by forward', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const x = point(seed);
        const reverse = numbers(jacobian(mix), x);
        const identity = floats([1, 0, 0, 0, 1, 0, 0, 0, 1], [3, 3]);
        const columns = (v: Value) =>
          vmap((e: Value) => jvp(mix, [v], [e]).tangents)(lift(identity));
        const forward = numbers((v: Value) => transpose(columns(v)), x);
        expect(relativeError(reverse, forward)).toBeLessThan(1e-13);
      }),
      { numRuns: runs(50) },
    );
  });

  test('the Hessian is symmetric, equals the Jacobian of the gradient, and gives hvp', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const [x, v] = [point(seed), point(seed + 1)];
        const h = numbers(hessian(scalarOf), x);
        expect(relativeError(h, numbers(jacobian(grad(scalarOf)), x))).toBeLessThan(1e-12);
        expect(
          relativeError(
            h,
            numbers((y: Value) => transpose(hessian(scalarOf)(y)), x),
          ),
        ).toBeLessThan(1e-12);
        const product = numbers((y: Value, w: Value) => matmul(hessian(scalarOf)(y), w), x, v);
        const direct = numbers((y: Value, w: Value) => hvp(scalarOf)(w, y), x, v);
        expect(relativeError(product, direct)).toBeLessThan(1e-12);
      }),
      { numRuns: runs(50) },
    );
  });

  test('third derivatives: jvp of hvp = grad of <v, Hv>', () => {
    const [x, v] = [point(5), point(6)];
    const curvature = (y: Value, w: Value) => reduceSum(mul(hvp(scalarOf)(w, y), w));
    const byGrad = numbers((y: Value, w: Value) => grad((z: Value) => curvature(z, w))(y), x, v);
    const byJvp = numbers(
      (y: Value, w: Value) => jvp((z: Value) => hvp(scalarOf)(w, z), [y], [w]).tangents,
      x,
      v,
    );
    const along = byGrad.reduce((s, g, i) => s + g * (toNumbers(v)[i] as number), 0);
    const same = byJvp.reduce((s, g, i) => s + g * (toNumbers(v)[i] as number), 0);
    expect(relativeError([along], [same])).toBeLessThan(1e-12);
  });

  test('per-example gradients: vmap of grad with shared parameters', () => {
    const w = floats([0.3, -0.2, 0.5]);
    const rows = floats([1, 2, 3, -1, 0.5, 2], [2, 3]);
    const loss = (p: Value, r: Value) => square(tanh(reduceSum(mul(p, r))));
    const each = run(
      (p: Value, rs: Value) => vmap(grad(loss), [null, 0])(p, rs),
      w,
      rows,
    )[0] as HostArray;
    expect(each.shape).toEqual([2, 3]);
    [0, 1].forEach((i) => {
      const row = floats(toNumbers(rows).slice(3 * i, 3 * i + 3));
      expect(toNumbers(each).slice(3 * i, 3 * i + 3)).toEqual(numbers(grad(loss), w, row));
    });
  });
});

describe('closures', () => {
  test('perturbation confusion: an inner derivative leaves the outer variable alone', () => {
    // d/dx [x · d/dy (x + y)] = 1, not 2 (Siskind & Pearlmutter 2005).
    const f = (x: Value) => mul(x, grad((y: Value) => add(x, y))(lift(1)));
    expect(numbers(grad(f), floats([3], []))).toEqual([1]);
    const g = (x: Value) => mul(x, jvp((y: Value) => add(x, y), [lift(1)], [1]).tangents);
    expect(numbers((x: Value) => jvp(g, [x], [1]).tangents, floats([3], []))).toEqual([1]);
    const mixed = (x: Value) => mul(x, jvp((y: Value) => mul(x, y), [x], [1]).tangents);
    // x · d/dy (x·y) = x², whose derivative is 2x.
    expect(numbers(grad(mixed), floats([3], []))).toEqual([6]);
  });

  test('an inner grad differentiates through captured values when the outer one asks', () => {
    // g(x) = d/dy (x² y³) at y = 2 = 12 x²; g′ = 24 x.
    const g = (x: Value) => {
      const xx = square(x);
      return grad((y: Value) => mul(xx, mul(y, square(y))))(lift(2));
    };
    expect(numbers(grad(g), floats([5], []))).toEqual([120]);
    expect(numbers((x: Value) => jvp(g, [x], [1]).tangents, floats([5], []))).toEqual([120]);
    expect(numbers(vmap(g), floats([1, 2, 3]))).toEqual([12, 48, 108]);
    expect(numbers(vmap(grad(g)), floats([1, 2, 3]))).toEqual([24, 48, 72]);
  });

  test('every transform takes functions that capture outer values', () => {
    const outer = floats([2], []);
    const inner = {
      checkpoint: (c: Value) => checkpoint((y: Value) => mul(c, sin(y)))(c),
      vmap: (c: Value) => reduceSum(vmap((y: Value) => mul(c, sin(y)))(lift(x3))),
      grad: (c: Value) => grad((y: Value) => mul(square(c), square(y)))(c),
      vjp: (c: Value) => vjp((y: Value) => mul(c, square(y)), c).pullback(c)[0] as Value,
      jvp: (c: Value) => jvp((y: Value) => mul(c, square(y)), [c], [c]).tangents,
      nestedCheckpoint: (c: Value) =>
        checkpoint((y: Value) => checkpoint((z: Value) => mul(mul(c, y), z))(sin(y)))(c),
      hvp: (c: Value) => hvp((y: Value) => mul(c, mul(y, square(y))))(c, c) as Value,
    };
    for (const [name, f] of Object.entries(inner)) {
      const at = (c: number) => numbers(f, floats([c], []))[0] as number;
      const h = 1e-4;
      const slope = (at(2 + h) - at(2 - h)) / (2 * h);
      const backward = numbers(grad(f), outer)[0] as number;
      const forward = numbers((c: Value) => jvp(f, [c], [1]).tangents, outer)[0] as number;
      expect([name, relativeError([backward], [slope]) < 1e-6]).toEqual([name, true]);
      expect([name, relativeError([forward], [backward]) < 1e-13]).toEqual([name, true]);
    }
  });

  test('what was computed outside is captured, not computed again; constants are not captured', () => {
    trace((x: Value) => {
      const outside = exp(square(x));
      const inner = (y: Value) => add(mul(outside, sin(y)), mul(2, 3));
      const { tape, captured } = traceAt(inner, [x]).closure;
      expect(captured).toEqual([outside]);
      expect(tape.equations.map((e) => e.primitive.name).sort()).toEqual(
        ['add', 'broadcast', 'constant', 'constant', 'mul', 'mul', 'sin'].sort(),
      );
      return x;
    }, x3);
  });

  test('a captured value that the function returns as it is, or not at all', () => {
    const f = (x: Value) => {
      const [a, b] = vmap((y: Value) => [x, mul(x, y)] as const)(lift(floats([1, 2])));
      return reduceSum(add(a, b));
    };
    expect(numbers(f, floats([3], []))).toEqual([15]);
    expect(numbers(grad(f), floats([3], []))).toEqual([5]);
    const pulled = (x: Value) => vjp((_y: Value) => x, x).pullback(1)[0] as Value;
    expect(numbers(pulled, floats([3], []))).toEqual([0]);
  });

  test('a traced value that has left its function is refused', () => {
    const leaked: Value[] = [];
    trace((x: Value) => {
      leaked.push(sin(x));
      return x;
    }, x3);
    expect(() => trace((y: Value) => add(y, leaked[0] as Value), x3)).toThrow(
      'trace: the function uses 1 value(s) of a surrounding traced function',
    );
  });
});

test('stopGradient is a constant for every transform and keeps its value', () => {
  const f = (x: Value) => reduceSum(mul(stopGradient(square(x)), x));
  expect(numbers(f, x3)).toEqual([0.125 - 1 + 8]);
  expect(numbers(grad(f), x3)).toEqual([0.25, 1, 4]);
  expect(numbers((x: Value) => hvp(f)(x, x), x3)).toEqual([0, 0, 0]);
  expect(numbers((x: Value) => jvp(f, [x], [x]).tangents, x3)).toEqual([7.125]);
  expect(numbers((x: Value) => grad((y: Value) => reduceSum(stopGradient(y)))(x), x3)).toEqual([
    0, 0, 0,
  ]);
});

test('nothing is computed for what is not asked: frozen weights cost no backward equation', () => {
  const f = (w: Value, frozen: Value, x: Value) => reduceSum(square(matmul(matmul(x, frozen), w)));
  const w = floats([1, 2], [2, 1]);
  const frozen = floats([1, 2, 3, 4], [2, 2]);
  const tape = trace(grad(f), w, frozen, floats([1, 2], [1, 2]));
  // Forward: two products. Backward: one, for w alone.
  expect(tape.equations.filter((e) => e.primitive.name === 'dot')).toHaveLength(3);
});
