/** Rematerialisation: the same bits, and a tape that computes its inside again. */
import fc from 'fast-check';
import {
  add,
  checkpoint,
  cos,
  floats,
  gelu,
  grad,
  type HostArray,
  hessian,
  ints,
  jvp,
  jvpFlat,
  key,
  log,
  mul,
  normal,
  reduceSum,
  simplify,
  sin,
  softmax,
  square,
  type Tape,
  tanh,
  trace,
  type Value,
  vmap,
} from '../../src/autodiff/index.js';
import { generator, seeds, uniformArray } from '../support/draw.js';
import { numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';

const x3 = floats([0.5, -1, 2]);
const point = (seed: number, n = 3): HostArray => uniformArray(generator(seed), [n], -1.5, 1.5);

type Loss = (x: Value) => Value;

describe('checkpoint', () => {
  const block = (x: Value) => gelu(softmax(mul(x, sin(x))));
  type Wrap = (f: (x: Value) => Value) => (x: Value) => Value;
  const deep = (wrap: Wrap) => (x: Value) => {
    const first = wrap((y) => add(y, block(y)))(x);
    return reduceSum(tanh(wrap(block)(first)));
  };
  const bare: Wrap = (f) => f;
  const held: Wrap = (f) => checkpoint(f);
  const twice: Wrap = (f) => checkpoint((x) => checkpoint(f)(mul(1, x)));
  const [plain, saved, nested] = [bare, held, twice].map(deep) as [Loss, Loss, Loss];
  const names = (tape: Tape): string[] =>
    tape.equations.flatMap(({ primitive, params }) => [
      primitive.name,
      ...(params.tape ? names(params.tape) : []),
    ]);
  const count = (tape: Tape, name: string) => names(tape).filter((n) => n === name).length;

  test('the same bits: value, gradient, tangent, Hessian', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const x = point(seed, 4);
        for (const f of [saved, nested]) {
          const tangent = (g: Loss) => (y: Value) => jvp(g, [y], [y]).tangents;
          expect(numbers(f, x)).toEqual(numbers(plain, x));
          expect(numbers(grad(f), x)).toEqual(numbers(grad(plain), x));
          expect(numbers(tangent(f), x)).toEqual(numbers(tangent(plain), x));
          expect(relativeError(numbers(hessian(f), x), numbers(hessian(plain), x))).toBeLessThan(
            1e-13,
          );
        }
      }),
      { numRuns: runs(30) },
    );
  });

  test('an operand used outside too: its cotangents are added in another order, no more', () => {
    const outside = (wrap: Wrap) => (x: Value) =>
      reduceSum(mul(wrap(block)(x), log(add(2, square(x)))));
    fc.assert(
      fc.property(seeds, (seed) => {
        const x = point(seed, 4);
        expect(numbers(outside(held), x)).toEqual(numbers(outside(bare), x));
        const [a, b] = [held, bare].map((wrap) => numbers(grad(outside(wrap)), x));
        expect(relativeError(a as number[], b as number[])).toBeLessThan(4 * Number.EPSILON);
      }),
      { numRuns: runs(30) },
    );
  });

  test('the backward pass recomputes the inside, and simplification leaves it so', () => {
    const forward = { plain: trace(plain, x3), saved: trace(saved, x3) };
    expect(count(forward.plain, 'erf')).toBe(2);
    expect(count(forward.saved, 'erf')).toBe(2);
    const tapes = [trace(grad(plain), x3), trace(grad(saved), x3)].map(simplify) as [Tape, Tape];
    // Plain: once per block. Checkpointed: both forward (the derivative of tanh needs the second's
    // result), and both again where the derivative goes through them.
    expect(count(tapes[0], 'erf')).toBe(2);
    expect(count(tapes[1], 'erf')).toBe(4);
    // Nothing of a block's inside crosses its border: at top level there is no erf at all.
    expect(tapes[1].equations.filter((e) => e.primitive.name === 'erf')).toEqual([]);
    expect(tapes[1].equations.filter((e) => e.primitive.name === 'checkpoint')).toHaveLength(4);
  });

  test('several results, integer results, unused operands and random keys inside', () => {
    const f = (x: Value, k: Value) => {
      const [y, n] = checkpoint((u: Value, w: Value) => [mul(u, u), normal(w, [3])] as const)(x, k);
      return reduceSum(mul(y, n));
    };
    const bare = (x: Value, k: Value) => reduceSum(mul(mul(x, x), normal(k, [3])));
    expect(numbers(f, x3, key(3))).toEqual(numbers(bare, x3, key(3)));
    expect(numbers(grad(f), x3, key(3))).toEqual(numbers(grad(bare), x3, key(3)));
    const counts = (x: Value, i: Value) =>
      checkpoint((u: Value, j: Value) => [sin(u), j] as const)(x, i);
    const [y, i] = run(counts, x3, ints([7])) as [HostArray, HostArray];
    expect(toNumbers(y)).toEqual(toNumbers(x3).map(Math.sin));
    expect(toNumbers(i)).toEqual([7]);
    const tangents = run(
      (x: Value, j: Value) => jvpFlat(counts, [x, j], [x, undefined]).tangents,
      x3,
      ints([7]),
    );
    expect(tangents).toHaveLength(1);
    expect(numbers((x: Value) => vmap((v: Value) => checkpoint(cos)(v))(x), x3)).toEqual(
      toNumbers(x3).map(Math.cos),
    );
  });
});
