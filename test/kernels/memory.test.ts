/**
 * Memory: 2,000 training steps leave as much behind as 200 do, what is released is freed, and what
 * was released is refused.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  add,
  floats,
  grad,
  type HostArray,
  key,
  matmul,
  mul,
  normal,
  reduceSum,
  square,
  sub,
  tanh,
  trace,
  type Value,
} from '../../src/autodiff/index.js';
import {
  type Backend,
  compile,
  type DeviceArray,
  download,
  release,
} from '../../src/kernels/index.js';
import { testBackends } from '../support/backends.js';
import { onEachBackend } from './support.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

interface State<A = Value> {
  readonly w1: A;
  readonly w2: A;
}

const loss = ({ w1, w2 }: State, x: Value, k: Value) =>
  reduceSum(square(sub(matmul(tanh(matmul(x, w1)), w2), mul(0.1, normal(k, [4, 2])))));

/** A step of gradient descent with noise by key. */
const step = (state: State, x: Value, k: Value) => {
  const gradient = grad((s: State) => loss(s, x, k))(state);
  return {
    state: {
      w1: sub(state.w1, mul(0.01, gradient.w1 as Value)),
      w2: sub(state.w2, mul(0.01, gradient.w2 as Value)),
    },
    loss: loss(state, x, k),
  };
};

const initial = (): State<HostArray> => ({
  w1: floats(
    Array.from({ length: 15 }, (_, i) => Math.sin(i)),
    [3, 5],
  ),
  w2: floats(
    Array.from({ length: 10 }, (_, i) => Math.cos(i)),
    [5, 2],
  ),
});
const x = floats(
  Array.from({ length: 12 }, (_, i) => i / 12),
  [4, 3],
);

/** Counts the GPU buffers that are alive from now on; zero elsewhere. */
function countBuffers(): { readonly live: () => number; readonly stop: () => void } {
  const { GPUDevice, GPUBuffer } = globalThis as unknown as Record<
    string,
    { prototype: Record<string, (...args: unknown[]) => unknown> } | undefined
  >;
  if (GPUDevice === undefined || GPUBuffer === undefined) return { live: () => 0, stop: () => {} };
  const alive = new Set<unknown>();
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  GPUDevice.prototype.createBuffer = function (...args) {
    const buffer = createBuffer?.apply(this, args);
    alive.add(buffer);
    return buffer;
  };
  GPUBuffer.prototype.destroy = function (...args) {
    alive.delete(this);
    return destroy?.apply(this, args);
  };
  return {
    live: () => alive.size,
    stop: () => {
      GPUDevice.prototype.createBuffer = createBuffer as never;
      GPUBuffer.prototype.destroy = destroy as never;
    },
  };
}

const heapMegabytes = (): number => {
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
};

onEachBackend((backend, name) => {
  test('2,000 steps with donated state: buffers, bytes and heap stay where they were', async () => {
    const gpu = countBuffers();
    const b = backend();
    const program = compile(step, b, { donate: [0] });
    let state: unknown = initial();
    let lastLoss = 0;
    const advance = async (steps: number) => {
      for (let i = 0; i < steps; i++) {
        const result = await program(state as State, x, key(i));
        state = result.state;
        if (i === steps - 1) {
          lastLoss = (await b.download(result.loss as unknown as DeviceArray)).data[0] as number;
        }
        release(b, result.loss);
      }
      return { ...b.memory(), gpu: gpu.live(), heap: heapMegabytes() };
    };
    const early = await advance(200);
    const late = await advance(1800);
    expect(lastLoss).toBeGreaterThan(0);
    expect(lastLoss).toBeLessThan(1);
    expect({ ...late, heap: 0 }).toEqual({ ...early, heap: 0 });
    // The heap of a process that compiles modules now and then breathes a little.
    expect(late.heap - early.heap).toBeLessThan(4);
    if (name === 'gpujs-webgpu') expect(early.gpu).toBeGreaterThan(0);
    release(b, state);
    await program.dispose();
    if (name === 'gpujs-webgpu') expect(gpu.live()).toBeLessThan(early.gpu);
    gpu.stop();
  });
});

onEachBackend((backend) => {
  const buffersOf = (b: Backend) => b.memory().buffers;
  const bytesPerFloat = (b: Backend) => b.precision / 8;

  test('uploads and releases are counted', () => {
    const b = backend();
    const before = b.memory();
    const array = b.upload(floats([1, 2, 3]));
    expect(b.memory().bytes - before.bytes).toBe(3 * bytesPerFloat(b));
    expect(buffersOf(b) - before.buffers).toBe(1);
    b.release(array);
    b.release(array);
    expect({ ...b.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    expect(b.memory().peakBytes).toBeGreaterThanOrEqual(before.bytes + 3 * bytesPerFloat(b));
  });

  test('the peak covers operands, intermediates and results', async () => {
    const b = backend();
    const n = 10_000;
    const program = compile((v: Value) => matmul(tanh(v), tanh(v)), b);
    const before = b.memory().bytes;
    release(b, await program(floats(new Float64Array(n), [100, 100])));
    expect(b.memory().bytes).toBe(before);
    expect(b.memory().peakBytes - before).toBeGreaterThanOrEqual(2 * n * bytesPerFloat(b));
    expect(b.memory().peakBytes).toBeLessThan(before + 1e6);
    await program.dispose();
  });

  test('arrays that were released or donated, or belong elsewhere, are refused', async () => {
    const b = backend();
    const double = compile((v: Value) => add(v, v), b, { donate: [0] });
    const array = b.upload(floats([1, 2]));
    const [twice] = [await double(array)] as unknown as [DeviceArray];
    await expect(double(array)).rejects.toThrow(/was released or donated before/);
    await expect(b.download(array)).rejects.toThrow(/was released or donated before/);
    b.release(twice);
    await expect(b.download(twice)).rejects.toThrow(/was released or donated before/);
    const foreign: DeviceArray = { ...twice, backend: 'elsewhere' };
    await expect(double(foreign)).rejects.toThrow(/given an array of backend elsewhere/);
    await expect(b.download(foreign)).rejects.toThrow(/given an array of backend elsewhere/);
    expect(() => b.release(foreign)).toThrow(/given an array of backend elsewhere/);
    await double.dispose();
  });

  test('later writes to a host array change nothing on the device', async () => {
    const b = backend();
    const data = new Float32Array([1, 2, 3]);
    const array = b.upload({ ...floats([1, 2, 3]), data } as never);
    data[0] = 9;
    const back = (await b.download(array)) as HostArray;
    expect([...back.data]).toEqual([1, 2, 3]);
    back.data[0] = 7;
    expect((await b.download(array)).data[0]).toBe(1);
    b.release(array);
  });

  test('results outlive their program', async () => {
    const b = backend();
    const program = compile((v: Value) => ({ y: mul(v, 2) }), b);
    const result = await program(floats([1, 2]));
    await program.dispose();
    const { y } = await download(b, result as unknown as { y: DeviceArray });
    expect([...(y as unknown as HostArray).data]).toEqual([2, 4]);
    release(b, result);
  });
}, testBackends());

describe.each(
  testBackends()
    .filter((b) => b.name !== 'reference')
    .map((b) => [b.name, b] as const),
)('%s at its end', (_, { open }) => {
  test('a disposed backend holds nothing and refuses work', async () => {
    const b = await open();
    const array = b.upload(floats([1]));
    const tape = trace((v: Value) => tanh(v), floats([1]));
    const executable = await b.compile(tape);
    await expect(executable.run([], [])).rejects.toThrow(/takes 1 inputs, given 0/);
    await expect(executable.run([b.upload(floats([1, 2]))], [true])).rejects.toThrow(
      /input 0 is float\[2\], expected float\[1\]/,
    );
    executable.dispose();
    executable.dispose();
    await expect(executable.run([array], [false])).rejects.toThrow(/program was disposed/);
    await b.dispose();
    await b.dispose();
    expect(b.memory()).toMatchObject({ buffers: 0, bytes: 0 });
    expect(() => b.upload(floats([1]))).toThrow(/backend was disposed/);
    await expect(b.compile(tape)).rejects.toThrow(/backend was disposed/);
    await expect(b.download(array)).rejects.toThrow(/backend was disposed/);
  });
});
