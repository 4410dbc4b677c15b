/** Compilation: one program per signature of the arguments. */
import { add, floats, type HostArray, mul, type Value } from '../../src/autodiff/index.js';
import { compile, download, referenceBackend } from '../../src/kernels/index.js';

const x = floats([1, 2, 3]);

test('functions and names inside arguments belong to the signature', async () => {
  const backend = referenceBackend();
  interface Model {
    readonly weight: Value;
    readonly activation: (v: Value) => Value;
    readonly mode: string;
  }
  const program = compile(
    ({ weight, activation, mode }: Model) =>
      mode === 'twice' ? activation(activation(weight)) : activation(weight),
    backend,
  );
  const run = async (activation: (v: Value) => Value, mode: string) =>
    Array.from(
      (
        (await download(
          backend,
          await program({ weight: x, activation, mode }),
        )) as unknown as HostArray
      ).data,
    );
  const triple = (v: Value) => mul(3, v);
  const next = (v: Value) => add(1, v);
  expect(await run(triple, 'once')).toEqual([3, 6, 9]);
  expect(await run(next, 'once')).toEqual([2, 3, 4]);
  expect(await run(next, 'twice')).toEqual([3, 4, 5]);
  expect(await run(triple, 'once')).toEqual([3, 6, 9]);
});

test('a function is traced once per signature', async () => {
  const backend = referenceBackend();
  let traces = 0;
  const program = compile((v: Value) => {
    traces += 1;
    return mul(v, v);
  }, backend);
  await program(x);
  await program(floats([4, 5, 6]));
  expect(traces).toBe(1);
  await program(floats([4, 5]));
  expect(traces).toBe(2);
});

test('donated arrays are given up, others are not', async () => {
  const backend = referenceBackend();
  const program = compile((a: Value, b: Value) => add(a, b), backend, { donate: [0] });
  const [a, b] = [backend.upload(x), backend.upload(x)];
  await program(a, b);
  await expect(backend.download(a)).rejects.toThrow(/released or donated/);
  expect((await backend.download(b)).size).toBe(3);
});
