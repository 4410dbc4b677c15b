/** Threads meet where they must: of two kernels that may run at once neither writes what the other touches. */
import {
  evaluationContext,
  foldIn,
  grad,
  ints,
  key,
  orThrow,
  range,
  simplify,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { adapt, flat, lora } from '../../../src/flatlora/index.js';
import { bytesOf, placeIntermediates } from '../../../src/kernels/plan/memory.js';
import { outputsOf, planTape } from '../../../src/kernels/plan/plan.js';
import { buffersOfKernel } from '../../../src/kernels/plan/signature.js';
import { GENERATOR } from '../../../src/kernels/wasm/backend.js';
import { meetingsAfter } from '../../../src/kernels/wasm/meetings.js';
import {
  causalDecoder,
  initCausalDecoder,
  softmaxCrossEntropy,
} from '../../../src/models/index.js';

const config = { vocabulary: 23, maxLength: 8, width: 16, depth: 3, heads: 2 };
const base = initCausalDecoder(config, key(0));
const method = lora({ rank: 2, alpha: 4, targetModules: ['query', 'value', 'fc1', 'fc2'] });
const { adapters } = orThrow(method.init(base, key(1)));
const model = causalDecoder(config);
const loss = flat({ sigma: 0.1 })(
  adapt(base, method)((w: never, t: Value) => softmaxCrossEntropy(model(w, t), t)),
);
// Activations of 16,384 elements: no longer small enough to come early.
const tokens = ints(
  range(1024).map((i) => i % 23),
  [128, 8],
);
const plan = planTape(
  simplify(
    trace(
      (a: never, t: never, k: Value) =>
        grad((p: never) => loss(p, t, { ...evaluationContext(), stepKey: k, training: true }))(a),
      adapters,
      tokens,
      foldIn(key(3), 1),
    ),
  ),
  GENERATOR.limits,
);

test('results are there before they are read, though small kernels come first', () => {
  const there = new Set(
    [...plan.inputs, ...plan.constants.map((c) => c.variable)].map((v) => v.id),
  );
  for (const kernel of plan.kernels) {
    expect(kernel.reads.every((v) => there.has(v.id))).toBe(true);
    for (const v of outputsOf(kernel)) there.add(v.id);
  }
  // The keys of all layers are made before the first attention.
  const isKey = (v: { readonly dtype: string }) => v.dtype === 'uint';
  const lastKey = plan.kernels.findLastIndex((k) => outputsOf(k).some(isKey));
  expect(lastKey).toBeGreaterThan(4);
  expect(lastKey).toBeLessThan(plan.kernels.findIndex((k) => 'kind' in k));
});

test('no two kernels between meetings touch the same bytes, one of them writing', () => {
  const meets = meetingsAfter(
    plan,
    () => false,
    () => false,
  );
  const places = new Map(placeIntermediates(plan).places.map((p) => [p.variable.id, p]));
  const bytes = (ids: readonly { readonly id: number }[]) =>
    ids.flatMap((v) => {
      const place = places.get(v.id);
      return place === undefined ? [] : [[place.offset, place.offset + bytesOf(place.variable)]];
    }) as [number, number][];
  const meetsBetween = (i: number, j: number) => meets.slice(i, j).some(Boolean);
  let together = 0;
  for (const [i, a] of plan.kernels.entries()) {
    for (let j = i + 1; j < plan.kernels.length && !meetsBetween(i, j); j++) {
      together++;
      const b = plan.kernels[j] as typeof a;
      const [wa, wb, ta, tb] = [
        outputsOf(a),
        outputsOf(b),
        buffersOfKernel(a),
        buffersOfKernel(b),
      ].map(bytes);
      const clash = (xs: [number, number][], ys: [number, number][]) =>
        xs.some(([f, t]) => ys.some(([g, u]) => f < u && g < t));
      expect([i, j, clash(wa as never, tb as never) || clash(ta as never, wb as never)]).toEqual([
        i,
        j,
        false,
      ]);
      // A result that is no intermediate lies alone; it must not be read before threads have met.
      expect(b.reads.some((v) => outputsOf(a).some((w) => w.id === v.id))).toBe(false);
    }
  }
  expect(together).toBeGreaterThan(10);
  expect(meets.at(-1)).toBe(true);
});

test('kernels of thread 0 alone follow each other without meeting', () => {
  const all = meetingsAfter(
    plan,
    () => true,
    () => false,
  );
  expect(all.filter(Boolean)).toHaveLength(1);
  const packing = meetingsAfter(
    plan,
    () => false,
    () => true,
  );
  expect(packing.every(Boolean)).toBe(true);
});
