/** Simplification on random programs and their gradients: equal results, and a fixed point. */
import fc from 'fast-check';
import {
  abs,
  add,
  broadcastTo,
  checkpoint,
  convert,
  div,
  grad,
  type HostArray,
  iota,
  lt,
  max,
  mul,
  neg,
  pad,
  printTape,
  reduceMax,
  reduceSum,
  reshape,
  select,
  simplify,
  sin,
  slice,
  softmax,
  stopGradient,
  sub,
  type Tape,
  tanh,
  trace,
  transpose,
  type Value,
} from '../../src/autodiff/index.js';
import { inlineTape } from '../../src/kernels/inline.js';
import { interpret } from '../../src/kernels/reference/backend.js';
import { generator, integerBetween, type Random, seeds, uniformArray } from '../support/draw.js';
import { toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';

const outcomes = (tape: Tape, inputs: readonly HostArray[]): number[][] =>
  interpret(inlineTape(tape), inputs).map(toNumbers);

type Step = (random: Random, pool: readonly Value[]) => Value;

/** Everything has a shape that broadcasts to [2,3]; divisors and powers are kept harmless. */
const STEPS: readonly Step[] = [
  (r, p) => add(pick(r, p), pick(r, p)),
  (r, p) => sub(pick(r, p), pick(r, p)),
  (r, p) => mul(pick(r, p), pick(r, p)),
  (r, p) => div(pick(r, p), add(1, abs(pick(r, p)))),
  (r, p) => max(pick(r, p), pick(r, p)),
  (r, p) => neg(pick(r, p)),
  (r, p) => sin(pick(r, p)),
  (r, p) => tanh(pick(r, p)),
  (r, p) => select(lt(pick(r, p), pick(r, p)), pick(r, p), pick(r, p)),
  (r, p) => add(pick(r, p), smallNumber(r)),
  (r, p) => mul(smallNumber(r), pick(r, p)),
  (r, p) => sub(smallNumber(r), pick(r, p)),
  (r, p) => div(pick(r, p), [1, 2, -1][integerBetween(r, 0, 2)] as number),
  (r, p) => stopGradient(pick(r, p)),
  (r, p) => transpose(sin(transpose(broadcastTo(pick(r, p), [2, 3])))),
  (r, p) => reshape(reshape(broadcastTo(pick(r, p), [2, 3]), [3, 2]), [2, 3]),
  (r, p) => transpose(transpose(broadcastTo(pick(r, p), [2, 3]))),
  (r, p) => broadcastTo(pick(r, p), [2, 3]),
  (r, p) => reduceSum(broadcastTo(pick(r, p), [2, 3]), integerBetween(r, 0, 1), { keepAxes: true }),
  (r, p) => reduceMax(broadcastTo(pick(r, p), [2, 3]), 1, { keepAxes: true }),
  (r, p) => reduceSum(reshape(broadcastTo(pick(r, p), [2, 3]), [2, 1, 3]), 1),
  (r, p) => slice(pad(broadcastTo(pick(r, p), [2, 3]), [1, 0], [0, 0], [0, 1]), [0, 0], [2, 3]),
  (r, p) => convert(mul(convert(pick(r, p), 'int'), 1), 'float'),
  (r, p) => add(convert(iota([2, 3], 1), 'float'), pick(r, p)),
  (r, p) => softmax(broadcastTo(pick(r, p), [2, 3])),
  (r, p) => {
    const captured = pick(r, p);
    const n = smallNumber(r);
    return checkpoint((y: Value) => mul(sin(add(y, n)), mul(captured, 1)))(pick(r, p));
  },
];

const pick = (random: Random, pool: readonly Value[]): Value =>
  pool[integerBetween(random, 0, pool.length - 1)] as Value;

const smallNumber = (random: Random): number =>
  [0, 1, -1, 2, 0.5, -0][integerBetween(random, 0, 5)] as number;

/** A program of `length` random steps on two inputs; its last values are its results. */
const program =
  (seed: number, length: number) =>
  (x: Value, y: Value): readonly Value[] => {
    const random = generator(seed);
    const pool = [x, y];
    for (let i = 0; i < length; i++) {
      const step = STEPS[integerBetween(random, 0, STEPS.length - 1)] as Step;
      pool.push(step(random, pool));
    }
    return pool.slice(-3);
  };

describe('random programs', () => {
  const programs = fc.record({ seed: seeds, length: fc.integer({ min: 1, max: 25 }) });
  const inputsOf = (seed: number) => {
    const random = generator(seed + 1);
    return [uniformArray(random, [2, 3]), uniformArray(random, [3])];
  };
  const loss =
    (seed: number, length: number) =>
    (x: Value, y: Value): Value =>
      program(seed, length)(x, y)
        .map((v) => reduceSum(v))
        .reduce((a, b) => add(a, b));

  const unsigned = (results: number[][]) => results.map((r) => r.map((v) => v + 0));

  /** Equations that compute; folding a number may add a constant and its broadcast. */
  const work = (tape: Tape) =>
    tape.equations.filter((e) => !['constant', 'broadcast'].includes(e.primitive.name)).length;

  const check = (tape: Tape, inputs: readonly HostArray[]) => {
    const simple = simplify(tape);
    expect(unsigned(outcomes(simple, inputs))).toEqual(unsigned(outcomes(tape, inputs)));
    expect(work(simple)).toBeLessThanOrEqual(work(tape));
    expect(printTape(simplify(simple))).toBe(printTape(simple));
  };

  test('the same results, no more equations, and nothing left for a second time', () => {
    fc.assert(
      fc.property(programs, ({ seed, length }) => {
        const inputs = inputsOf(seed);
        check(trace(program(seed, length), ...inputs), inputs);
      }),
      { numRuns: runs(600) },
    );
  });

  test('so do the tapes of their gradients', () => {
    fc.assert(
      fc.property(programs, ({ seed, length }) => {
        const inputs = inputsOf(seed);
        check(
          trace((x: Value, y: Value) => grad(loss(seed, length))(x, y), ...inputs),
          inputs,
        );
      }),
      { numRuns: runs(300) },
    );
  });
});
