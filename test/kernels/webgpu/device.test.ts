/** What happens at the GPU's limits: arrays longer than a binding, too little memory, a lost device. */
import {
  add,
  argmax,
  convert,
  exp,
  floats,
  gather,
  type HostArray,
  hostArray,
  ints,
  key,
  lt,
  matmul,
  mul,
  normal,
  reduceSum,
  select,
  simplify,
  toHalf,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { type Backend, compile, release, webgpuBackend } from '../../../src/kernels/index.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';
import { generator, uniformArray } from '../../support/draw.js';
import { checkTape } from '../checking.js';

const array = (seed: number, ...shape: number[]): HostArray =>
  uniformArray(generator(seed), shape, -1, 1);
const present = webgpuMissing === undefined || webgpuIsRequired;

type Patch = Record<string, (...args: never[]) => unknown>;
const prototypeOf = (name: string): Patch =>
  (globalThis as unknown as Record<string, { prototype: Patch }>)[name]?.prototype as Patch;

(present ? describe : describe.skip)('arrays of several buffers', () => {
  let backend: Backend;
  beforeAll(async () => {
    // 65,536 numbers a buffer.
    backend = await webgpuBackend({ bindingBytes: 2 ** 18 });
  });
  afterAll(() => backend.dispose());
  const check = (f: (...xs: Value[]) => unknown, ...inputs: HostArray[]) =>
    checkTape(backend, simplify(trace(f, ...inputs)), inputs, String(f));

  test('elementwise, of floats, integers and booleans', async () => {
    const n = 200_001;
    await check((x, y) => add(mul(x, 2), y), array(1, n), array(2, n));
    const numbers = ints(Array.from({ length: n }, (_, i) => i * 7 - n));
    await check((x) => [lt(x, 5), select(lt(x, 0), x, mul(x, 3))], numbers);
  });
  test('products, sums and rows', async () => {
    await check(matmul, array(3, 300, 310), array(4, 310, 290));
    await check((x) => [reduceSum(x, 1), reduceSum(x, 0), reduceSum(x)], array(5, 70, 1000));
    await check((x) => argmax(x, 1), array(5, 70, 1000));
  });
  test('rows by number, and random numbers', async () => {
    const rows = ints([0, 299, 150, -1, 300, 7]);
    await check((x, i) => gather(x, i), array(6, 300, 301), rows);
    await check((k) => normal(k, [100_001]), key(3));
  });
  test('half precision', async () => {
    const half = toHalf(array(7, 201, 999), 'bfloat16');
    await check((x) => mul(convert(x, 'float'), 2), half);
    await check((x) => convert(mul(x, 2), 'float16'), array(8, 201, 999));
  });
  test('more buffers than a kernel can bind are refused', async () => {
    const n = 6 * 65_536;
    const f = (x: Value, y: Value, z: Value) => add(add(x, y), z);
    const inputs = [1, 2, 3].map((seed) => array(seed, n));
    await expect(backend.compile(trace(f, ...inputs))).rejects.toThrow(
      /makes float\[393216\] needs \d+ bindings of at most 262144 bytes, this device has \d+/,
    );
  });
});

(present ? describe : describe.skip)('launches', () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await webgpuBackend();
  });
  afterAll(() => backend.dispose());

  test('more workgroups than one axis of a dispatch has', async () => {
    const n = 65_536 * 64 + 77;
    const x = hostArray(
      Float32Array.from({ length: n }, (_, i) => i % 1000),
      [n],
    );
    const executable = await backend.compile(trace((v: Value) => mul(v, 2), x));
    const [result] = await executable.run([backend.upload(x)], [true]);
    const { data } = await backend.download(result as never);
    expect(data.findIndex((v, i) => v !== 2 * (i % 1000))).toBe(-1);
  });

  test('runs in steady state make no buffers and no bindings anew', async () => {
    const step = (state: Value, x: Value) => ({
      state: add(mul(state, 0.9), matmul(x, exp(state))),
      loss: reduceSum(state),
    });
    const program = compile(step, backend, { donate: [0] });
    const x = array(1, 8, 8);
    let state: unknown = array(2, 8, 8);
    const run = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const result = await program(state, x);
        release(backend, result.loss);
        state = result.state;
      }
    };
    await run(10);
    const prototype = prototypeOf('GPUDevice');
    const { createBindGroup, createBuffer } = prototype;
    let made = 0;
    for (const [name, original] of Object.entries({ createBindGroup, createBuffer })) {
      prototype[name] = function (...args) {
        made += 1;
        return original?.apply(this, args);
      };
    }
    await run(20);
    Object.assign(prototype, { createBindGroup, createBuffer });
    expect(made).toBe(0);
    release(backend, state);
    await program.dispose();
  });

  test('each kernel is timed by the clock of the GPU', async () => {
    const program = compile((x: Value, y: Value) => [matmul(x, y), reduceSum(x, 1)], backend);
    const inputs = [array(1, 64, 300), array(2, 300, 64)].map(backend.upload);
    const before = backend.memory();
    const rows = await program.profile(...(inputs as [unknown, unknown]));
    expect(rows.map((r) => r.kernel)).toContainEqual(expect.stringMatching(/product, tile/));
    for (const { ms } of rows) expect(ms).toBeGreaterThan(0);
    expect(rows[0]?.flops).toBe(2 * 64 * 300 * 64);
    expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
  });
});

/** The device that a backend opens. */
async function opened(): Promise<{ backend: Backend; device: GPUDevice }> {
  const prototype = prototypeOf('GPUAdapter');
  const { requestDevice } = prototype;
  let device: GPUDevice | undefined;
  prototype.requestDevice = async function (...args) {
    device = (await requestDevice?.apply(this, args)) as GPUDevice;
    return device;
  };
  try {
    return { backend: await webgpuBackend(), device: device as unknown as GPUDevice };
  } finally {
    prototype.requestDevice = requestDevice as never;
  }
}

(present ? describe : describe.skip)('failures', () => {
  test('a lost device is told by every later call, and a new backend works', async () => {
    const { backend, device } = await opened();
    const double = compile((x: Value) => mul(x, 2), backend);
    const x = backend.upload(floats([1, 2, 3]));
    await double(x);
    device.destroy();
    await device.lost;
    const lost = /device was lost .*resume from the last checkpoint/;
    await expect(double(x)).rejects.toThrow(lost);
    await expect(backend.download(x)).rejects.toThrow(lost);
    await expect(backend.compile(trace(exp, floats([1])))).rejects.toMatchObject({
      kind: 'backend',
    });
    expect(() => backend.upload(floats([1]))).toThrow(lost);
    await backend.dispose();

    // Lost while the host waits for numbers.
    const { backend: other, device: fragile } = await opened();
    const y = other.upload(floats([1, 2, 3]));
    const waiting = other.download(y);
    fragile.destroy();
    await expect(waiting).rejects.toThrow(lost);
    await other.dispose();
    const next = await webgpuBackend();
    const again = compile((v: Value) => mul(v, 2), next);
    const result = (await again(floats([1, 2, 3]))) as never;
    expect([...(await next.download(result)).data]).toEqual([2, 4, 6]);
    await next.dispose();
  });

  test('too little memory names the largest buffers, and what was there is still there', async () => {
    const { backend } = await opened();
    const f = (x: Value, y: Value) => [matmul(x, y), reduceSum(x, 1)];
    const program = compile(f, backend, { donate: [0] });
    const [x, y] = [array(1, 100, 200), array(2, 200, 50)].map(backend.upload);
    await program.describe(x, y);
    const before = backend.memory();
    const prototype = prototypeOf('GPUDevice');
    const { popErrorScope } = prototype;
    let failures = 0;
    prototype.popErrorScope = async function (...args) {
      await popErrorScope?.apply(this, args);
      failures += 1;
      return { message: 'out of memory while allocating' };
    };
    try {
      await expect(program(x, y)).rejects.toMatchObject({
        kind: 'memory',
        message: expect.stringMatching(
          /^webgpu: the device is out of memory .*largest buffers are b\d+ float\[100,200\] 80\.0 KB/,
        ),
      });
    } finally {
      prototype.popErrorScope = popErrorScope as never;
    }
    expect(failures).toBeGreaterThan(0);
    expect({ ...backend.memory(), peakBytes: 0 }).toEqual({ ...before, peakBytes: 0 });
    // The donated array is the caller's again.
    release(backend, await program(x, y));
    await program.dispose();
    await backend.dispose();
  });

  test('an upload without memory is told by the next call', async () => {
    const { backend } = await opened();
    const program = compile((x: Value) => mul(x, 2), backend);
    const fine = backend.upload(array(1, 10));
    await program(fine);
    const prototype = prototypeOf('GPUDevice');
    const { popErrorScope } = prototype;
    prototype.popErrorScope = async function (...args) {
      await popErrorScope?.apply(this, args);
      return { message: 'out of memory while allocating' };
    };
    const large = backend.upload(array(1, 100_000));
    prototype.popErrorScope = popErrorScope as never;
    await expect(program(large)).rejects.toMatchObject({
      kind: 'memory',
      message: expect.stringMatching(/out of memory for an array that was uploaded/),
    });
    backend.release(large);
    release(backend, await program(fine));
    await backend.dispose();
  });

  test('booleans and an odd number of half-precision numbers go in and out', async () => {
    const { backend } = await opened();
    const data = Uint8Array.from([1, 0, 1]);
    const bools = backend.upload(hostArray(data, [3]));
    expect([...(await backend.download(bools)).data]).toEqual([1, 0, 1]);
    const odd = toHalf(floats([1, 2, 3]), 'bfloat16');
    expect([...(await backend.download(backend.upload(odd))).data]).toEqual([...odd.data]);
    await backend.dispose();
    expect(backend.memory()).toMatchObject({ buffers: 0, bytes: 0 });
  });
});
