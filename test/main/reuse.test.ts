/** Programs that equal tapes share: which tapes are equal, and what of them counts as memory. */
import { floats, mul, reduceSum, type Value } from '../../src/autodiff/index.js';
import { type Backend, evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';
import { reusingPrograms } from '../../src/main/reuse.js';

/** A backend that counts what it compiles. */
function counting(backend: Backend) {
  const compiled = { count: 0 };
  return {
    compiled,
    backend: reusingPrograms({
      ...backend,
      compile: (tape) => {
        compiled.count += 1;
        return backend.compile(tape);
      },
    }),
  };
}

const dotWith =
  (constant: readonly number[]) =>
  (x: Value): Value =>
    reduceSum(mul(x, floats(constant)));

test('an equal tape gets the same program, another constant or shape another one', async () => {
  const { compiled, backend } = counting(referenceBackend());
  const value = async (constant: readonly number[], x: readonly number[]) =>
    (await evaluate(dotWith(constant), backend, floats(x))).get();
  expect(await value([1, 2], [3, 4])).toBe(11);
  expect(await value([1, 2], [5, 6])).toBe(17);
  expect(compiled.count).toBe(1);
  expect(await value([1, -2], [3, 4])).toBe(-5);
  expect(compiled.count).toBe(2);
  expect(await value([1, 2, 0], [3, 4, 5])).toBe(11);
  expect(compiled.count).toBe(3);
  // −0 and 0 are equal numbers, but not the same constant.
  expect(1 / ((await value([0], [1])) as number)).toBe(Number.POSITIVE_INFINITY);
  expect(1 / ((await value([-0], [1])) as number)).toBe(Number.NEGATIVE_INFINITY);
  await backend.dispose();
});

test('a program that nobody holds does not count as memory', async () => {
  const own = await wasmBackend({ threads: 1 });
  const backend = reusingPrograms(own);
  const before = backend.memory();
  await evaluate(dotWith([1, 2]), backend, floats([3, 4]));
  expect(own.memory().bytes).toBe(before.bytes + 8);
  expect(backend.memory()).toMatchObject({ buffers: before.buffers, bytes: before.bytes });
  await backend.dispose();
});
