/** Plans: symbolic positions against integer arithmetic, and how many kernels known programs take. */
import fc from 'fast-check';
import {
  add,
  concat,
  constant,
  floats,
  gelu,
  grad,
  type HostArray,
  key,
  matmul,
  mul,
  normal,
  reduceMax,
  reduceSum,
  reshape,
  simplify,
  softmax,
  square,
  sub,
  type Traceable,
  tanh,
  trace,
  transpose,
  type Value,
} from '../../src/autodiff/index.js';
import { parts, positionsOf } from '../../src/kernels/plan/expression.js';
import { planTape, printPlan } from '../../src/kernels/plan/plan.js';
import {
  type Atom,
  bounds,
  fixed,
  flatten,
  hasDivision,
  type LoopVariable,
  ofAtom,
  type Position,
  plus,
  positionKey,
  quotient,
  regroup,
  remainder,
  times,
  unflatten,
  wantedCut,
} from '../../src/kernels/plan/position.js';
import { prepare } from '../../src/kernels/plan/prepare.js';
import { layerNorm, linear, rotary } from '../../src/models/index.js';
import { generator, uniformArray } from '../support/draw.js';
import { runs } from '../tooling/property.js';
import { loop, visited } from './plan/enumerate.js';
import { expected, requireEqual } from './support.js';

const loops: readonly LoopVariable[] = [6, 4, 5, 12].map((size, i) => ({
  kind: 'loop',
  name: `i${i}`,
  size,
}));

/** What a position is at given values of the loop variables, in whole numbers. */
function valueAt({ constant, terms }: Position, at: readonly number[]): number {
  const atomAt = (atom: Atom): number => {
    if (atom.kind === 'loop') return at[loops.findIndex((l) => l.name === atom.name)] as number;
    const inner = valueAt(atom.of, at);
    return atom.kind === 'quotient' ? Math.trunc(inner / atom.by) : inner % atom.by;
  };
  return terms.reduce((sum, t) => sum + t.coefficient * atomAt(t.atom), constant);
}

type Step = readonly ['plus' | 'times' | 'quotient' | 'remainder' | 'add', number];

/** Random positions that are never negative, with what they should be. */
const positions = fc
  .tuple(
    fc.nat(3),
    fc.array(
      fc.tuple(
        fc.constantFrom<Step[0]>('plus', 'times', 'quotient', 'remainder', 'add'),
        fc.integer({ min: 1, max: 9 }),
      ),
      { maxLength: 7 },
    ),
    fc.tuple(fc.nat(5), fc.nat(3), fc.nat(4), fc.nat(11)),
  )
  .map(([first, steps, at]) => {
    let position = ofAtom(loops[first] as LoopVariable);
    let value = at[first] as number;
    for (const [kind, n] of steps) {
      const other = loops[n % 4] as LoopVariable;
      if (kind === 'plus') [position, value] = [plus(position, fixed(n)), value + n];
      if (kind === 'times') [position, value] = [times(position, n), value * n];
      if (kind === 'quotient') [position, value] = [quotient(position, n), Math.floor(value / n)];
      if (kind === 'remainder') [position, value] = [remainder(position, n), value % n];
      if (kind === 'add') {
        [position, value] = [
          plus(position, times(ofAtom(other), n)),
          value + n * (at[n % 4] as number),
        ];
      }
    }
    return { position, value, at };
  });

describe('positions', () => {
  test('quotients and remainders are those of whole numbers, and lie within the bounds', () => {
    fc.assert(
      fc.property(positions, ({ position, value, at }) => {
        expect(valueAt(position, at)).toBe(value);
        const [low, high] = bounds(position);
        expect(low).toBeLessThanOrEqual(value);
        expect(high).toBeGreaterThanOrEqual(value);
      }),
      { numRuns: runs(2000) },
    );
  });

  test('bounds hold where a position is negative, too', () => {
    fc.assert(
      fc.property(
        positions,
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 2, max: 7 }),
        ({ position, at }, shift, by) => {
          const shifted = plus(position, fixed(-shift));
          for (const p of [shifted, quotient(shifted, by), remainder(shifted, by)]) {
            const [low, high] = bounds(p);
            const value = valueAt(p, at);
            expect(low).toBeLessThanOrEqual(value);
            expect(high).toBeGreaterThanOrEqual(value);
          }
        },
      ),
      { numRuns: runs(1000) },
    );
  });

  test('unflatten undoes flatten, mostly without a division', () => {
    const shape = [6, 4, 5];
    const flat = flatten(shape, loops.slice(0, 3).map(ofAtom));
    const back = unflatten(shape, flat);
    expect(back.map(positionKey)).toEqual(loops.slice(0, 3).map((l) => positionKey(ofAtom(l))));
    const merged = unflatten([24, 5], flat);
    expect(merged.some(hasDivision)).toBe(false);
  });

  test('a reshape by groups of axes moves elements as one of all axes does', () => {
    /** Two shapes of as many elements: the same factors, neighbours joined here and there. */
    const shapes = fc
      .array(fc.record({ size: fc.integer({ min: 1, max: 3 }), joins: fc.nat(3) }), {
        maxLength: 5,
      })
      .map((factors) =>
        [1, 2].map((bit) => {
          const shape: number[] = [];
          for (const { size, joins } of factors) {
            if (joins & bit && shape.length > 0) shape.push((shape.pop() as number) * size);
            else shape.push(size);
          }
          return shape;
        }),
      );
    fc.assert(
      fc.property(shapes, ([from = [], to = []]) => {
        const nest = from.map((size, i) => loop(`i${i}`, size));
        const at = nest.map(ofAtom);
        const whole = unflatten(to, flatten(from, at));
        expect(visited(nest, regroup(from, to, at))).toEqual(visited(nest, whole));
      }),
      { numRuns: runs(500) },
    );
  });

  test('coordinates that a guard keeps in range ask no division of other axes', () => {
    const heads = (x: Value) => rotary(reshape(x, [2, 5, 3, 8]));
    const { kernels } = planOf(heads, array(2, 5, 24));
    expect(kernels.flatMap(({ body }) => positionsOf(body)).some(hasDivision)).toBe(false);
  });

  test('coefficients are whole numbers, whatever the sizes', () => {
    for (let n = 1; n <= 200; n++) {
      const i: LoopVariable = { kind: 'loop', name: 'i', size: 5 };
      for (const p of [
        quotient(times(ofAtom(i), n), n),
        unflatten([5, n], times(ofAtom(i), n))[0],
      ]) {
        expect(p?.terms.map((t) => t.coefficient)).toEqual([1]);
      }
    }
  });

  test('a cut frees a position of its division', () => {
    const long = loops[3] as LoopVariable;
    expect(wantedCut(quotient(ofAtom(long), 4))).toEqual({ name: 'i3', inner: 4 });
    expect(wantedCut(quotient(ofAtom(long), 5))).toBeUndefined();
    // A cut that would change nothing is none.
    const whole: Atom = { kind: 'quotient', of: ofAtom(long), by: 12, size: 1 };
    expect(wantedCut({ constant: 0, terms: [{ atom: whole, coefficient: 1 }] })).toBeUndefined();
  });
});

const array = (...shape: number[]): HostArray => uniformArray(generator(1), shape);
const limits = { maxReads: 6 };
const planOf = (f: Traceable, ...args: unknown[]) => planTape(simplify(trace(f, ...args)), limits);

describe('fusion', () => {
  const w = { weight: array(8, 6), bias: array(8) };
  const scale = { scale: array(6), bias: array(6) };
  test.each<[string, number, Traceable, unknown[]]>([
    ['elementwise', 1, (x: Value) => gelu(add(mul(x, 2), 1)), [array(4, 6)]],
    ['softmax', 4, (x: Value) => softmax(x), [array(4, 6)]],
    ['layer norm', 4, (x: Value) => layerNorm(scale as never, x), [array(4, 6)]],
    [
      'linear, bias, gelu',
      2,
      (x: Value) => gelu(linear({ weight: constant(w.weight), bias: constant(w.bias) }, x)),
      [array(4, 6)],
    ],
    [
      'a product with a transposed operand',
      1,
      (x: Value) => matmul(x, transpose(x)),
      [array(4, 6)],
    ],
    [
      'linear, bias, tanh',
      1,
      (x: Value) => tanh(linear({ weight: constant(w.weight), bias: constant(w.bias) }, x)),
      [array(4, 6)],
    ],
    ['noise times a number', 1, (k: Value) => mul(normal(k, [3]), 2), [key(1)]],
  ])('%s: at most %i kernels', (_, most, f, args) => {
    expect(planOf(f, ...args).kernels.length).toBeLessThanOrEqual(most);
  });

  test('no kernel reads more buffers than allowed, however operands are shared', () => {
    fc.assert(
      fc.property(fc.integer({ min: 7, max: 20 }), fc.nat(), (count, seed) => {
        const random = generator(seed);
        const xs = Array.from({ length: count }, () => array(3));
        const f = (...vs: Value[]) => {
          const pool = [...vs];
          for (let i = 0; i < 25; i++) {
            const [a, b] = [0, 0].map(() => pool[Math.floor(random() * pool.length)] as Value);
            pool.push(add(mul(a as Value, 0.5), b as Value));
          }
          return pool.slice(-4);
        };
        const plan = planOf(f, ...xs);
        for (const k of plan.kernels) expect(k.reads.length).toBeLessThanOrEqual(6);
      }),
      { numRuns: runs(60) },
    );
  });

  test('expressions do not nest without bound', () => {
    const depth = (e: Parameters<typeof parts>[0]): number =>
      1 + Math.max(0, ...parts(e).map(depth));
    const plan = planOf(
      (x: Value, y: Value) =>
        Array.from({ length: 300 }).reduce<Value>((v) => sub(mul(v, 0.5), y), x),
      array(3),
      array(3),
    );
    for (const k of plan.kernels) expect(depth(k.body)).toBeLessThan(150);
  });

  test('the operand of a maximum that is compared with it is read from memory', () => {
    const f = (x: Value) => grad((v: Value) => reduceSum(reduceMax(mul(v, 1.7), 1)))(x);
    const plan = planOf(f, array(4, 6));
    const last = plan.kernels.at(-1);
    expect(last?.reads.length).toBeGreaterThanOrEqual(2);
    expect(last?.reads.every((v) => !plan.inputs.includes(v))).toBe(true);
  });

  test('buffers die once, after their last reader, and never while they are outputs', () => {
    const plan = planOf(
      (x: Value) => {
        const t = softmax(x);
        return [matmul(t, transpose(t)), reduceSum(square(t), 0)];
      },
      array(5, 5),
    );
    const dead = new Set<number>();
    plan.kernels.forEach((kernel, i) => {
      for (const v of kernel.reads) expect(dead.has(v.id)).toBe(false);
      for (const v of plan.dies[i] ?? []) {
        expect(kernel.reads).toContain(v);
        expect(plan.outputs.includes(v) || plan.inputs.includes(v)).toBe(false);
        dead.add(v.id);
      }
    });
    expect(dead.size).toBe(plan.kernels.length - plan.outputs.length);
  });

  test('a plan is printed with a line per kernel', () => {
    const text = printPlan(planOf((x: Value) => softmax(x), array(4, 6)));
    expect(text).toMatch(
      /^4 kernels, 0 constants, \d+ bytes moved at least, \d+ flops\npeak memory/,
    );
    expect(
      text
        .split('\n')
        .slice(2)
        .every((line) => /^b\d+: float\[4(,6)?\] <- b\d+/.test(line)),
    ).toBe(true);
  });
});

describe('preparation', () => {
  const names = (f: Traceable, ...args: unknown[]) =>
    prepare(trace(f, ...args), { maxReads: 4 }).equations.map((e) => e.primitive.name);
  test('long sums are split, also where the length has no fair divisor', () => {
    for (const n of [4096, 5000, 5003]) {
      const x = uniformArray(generator(n), [2, n]);
      const sums = (v: Value) => reduceSum(v, 1);
      const prepared = prepare(trace(sums, x), { maxReads: 4 });
      expect(prepared.equations.filter((e) => e.primitive.name === 'reduceSum')).toHaveLength(2);
      requireEqual(expected(prepared, [x]), expected(trace(sums, x), [x]), `${n}`, 1e-12);
    }
    expect(names((v: Value) => reduceSum(v, 1), array(2, 100))).toEqual(['reduceSum']);
  });
  test('many arrays are joined in groups', () => {
    const xs = Array.from({ length: 11 }, (_, i) => array(i + 1, 2));
    const prepared = prepare(
      trace((...vs: Value[]) => concat(vs, 0), ...xs),
      { maxReads: 4 },
    );
    for (const e of prepared.equations) expect(e.inputs.length).toBeLessThanOrEqual(4);
    requireEqual(
      expected(prepared, xs),
      expected(
        trace((...vs: Value[]) => concat(vs, 0), ...xs),
        xs,
      ),
      '',
      0,
    );
  });
  test('outputs are values of their own', () => {
    const t = (x: Value) => tanh(x);
    const prepared = prepare(
      trace((x: Value) => [x, x, t(x)], floats([1])),
      { maxReads: 4 },
    );
    expect(new Set([...prepared.outputs, ...prepared.inputs].map((v) => v.id)).size).toBe(4);
  });
});
