import fc from 'fast-check';
import {
  div,
  floats,
  hostArray,
  ints,
  key,
  log,
  mul,
  reduceSum,
  square,
  type Value,
} from '../../src/autodiff/index.js';
import { type Backend, referenceBackend } from '../../src/kernels/index.js';
import { evaluator, shuffledBatches, takeRows } from '../../src/training/index.js';
import { runs } from '../tooling/property.js';

describe('evaluator', () => {
  /** A backend that counts what it compiles. */
  const counting = () => {
    const backend = referenceBackend();
    const count = { compiled: 0 };
    const counted: Backend = {
      ...backend,
      compile: (tape) => {
        count.compiled++;
        return backend.compile(tape);
      },
    };
    return { backend: counted, count };
  };

  test('means over any number of examples, one program for all batches', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0.1, max: 9, noNaN: true }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 7 }),
        async (xs, batchSize) => {
          const { backend, count } = counting();
          const { evaluate, dispose } = evaluator(
            (w: Value, { x }: { x: Value }) => ({ log: log(mul(w, x)), square: square(x) }),
            backend,
            { batchSize },
          );
          const found = await evaluate(floats([2], []), { x: floats(xs) });
          const mean = (f: (x: number) => number) =>
            xs.reduce((sum, x) => sum + f(x), 0) / xs.length;
          expect(found.log).toBeCloseTo(
            mean((x) => Math.log(2 * x)),
            12,
          );
          expect(found.square).toBeCloseTo(
            mean((x) => x * x),
            10,
          );
          expect(count.compiled).toBe(1);
          expect(backend.memory().buffers).toBe(0);
          await dispose();
        },
      ),
      { numRuns: runs(25) },
    );
  });

  test('the copies that fill up the last batch do not count, even where they give NaN', async () => {
    // Batches may interact: here every number depends on how many copies there are.
    const { evaluate } = evaluator(
      (_: Value, x: Value) => ({ share: div(x, reduceSum(x)) }),
      referenceBackend(),
      { batchSize: 4 },
    );
    const { share } = await evaluate(floats([0], []), floats([1, 1, 1, 1, 2]));
    expect(share).toBeCloseTo((1 + 0.25) / 5, 14);
  });

  test.each([
    [(x: Value) => reduceSum(x), '"loss" has shape [], expected [2], one number per example'],
  ])('numbers that are no numbers per example', async (f, message) => {
    const { evaluate } = evaluator((_: Value, x: Value) => ({ loss: f(x) }), referenceBackend(), {
      batchSize: 2,
    });
    await expect(evaluate(floats([0], []), floats([1, 2, 3]))).rejects.toThrow(message);
  });

  test('bad examples', async () => {
    const { evaluate } = evaluator(
      (_: Value, { x }: { x: Value; y: Value }) => ({ x }),
      referenceBackend(),
      { batchSize: 2 },
    );
    const params = floats([0], []);
    await expect(evaluate(params, { x: floats([1, 2]), y: floats([1]) })).rejects.toThrow(
      'every array\'s first axis must count the examples (2), but "y" has 1',
    );
    await expect(evaluate(params, { x: floats([]), y: floats([]) })).rejects.toThrow(
      'there are no examples',
    );
    expect(() => evaluator(() => ({}), referenceBackend(), { batchSize: 0 })).toThrow(
      'batchSize is 0',
    );
  });
});

describe('batches', () => {
  test('every epoch has every example once, in orders that differ; any batch can be asked for', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 30 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(),
        (count, size, seed) => {
          const batches = shuffledBatches(key(seed), count, size);
          // `count` batches are `size` whole epochs.
          const walk = Array.from({ length: count }, (_, n) => [...batches(n)]).flat();
          for (let epoch = 0; epoch < size; epoch++) {
            const order = walk.slice(epoch * count, (epoch + 1) * count);
            expect([...order].sort((a, b) => a - b)).toEqual(
              Array.from({ length: count }, (_, i) => i),
            );
          }
          // No memory: a fresh one, asked in another order, says the same.
          const again = shuffledBatches(key(seed), count, size);
          const last = [...again(count - 1)];
          expect([...again(0)]).toEqual(walk.slice(0, size));
          expect(last).toEqual(walk.slice((count - 1) * size));
        },
      ),
      { numRuns: runs(40) },
    );
    const batches = shuffledBatches(key(1), 30, 30);
    expect([...batches(0)]).not.toEqual([...batches(1)]);
    expect([...shuffledBatches(key(2), 30, 30)(0)]).not.toEqual([...batches(0)]);
  });

  test('rows of every array of a tree, types kept', () => {
    const examples = {
      x: hostArray(Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]),
      labels: ints([7, 8, 9]),
    };
    const { x, labels } = takeRows(examples, [2, 0, 2]);
    expect([...x.data]).toEqual([5, 6, 1, 2, 5, 6]);
    expect(x.data).toBeInstanceOf(Float32Array);
    expect(x.shape).toEqual([3, 2]);
    expect([...labels.data]).toEqual([9, 7, 9]);
    expect(() => takeRows(examples, [3])).toThrow('row 3, expected 0 to 2');
  });

  test('bad input', () => {
    expect(() => shuffledBatches(key(1), 0, 1)).toThrow('count is 0');
    expect(() => shuffledBatches(key(1), 3, 0.5)).toThrow('batchSize is 0.5');
  });
});
