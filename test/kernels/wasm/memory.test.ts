/** The wasm backend's memory: what is given away is written over, what is too large is refused. */
import ndarray from 'ndarray';
import {
  add,
  broadcastTo,
  FlatloraError,
  floats,
  grad,
  type HalfBits,
  type HostArray,
  halfStorage,
  hostArray,
  matmul,
  mul,
  reduceSum,
  reshape,
  softmax,
  square,
  sub,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import {
  type Backend,
  type DeviceArray,
  release,
  wasmBackend,
} from '../../../src/kernels/index.js';

let backend: Backend;
beforeAll(async () => {
  backend = await wasmBackend();
});
afterAll(() => backend.dispose());

const numbers = (n: number) => floats(Float64Array.from({ length: n }, (_, i) => i + 1));
const dataOf = async (array: DeviceArray | undefined): Promise<number[]> =>
  Array.from(((await backend.download(array as DeviceArray)) as HostArray).data);

describe('an update of weights by their gradient', () => {
  const tape = trace(
    (w: Value, x: Value) => sub(w, mul(0.5, grad((v: Value) => reduceSum(square(mul(v, x))))(w))),
    numbers(5),
    numbers(5),
  );
  const upload = () => [backend.upload(numbers(5)), backend.upload(numbers(5))] as const;
  const expected = [1, 2, 3, 4, 5].map((v) => v - v * v * v);

  test('is written over the weights that are given away', async () => {
    const executable = await backend.compile(tape);
    const [w, x] = upload();
    const before = backend.memory();
    const [result] = await executable.run([w, x], [true, false]);
    expect(result?.handle).toBe(w.handle);
    expect(await dataOf(result)).toEqual(expected);
    expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    await expect(backend.download(w)).rejects.toThrow(/released or donated/);
    release(backend, [result, x]);
    executable.dispose();
  });

  test('leaves weights that are kept as they are', async () => {
    const executable = await backend.compile(tape);
    const [w, x] = upload();
    const [result] = await executable.run([w, x], [false, false]);
    expect(result?.handle).not.toBe(w.handle);
    expect(await dataOf(w)).toEqual([1, 2, 3, 4, 5]);
    expect(await dataOf(result)).toEqual(expected);
    release(backend, [result, w, x]);
    executable.dispose();
  });

  test.each([[[true, false]], [[false, true]], [[true, true]]])(
    'of an array by itself, given away as %j, is right',
    async (donated) => {
      const executable = await backend.compile(tape);
      const before = backend.memory();
      const w = backend.upload(numbers(5));
      const [result] = await executable.run([w, w], donated);
      expect(await dataOf(result)).toEqual(expected);
      await expect(backend.download(w)).rejects.toThrow(/released or donated/);
      backend.release(result as DeviceArray);
      expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
      executable.dispose();
    },
  );
});

describe('what does not fit 4 GiB', () => {
  const enormous = (x: Value) => add(broadcastTo(x, [40_000, 40_000]), 1);

  test('is a typed error that names the largest buffers; nothing is lost', async () => {
    const executable = await backend.compile(
      trace((x: Value, y: Value) => [enormous(x), add(y, 1)], numbers(40_000), numbers(3)),
    );
    const [x, y] = [backend.upload(numbers(40_000)), backend.upload(numbers(3))];
    const before = backend.memory();
    const failure = await executable.run([x, y], [false, true]).catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(FlatloraError);
    expect(failure).toMatchObject({ kind: 'memory' });
    expect((failure as Error).message).toMatch(
      /^wasm: out of memory: no room for result 0 of 6\.40 GB, .* largest buffers: b\d+ float\[40000,40000\] 6\.40 GB, b\d+ float\[40000\] 160\.0 KB/,
    );
    expect((failure as Error).message).not.toContain('\n');
    // What was to be given away is still there, and so is the memory.
    expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    expect(await dataOf(y)).toEqual([1, 2, 3]);
    backend.release(x);
    backend.release(y);
    executable.dispose();
  });

  test('holds for intermediates', async () => {
    const executable = await backend.compile(
      trace(
        (x: Value) => reduceSum(softmax(matmul(reshape(x, [40_000, 1]), reshape(x, [1, 40_000])))),
        numbers(40_000),
      ),
    );
    const x = backend.upload(numbers(40_000));
    await expect(executable.run([x], [false])).rejects.toThrow(/no room for intermediates of/);
    // It is still there, and keeps no other program from running.
    const other = await backend.compile(
      trace((v: Value) => reduceSum(softmax(v)), numbers(40_000)),
    );
    const [sum] = await other.run([x], [false]);
    expect((await dataOf(sum))[0]).toBeCloseTo(1, 4);
    backend.release(sum as DeviceArray);
    other.dispose();
    executable.dispose();
    backend.release(x);
  });

  test('holds for uploads', () => {
    const array = backend.upload(numbers(10));
    const before = backend.memory();
    // A view of one number, as large as one likes.
    const wide = ndarray(new Float32Array(1), [2 ** 15, 2 ** 15, 2], [0, 0, 0]) as HostArray;
    expect(() => backend.upload(wide)).toThrow(
      /no room for an array \[32768,32768,2\] of 8\.59 GB/,
    );
    expect(backend.memory()).toEqual(before);
    backend.release(array);
  });
});

test.each(['bfloat16', 'float16'] as const)('%s goes in and out as it is', async (precision) => {
  const before = backend.memory().bytes;
  const bits = halfStorage(precision, 7);
  bits.set([1, 2, 3, 0x3f80, 0x7fc0, 0xff80, 0xffff]);
  const array = backend.upload(hostArray(bits, [7]));
  expect(backend.memory().bytes - before).toBe(14);
  const back = await backend.download(array);
  expect((back.data as HalfBits).format).toBe(precision);
  expect(Array.from(back.data)).toEqual(Array.from(bits));
  backend.release(array);
});
