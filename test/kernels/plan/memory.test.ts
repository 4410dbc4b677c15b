/** Memory of plans: what lives at one time never overlaps; outputs take inputs only where it is safe. */
import fc from 'fast-check';
import {
  add,
  convert,
  floats,
  gather,
  grad,
  ints,
  key,
  matmul,
  mul,
  normal,
  reduceSum,
  reshape,
  simplify,
  slice,
  softmax,
  square,
  sub,
  type Traceable,
  tanh,
  trace,
  transpose,
  type Value,
  type Var,
} from '../../../src/autodiff/index.js';
import type { Kernel } from '../../../src/kernels/plan/expression.js';
import {
  bytesOf,
  inPlaceOutputs,
  type Place,
  placeIntermediates,
} from '../../../src/kernels/plan/memory.js';
import { type Plan, planTape } from '../../../src/kernels/plan/plan.js';

const planOf = (f: Traceable, ...examples: unknown[]): Plan =>
  planTape(simplify(trace(f as never, ...(examples as never[]))), { maxReads: 12 });

/** A plan of kernels that read earlier ones; only names, sizes and lives matter here. */
function syntheticPlan(
  shapes: readonly { size: number; half: boolean; reads: readonly number[] }[],
  results: number,
): Plan {
  const variables = shapes.map(
    ({ size, half }, id): Var => ({ id, shape: [size], dtype: half ? 'bfloat16' : 'float' }),
  );
  const kernels = shapes.map(
    ({ reads }, i): Kernel => ({
      output: variables[i] as Var,
      axes: [{ kind: 'loop', name: 'i', size: shapes[i]?.size ?? 0 }],
      body: { kind: 'number', value: 0 },
      reads: [...new Set(reads.map((r) => r % Math.max(i, 1)))]
        .filter(() => i > 0)
        .map((r) => variables[r] as Var),
    }),
  );
  const outputs = variables.slice(variables.length - results);
  const dies = kernels.map((kernel, i) =>
    kernel.reads.filter(
      (v) =>
        !outputs.includes(v) &&
        !kernels.slice(i + 1).some((later) => later.reads.some((r) => r.id === v.id)),
    ),
  );
  return { inputs: [], outputs, constants: [], kernels, dies };
}

const plans = fc
  .array(
    fc.record({
      size: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 5000 })),
      half: fc.boolean(),
      reads: fc.array(fc.nat({ max: 60 }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .chain((shapes) =>
    fc.nat({ max: shapes.length - 1 }).map((results) => syntheticPlan(shapes, results)),
  );

/** Two places that share a byte while both are alive. */
const clash = (places: readonly Place[]): readonly [Place, Place] | undefined => {
  for (const a of places) {
    for (const b of places) {
      if (a.variable.id >= b.variable.id || a.last < b.first || b.last < a.first) continue;
      const apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
      if (!apart && a.bytes > 0 && b.bytes > 0) return [a, b];
    }
  }
  return undefined;
};

test('no two intermediates that are alive at one kernel share a byte', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const { places, arenaBytes, lowerBound } = placeIntermediates(plan);
      expect(clash(places)).toBeUndefined();
      for (const p of places) {
        expect(p.offset % 64).toBe(0);
        expect(p.offset + p.bytes + 64).toBeLessThanOrEqual(arenaBytes);
      }
      expect(places.map((p) => p.variable.id).sort((a, b) => a - b)).toEqual(
        plan.kernels
          .map((k) => k.output)
          .filter((v) => !plan.outputs.includes(v))
          .map((v) => v.id),
      );
      expect(arenaBytes).toBeGreaterThanOrEqual(lowerBound);
    }),
    { seed: 3, numRuns: 300 },
  );
});

test('the lower bound is the greatest sum of what a kernel finds alive', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const { places, lowerBound } = placeIntermediates(plan);
      const sums = plan.kernels.map((_, i) =>
        places.reduce((n, p) => n + (p.first <= i && i <= p.last ? p.bytes : 0), 0),
      );
      expect(lowerBound).toBe(Math.max(0, ...sums));
    }),
    { seed: 4, numRuns: 100 },
  );
});

test('the check of placements notices one that was moved onto another', () => {
  const plan = syntheticPlan(
    [0, 1, 2, 3].map((i) => ({ size: 100, half: false, reads: [i, i + 1] })),
    1,
  );
  const { places } = placeIntermediates(plan);
  expect(places.length).toBe(3);
  const [a, b] = places as readonly [Place, Place];
  expect(clash([a, { ...b, offset: a.offset + 384 }])).toEqual([a, { ...b, offset: 384 }]);
});

test('a long chain needs the memory of two links', () => {
  const chain = syntheticPlan(
    Array.from({ length: 50 }, (_, i) => ({ size: 1000, half: false, reads: i ? [i - 1] : [] })),
    1,
  );
  const { arenaBytes, lowerBound } = placeIntermediates(chain);
  expect(lowerBound).toBe(8000);
  expect(arenaBytes).toBe(2 * (4000 + 96));
  expect(placeIntermediates(chain, { spare: 0, alignment: 8 }).arenaBytes).toBe(8000);
});

test('a training step of a small network stays within a tenth of the lower bound', () => {
  const x = floats(new Float64Array(64 * 32), [64, 32]);
  const weights = [1, 2, 3, 4].map(() => floats(new Float64Array(32 * 32), [32, 32]));
  const loss = (ws: readonly Value[], v: Value): Value =>
    reduceSum(square(ws.reduce((h, w) => softmax(tanh(matmul(h, w))), v)));
  const plan = planOf((ws: readonly Value[], v: Value) => grad(loss)(ws, v), weights, x);
  const { arenaBytes, lowerBound } = placeIntermediates(plan);
  expect(lowerBound).toBeGreaterThan(4 * 64 * 32);
  expect(arenaBytes).toBeLessThan(1.1 * lowerBound + 128 * plan.kernels.length);
});

const w = floats(new Float64Array(12), [3, 4]);
const w33 = floats(new Float64Array(9), [3, 3]);
const inPlace = (f: Traceable, ...examples: unknown[]) => inPlaceOutputs(planOf(f, ...examples));

test('an elementwise update is written over the weight', () => {
  expect(inPlace((a: Value, g: Value) => sub(a, mul(0.1, g)), w, w)).toEqual([0]);
  // The same elements in another shape lie at the same positions.
  expect(inPlace((a: Value) => reshape(mul(2, a), [12]), w)).toEqual([0]);
});

test('every moment of an optimiser takes its own memory', () => {
  const step = (p: Value, m: Value, v: Value, g: Value) => {
    const m1 = add(mul(0.9, m), mul(0.1, g));
    const v1 = add(mul(0.99, v), mul(0.01, square(g)));
    return { p: sub(p, mul(m1, v1)), m: m1, v: v1 };
  };
  const found = inPlace(step, w, w, w, w);
  expect([...found].sort()).toEqual([0, 1, 2]);
});

test.each<[string, Traceable, unknown[]]>([
  ['transposed', (a: Value) => tanh(transpose(a)), [w33]],
  ['shifted', (a: Value) => add(slice(a, [0], [4]), slice(a, [1], [5])), [floats([1, 2, 3, 4, 5])]],
  ['in a loop', (a: Value) => matmul(a, tanh(a)), [w33]],
  ['beside a loop', (a: Value, b: Value) => add(a, matmul(b, b)), [w33, w33]],
  ['as an operand of a product', (a: Value) => matmul(a, a), [w33]],
  ['by an index', (a: Value, i: Value) => mul(2, gather(a, i)), [w, ints([2, 0, 1])]],
  ['smaller than the result', (a: Value) => mul(2, convert(a, 'float')), [w]],
])('an input that is read %s is not written over', (name, f, examples) => {
  if (name === 'smaller than the result') {
    const plan = planOf(f, ...examples);
    const half: Plan = {
      ...plan,
      inputs: plan.inputs.map((v) => ({ ...v, dtype: 'bfloat16', shape: [...v.shape, 2] })),
    };
    const same = new Map(half.inputs.map((v) => [v.id, v]));
    const kernels = half.kernels.map((k) => ({
      ...k,
      reads: k.reads.map((v) => same.get(v.id) ?? v),
    }));
    expect(bytesOf(half.inputs[0] as Var)).toBe(bytesOf(half.outputs[0] as Var));
    expect(inPlaceOutputs({ ...half, kernels })).toEqual([undefined]);
    return;
  }
  expect(inPlace(f, ...examples)).toEqual([undefined]);
});

test('an input that a later kernel reads is not written over; reading it earlier does no harm', () => {
  const both = (a: Value) => ({ first: mul(2, a), second: reduceSum(square(a), 1) });
  const plan = planOf(both, w);
  expect(plan.kernels.length).toBe(2);
  const [first, second] = plan.kernels as [Kernel, Kernel];
  const updateFirst = first.output.shape.length === 2;
  const ordered = updateFirst ? [first, second] : [second, first];
  expect(inPlaceOutputs({ ...plan, kernels: ordered })).toEqual([undefined, undefined]);
  expect(inPlaceOutputs({ ...plan, kernels: ordered.toReversed() })).toEqual([0, undefined]);
});

test('one input serves one output', () => {
  expect(inPlace((a: Value) => [mul(2, a), mul(3, a)], w)).toEqual([undefined, 0]);
});

test('an input that nothing reads any more serves any output of its size', () => {
  expect(inPlace((a: Value, k: Value) => add(normal(k, [3, 4]), mul(0, a)), w, key(1))).toEqual([
    0,
  ]);
  const plan = planOf((_: Value, k: Value) => normal(k, [3, 4]), w, key(1));
  expect(inPlaceOutputs(plan)).toEqual([0]);
});
