/** Profiles: rows, table, trace, and where they come from. */
import {
  exp,
  floats,
  matmul,
  range,
  simplify,
  tanh,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import {
  chromeTrace,
  compile,
  printProfile,
  referenceBackend,
  wasmBackend,
} from '../../src/kernels/index.js';
import { kernelTimes } from '../../src/kernels/profile.js';
import { createQueue } from '../../src/kernels/wasm/runtime/queue.js';

const rows = kernelTimes(
  ['b1', 'b2'],
  [
    { flops: 2e6, bytes: 4e6 },
    { flops: 0, bytes: 1e6 },
  ],
  [
    [3, 0.5],
    [2, 0.25],
    [100, 0.75],
  ],
);

test('the median of the repeats counts, and gives the rates', () => {
  expect(rows).toEqual([
    {
      kernel: 'b1',
      ms: 3,
      flops: 2e6,
      bytes: 4e6,
      gigaflopsPerSecond: 2 / 3,
      gigabytesPerSecond: 4 / 3,
    },
    {
      kernel: 'b2',
      ms: 0.5,
      flops: 0,
      bytes: 1e6,
      gigaflopsPerSecond: 0,
      gigabytesPerSecond: 2,
    },
  ]);
  expect(kernelTimes(['b1'], [{ flops: 1, bytes: 1 }], [[1], [4]])[0]?.ms).toBe(2.5);
});

test('the table has the slowest first and the sum last', () => {
  const lines = printProfile([...rows].reverse()).split('\n');
  expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
    ['ms', 'share', 'Mflop', 'MB', 'GFLOP/s', 'GB/s', 'kernel'],
    ['3.000', '85.7 %', '2.00', '4.00', '0.7', '1.3', 'b1'],
    ['0.500', '14.3 %', '0.00', '1.00', '0.0', '2.0', 'b2'],
    ['3.500', '100.0 %', '2.00', '5.00', '0.6', '1.4', 'all 2 kernels'],
  ]);
  expect(printProfile(rows, 1).split('\n').length).toBe(3);
});

test('the trace has the kernels one after another, in microseconds', () => {
  const { traceEvents } = JSON.parse(chromeTrace(rows));
  expect(
    traceEvents.map(({ name, ph, ts, dur }: Record<string, unknown>) => [name, ph, ts, dur]),
  ).toEqual([
    ['b1', 'X', 0, 3000],
    ['b2', 'X', 3000, 500],
  ]);
  expect(traceEvents[0].args).toMatchObject({ flops: 2e6, bytes: 4e6 });
});

test('a program tells what its kernels cost, and leaves its arguments alone', async () => {
  const backend = await wasmBackend();
  const program = compile((a: Value, b: Value) => exp(matmul(a, b)), backend, { donate: [0] });
  const a = backend.upload(floats(new Float64Array(24 * 10), [24, 10]));
  const before = backend.memory();
  const profile = await program.profile(a, floats(new Float64Array(10 * 6), [10, 6]));
  expect(profile.reduce((n, r) => n + r.flops, 0)).toBe(2 * 24 * 10 * 6 + 24 * 6);
  expect(profile.every((r) => r.ms > 0)).toBe(true);
  expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
  expect((await backend.download(a)).size).toBe(240);
  await backend.dispose();
});

test.each([1, 2])(
  'with %i threads, programs of two backends run in parts, in turn',
  async (threads) => {
    const x = floats(new Float64Array(24 * 24).fill(0.5), [24, 24]);
    const tape = simplify(trace((a: Value) => range(4).reduce((v) => tanh(matmul(v, a)), a), x));
    const open = async () => {
      const backend = await wasmBackend({ threads });
      const { runInParts } = await backend.compile(tape);
      if (runInParts === undefined) throw new Error('no parts');
      return { backend, runInParts, input: backend.upload(x) };
    };
    const all = { a: await open(), b: await open() };
    let order = '';
    const turns = createQueue();
    const timesOf = async (name: keyof typeof all) => {
      const { backend, runInParts, input } = all[name];
      const before = backend.memory().bytes;
      const times = await runInParts([input], 3, (part) =>
        turns.add(() => {
          order += name;
          return part();
        }),
      );
      const failing = runInParts([input], 3, () => Promise.reject(new Error('enough')));
      await expect(failing).rejects.toThrow('enough');
      expect(backend.memory().bytes).toBe(before);
      return times;
    };
    for (const times of await Promise.all([timesOf('a'), timesOf('b')])) {
      expect(times).toHaveLength(3);
      expect(times.every((ms) => ms > 0)).toBe(true);
    }
    expect(order).toBe('ababab');
    for (const { backend } of Object.values(all)) await backend.dispose();
  },
);

test('a backend that cannot time kernels says so', async () => {
  const program = compile((a: Value) => exp(a), referenceBackend());
  await expect(program.profile(floats([1]))).rejects.toThrow(
    /reference cannot time single kernels/,
  );
});
