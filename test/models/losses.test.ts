/** Properties of the losses beyond PyTorch's golden values. */
import fc from 'fast-check';
import { grad, type HostArray, ints, range, type Value } from '../../src/autodiff/index.js';
import { accuracy, meanSquaredError, softmaxCrossEntropy } from '../../src/models/index.js';
import { floats, numbers, relativeError, run, toNumbers } from '../support/numeric.js';
import { runs } from '../tooling/property.js';
import { gaussian } from './support.js';

const problems = fc.record({
  rows: fc.integer({ min: 1, max: 6 }),
  classes: fc.integer({ min: 1, max: 7 }),
  labelSmoothing: fc.constantFrom(0, 0.1, 0.5, 1),
  seed: fc.nat(1e6),
});

const targetsOf = (rows: number, classes: number, seed: number) =>
  range(rows).map((i) => (seed + 5 * i) % classes);

test('smoothing mixes the loss of the target with the mean loss of all classes', () => {
  fc.assert(
    fc.property(problems, ({ rows, classes, labelSmoothing, seed }) => {
      const logits = gaussian(seed, [rows, classes], 3);
      const loss = (targets: readonly number[], smoothing: number) =>
        numbers(
          (x: Value, t: Value) =>
            softmaxCrossEntropy(x, t, { labelSmoothing: smoothing, reduction: 'none' }),
          logits,
          ints(targets),
        );
      const targets = targetsOf(rows, classes, seed);
      const plain = loss(targets, 0);
      const each = range(classes).map((c) => loss(Array(rows).fill(c), 0));
      const expected = plain.map((l, i) => {
        const all = each.reduce((s, row) => s + (row[i] as number), 0) / classes;
        return (1 - labelSmoothing) * l + labelSmoothing * all;
      });
      expect(relativeError(loss(targets, labelSmoothing), expected)).toBeLessThan(1e-12);
    }),
    { numRuns: runs(60) },
  );
});

test('ignored targets count nowhere: value and gradient are those without their rows', () => {
  fc.assert(
    fc.property(problems, fc.nat(62), ({ rows, classes, labelSmoothing, seed }, bits) => {
      const logits = gaussian(seed, [rows, classes], 3);
      const targets = targetsOf(rows, classes, seed);
      const kept = range(rows).filter((i) => (bits >> i) % 2 === 0);
      fc.pre(kept.length > 0);
      const f = (x: Value, t: Value) => softmaxCrossEntropy(x, t, { labelSmoothing });
      const both = (x: Value, t: Value) => [f(x, t), grad(f)(x, t)];
      const masked = ints(targets.map((t, i) => (kept.includes(i) ? t : -100)));
      const [a, da] = run(both, logits, masked).map(toNumbers) as [number[], number[]];
      const row = (x: readonly number[], i: number) => x.slice(i * classes, (i + 1) * classes);
      const shorter = floats(
        kept.flatMap((i) => row(toNumbers(logits), i)),
        [kept.length, classes],
      );
      const [b, db] = run(both, shorter, ints(kept.map((i) => targets[i] as number))).map(
        toNumbers,
      ) as [number[], number[]];
      expect(relativeError(a, b)).toBeLessThan(1e-13);
      const scattered = range(rows).flatMap((i) =>
        kept.includes(i) ? row(db, kept.indexOf(i)) : Array<number>(classes).fill(0),
      );
      expect(relativeError(da, scattered)).toBeLessThan(1e-13);
    }),
    { numRuns: runs(60) },
  );
});

test('all targets ignored: loss, gradient and accuracy are 0', () => {
  const x = gaussian(1, [2, 3]);
  const t = ints([-100, -100]);
  const f = (l: Value, u: Value) => softmaxCrossEntropy(l, u);
  const [loss, gradient, share] = run(
    (l: Value, u: Value) => [f(l, u), grad(f)(l, u), accuracy(l, u)],
    x,
    t,
  ).map(toNumbers);
  expect(loss).toEqual([0]);
  expect(gradient?.every((g) => g === 0)).toBe(true);
  expect(share).toEqual([0]);
});

test('the mean of one counted target is its own loss', () => {
  const x = gaussian(2, [2, 3]);
  const loss = (targets: number[], reduction: 'mean' | 'none') =>
    numbers((l: Value, u: Value) => softmaxCrossEntropy(l, u, { reduction }), x, ints(targets));
  expect(loss([-100, 2], 'mean')[0]).toBe(loss([-100, 2], 'none')[1]);
});

test('huge logits give finite losses; a shift of all logits changes nothing', () => {
  const f = (x: Value, t: Value) => softmaxCrossEntropy(x, t, { reduction: 'sum' });
  const t = ints([0, 1]);
  expect(numbers(f, floats([1000, 0, 1000, 0], [2, 2]), t)).toEqual([1000]);
  const x = floats([1, 2, 4, -3], [2, 2]);
  const shifted = floats([1 + 64, 2 + 64, 4 + 64, -3 + 64], [2, 2]);
  expect(numbers(f, shifted, t)).toEqual(numbers(f, x, t));
});

test('any batch axes; ignoreIndex null counts every target', () => {
  const logits = gaussian(4, [2, 3, 5]);
  const targets = ints([0, 1, 2, 3, 4, 0], [2, 3]);
  const f = (shape: readonly number[]) => (x: Value, t: Value) => {
    expect(softmaxCrossEntropy(x, t, { reduction: 'none' }).shape).toEqual(shape);
    return softmaxCrossEntropy(x, t);
  };
  const flat = floats(toNumbers(logits), [6, 5]);
  const a = numbers(f([2, 3]), logits, targets)[0] as number;
  const b = numbers(f([6]), flat, ints(toNumbers(targets)))[0] as number;
  expect(a).toBeCloseTo(b, 14);
  const all = (x: Value, t: Value) => softmaxCrossEntropy(x, t, { ignoreIndex: null });
  expect(numbers(all, logits, targets)[0]).toBeCloseTo(a, 14);
  const first = (x: Value, t: Value) => softmaxCrossEntropy(x, t, { ignoreIndex: 0 });
  expect(numbers(first, logits, targets)[0]).not.toBeCloseTo(a, 6);
});

test('accuracy and mean squared error', () => {
  const logits = floats([1, 2, 0, 5, 1, 1, 0, 0, 3, 9, 1, 1], [4, 3]);
  const share = (targets: number[]) =>
    numbers((x: Value, t: Value) => accuracy(x, t), logits, ints(targets))[0];
  expect(share([1, 0, 2, 0])).toBe(1);
  expect(share([1, 0, 2, 1])).toBe(0.75);
  expect(share([1, 0, -100, 1])).toBeCloseTo(2 / 3, 15);
  const [x, y] = [floats([1, 2, 3, 4]), floats([1, 0, 0, 4])];
  const error = (reduction: 'mean' | 'sum' | 'none') =>
    numbers((a: Value, b: Value) => meanSquaredError(a, b, { reduction }), x, y);
  expect(error('none')).toEqual([0, 4, 9, 0]);
  expect(error('sum')).toEqual([13]);
  expect(error('mean')).toEqual([3.25]);
});

test('typed errors', () => {
  const logits = gaussian(1, [2, 3]);
  const loss =
    (t: HostArray, options = {}) =>
    () =>
      run((x: Value, u: Value) => softmaxCrossEntropy(x, u, options), logits, t);
  expect(loss(floats([0, 1]))).toThrow(
    'softmaxCrossEntropy: targets are float[2] for logits float[2,3], expected int[2]',
  );
  expect(loss(ints([0, 1, 2]))).toThrow('expected int[2]');
  expect(loss(ints([0, 1]), { labelSmoothing: 1.5 })).toThrow('labelSmoothing is 1.5');
});
