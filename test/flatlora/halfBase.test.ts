/**
 * A base in half precision: LoRA and Flat-LoRA on it are, bit for bit, those on the base widened to
 * float32 beforehand; memory is halved where it is stored.
 */
import {
  dtypeOfHost,
  flatData,
  grad,
  type HalfPrecision,
  type HostArray,
  isFloat,
  key,
  lift,
  orThrow,
  printTape,
  roundToHalf,
  simplify,
  storage,
  toFloat,
  toHalf,
  trace,
  treeLeaves,
  treeMap,
  type Value,
} from '../../src/autodiff/index.js';
import { hostRowNormsSquared } from '../../src/flatlora/hostMatrix.js';
import {
  adapt,
  filterNormalisedDirection,
  flat,
  fullFineTuning,
  lora,
  lossSurface,
  meanLossRise,
  mergeTraced,
} from '../../src/flatlora/index.js';
import { evaluate, programRunner, referenceBackend } from '../../src/kernels/index.js';
import { storeAs } from '../../src/models/index.js';
import { testBackends } from '../support/backends.js';
import { run, toNumbers } from '../support/numeric.js';
import type { AnyLoss } from './seenWeights.js';
import {
  type Batch,
  initNetwork,
  makeBatch,
  networkLoss,
  randomAdapters,
  trainingContext,
} from './support.js';

const FORMATS: readonly HalfPrecision[] = ['bfloat16', 'float16'];
const original = initNetwork(31);
const batch = makeBatch(32);
const adapters = randomAdapters(33);
// One layer is adapted, the other is frozen as it is.
const both = lora({ rank: 2, alpha: 3, targetModules: ['first', 'second'] });
const one = lora({ rank: 2, alpha: 3, targetModules: ['second'] });
const onlySecond = { 'second.weight': adapters['second.weight'] };

const halves = (precision: HalfPrecision) => storeAs(precision)(original);
const widen = <T>(tree: T): T =>
  treeMap((x: HostArray) => (dtypeOfHost(x) === 'float' ? x : toFloat(x)), tree) as T;

describe.each(testBackends().map((b) => [b.name, b] as const))('%s', (_, { open }) => {
  test.each(FORMATS)(
    'LoRA and Flat-LoRA on %s are those on the widened base',
    async (precision) => {
      const backend = await open();
      const transformers = {
        lora: (loss: AnyLoss) => loss,
        flat: flat({ sigma: 0.2 }) as (loss: AnyLoss) => AnyLoss,
        'flat (all)': flat({ sigma: 0.2, on: 'all' }) as (loss: AnyLoss) => AnyLoss,
      };
      for (const [method, params] of [
        [both, adapters],
        [one, onlySecond],
      ] as const) {
        for (const [name, transformer] of Object.entries(transformers)) {
          const results = await Promise.all(
            [halves(precision), widen(halves(precision))].map(async (base) => {
              const loss = transformer(adapt(base, method)(networkLoss as AnyLoss) as AnyLoss);
              const step = (p: never, b: Batch) => ({
                value: loss(p, b, trainingContext()),
                gradient: grad((q: never) => loss(q, b, trainingContext()))(p),
              });
              const out = await evaluate(step, backend, params as never, batch as never);
              return treeLeaves<HostArray>(out).map((x) => Array.from(flatData(x)));
            }),
          );
          expect([name, results[0]]).toEqual([name, results[1]]);
        }
      }
      await backend.dispose();
    },
  );

  test('a base that is an argument of the program', async () => {
    const backend = await open();
    const results = await Promise.all(
      [halves('bfloat16'), widen(halves('bfloat16'))].map(async (base) => {
        const step = (p: never, w: never, b: Batch) => {
          const loss = flat({ sigma: 0.2 })(adapt(w, both)(networkLoss as AnyLoss) as AnyLoss);
          return grad((q: never) => loss(q, b, trainingContext()))(p);
        };
        const out = await evaluate(step, backend, adapters as never, base as never, batch as never);
        return treeLeaves<HostArray>(out).map((x) => Array.from(flatData(x)));
      }),
    );
    expect(results[0]).toEqual(results[1]);
    await backend.dispose();
  });
});

test('the tape reads the stored halves and widens them: no float copy of the base in it', () => {
  const base = halves('bfloat16');
  const loss = adapt(base, both)(networkLoss as AnyLoss) as AnyLoss;
  const tape = simplify(
    trace(
      (p: never, b: Batch) => grad((q: never) => loss(q, b, trainingContext()))(p),
      adapters,
      batch,
    ),
  );
  const lines = printTape(tape).split('\n');
  expect(lines.filter((l) => /bfloat16\[7,11\] = constant/.test(l))).toHaveLength(1);
  expect(lines.filter((l) => /float\[(7,11|5,7)\] = constant/.test(l))).toHaveLength(0);
  expect(lines.filter((l) => /convert\{dtype=float\}/.test(l))).toHaveLength(2);
});

test.each(FORMATS)('row norms are of the widened %s values', (precision) => {
  const { weight } = halves(precision).first;
  const rows = toNumbers(toFloat(weight));
  const expected = Array.from({ length: 7 }, (_, i) =>
    rows.slice(11 * i, 11 * i + 11).reduce((sum, x) => sum + x * x, 0),
  );
  expect(toNumbers(hostRowNormsSquared(weight))).toEqual(expected);
  expect(expected).not.toEqual(toNumbers(hostRowNormsSquared(original.first.weight)));
});

test('merging gives float32, unrounded; the frozen rest stays in half precision', () => {
  const base = halves('bfloat16');
  const merged = orThrow(one.merge(base, onlySecond as never));
  expect(merged.first.weight).toBe(base.first.weight);
  expect(merged.second.weight.data).toBeInstanceOf(Float32Array);
  const traced = run(mergeTraced(base, one) as never, onlySecond);
  const [first, , , , second] = treeLeaves<HostArray>(merged).map((x) => toNumbers(x));
  const inTree = treeLeaves<HostArray>(traced).map((x) => toNumbers(x));
  expect(inTree).toHaveLength(5);
  expect(first).toEqual(inTree[0]);
  expect(second?.map(Math.fround)).toEqual(inTree[4]?.map(Math.fround));
  const back = orThrow(one.unmerge(merged, onlySecond as never));
  const [again, before] = [back.second.weight, toFloat(base.second.weight)].map((x) =>
    toNumbers(x),
  );
  again?.forEach((x, i) => {
    expect(x).toBeCloseTo(before?.[i] as number, 6);
  });
});

test('full fine-tuning trains such a base in float32', () => {
  const { adapters: weights, base } = orThrow(
    fullFineTuning<typeof original>().init(halves('float16'), key(1)),
  );
  expect(dtypeOfHost(base.first.weight)).toBe('float16');
  const dtypes = treeLeaves<HostArray>(weights).map(dtypeOfHost);
  expect(new Set(dtypes)).toEqual(new Set(['float']));
  const [stored, trained] = [base, weights].map((w) => toNumbers(toFloat(w.first.weight)));
  expect(trained).toEqual(stored);
});

test('stored on the reference it takes two bytes an element', async () => {
  const backend = referenceBackend();
  const size = 7 * 11;
  for (const precision of FORMATS) {
    const { bytes } = backend.memory();
    const held = backend.upload(halves(precision).first.weight);
    expect(backend.memory().bytes - bytes).toBe(2 * size);
    expect(held.dtype).toBe(precision);
    const back = await backend.download(held);
    expect(Array.from(back.data)).toEqual(Array.from(halves(precision).first.weight.data));
    backend.release(held);
    expect(storage(precision, size).byteLength).toBe(2 * size);
  }
});

test('storeAs rounds to nearest and leaves everything but matrices alone', () => {
  const stored = halves('bfloat16');
  expect(toNumbers(toFloat(stored.first.weight))).toEqual(
    toNumbers(original.first.weight).map((x) => roundToHalf(x, 'bfloat16')),
  );
  expect(stored.first.bias).toBe(original.first.bias);
  expect(stored.scale).toBe(original.scale);
  expect(isFloat(lift(toHalf(original.scale, 'float16')) as Value)).toBe(false);
});

test('sharpness tools move such weights as they move the widened ones', async () => {
  const runner = programRunner(referenceBackend());
  const [half, wide] = [halves('bfloat16'), widen(halves('bfloat16'))];
  const directions = [1, 2].map((k) => filterNormalisedDirection(half, key(k)));
  expect(directions).toEqual([1, 2].map((k) => filterNormalisedDirection(wide, key(k))));
  const [surface, expected] = await Promise.all(
    [half, wide].map((w) =>
      lossSurface(runner, networkLoss as AnyLoss, w, [batch], directions as never, { points: 3 }),
    ),
  );
  expect(surface).toEqual(expected);
  expect(new Set(surface?.losses.flat()).size).toBe(9);
  const [rise, riseOfWide] = await Promise.all(
    [half, wide].map((w) =>
      meanLossRise(runner, networkLoss as AnyLoss, w, [batch], {
        key: key(3),
        sigma: 0.1,
        samples: 3,
      }),
    ),
  );
  expect(rise).toEqual(riseOfWide);
});
