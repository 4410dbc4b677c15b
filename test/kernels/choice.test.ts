/** Backends by name, and the choice among them. */
import { FlatloraError, floats, type HostArray } from '../../src/autodiff/index.js';
import {
  autoBackend,
  type Backend,
  backendByName,
  backendNames,
  gpujsBackend,
  referenceBackend,
  selfTest,
} from '../../src/kernels/index.js';
import { chooseNodeBackend, nodeBackendByName } from '../../src/kernels/node.js';
import { testBackends } from '../support/backends.js';

test.each(testBackends().map((b) => b.name))(
  '%s is found by its name and passes its self-test',
  async (name) => {
    const backend = await nodeBackendByName(name);
    expect(backend.name).toBe(name);
    expect(await selfTest(backend)).toBeUndefined();
    await backend.dispose();
  },
);

test('an unknown name is refused with the names there are', async () => {
  for (const name of ['cuda', '', 'constructor']) {
    const failure = backendByName(name);
    await expect(failure).rejects.toThrow(FlatloraError);
    await expect(failure).rejects.toThrow(`"${name}", expected one of ${backendNames.join(', ')}`);
  }
});

test('a backend that cannot run here is refused, never replaced', async () => {
  await expect(backendByName('gpujs-webgl2')).rejects.toThrow(/^gpujs-webgl2: .*WebGL2/);
  await expect(gpujsBackend('webgl2')).rejects.toMatchObject({ kind: 'backend' });
  const { navigator } = globalThis;
  Object.defineProperty(globalThis, 'navigator', { value: {}, configurable: true });
  try {
    await expect(backendByName('gpujs-webgpu')).rejects.toThrow(/^gpujs-webgpu: no WebGPU/);
  } finally {
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  }
});

/** Runs with a `navigator.gpu` of which only the adapter's description is looked at. */
async function withAdapter<A>(gpu: unknown, work: () => Promise<A>): Promise<A> {
  const { navigator } = globalThis;
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  try {
    return await work();
  } finally {
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  }
}

test('the fastest that works is taken, and it says why', async () => {
  const { backend, reason } = await withAdapter(undefined, autoBackend);
  expect(backend.name).toBe('wasm');
  expect(reason).toMatch(/^passed its self-test; webgpu: .*; gpujs-webgpu: no WebGPU adapter/);
  await backend.dispose();
});

test('a software adapter is passed over', async () => {
  const gpu = { requestAdapter: async () => ({ info: { device: 'SwiftShader Device' } }) };
  const { backend, reason } = await withAdapter(gpu, autoBackend);
  expect(backend.name).toBe('wasm');
  expect(reason).toMatch(/webgpu: only a software adapter.*gpujs-webgpu: only a software adapter/);
  await backend.dispose();
  const chosen = await chooseNodeBackend();
  expect(backendNames).toContain(chosen.backend.name);
  await chosen.backend.dispose();
});

test('hardware WebGPU comes first, then wasm, then gpu.js, and the reference last', () => {
  const order = ['webgpu', 'wasm', 'gpujs-webasm', 'gpujs-cpu', 'reference'];
  expect(backendNames.filter((name) => order.includes(name))).toEqual(order);
});

/** Runs without WebAssembly SIMD, as on an old engine. */
async function withoutSimd<A>(work: () => Promise<A>): Promise<A> {
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  try {
    return await work();
  } finally {
    WebAssembly.validate = validate;
  }
}

test('where wasm cannot run gpu.js does, and the reason names what is missing', async () => {
  const { backend, reason } = await withoutSimd(() => withAdapter(undefined, autoBackend));
  expect(backend.name).toMatch(/^gpujs-/);
  expect(reason).toMatch(/wasm: this engine has no WebAssembly SIMD/);
  await backend.dispose();
});

test('the self-test notices wrong numbers', async () => {
  const honest = referenceBackend();
  const spoilt = (change: (x: HostArray) => HostArray): Backend => ({
    ...honest,
    download: async (array) => change(await honest.download(array)),
  });
  const off = spoilt((x) =>
    floats(
      Array.from(x.data, (v) => v + 0.01),
      x.shape,
    ),
  );
  expect(await selfTest(off)).toMatch(/off by/);
  const otherNoise = spoilt((x) =>
    x.shape.length === 1
      ? floats(
          Array.from(x.data, (v) => -v),
          x.shape,
        )
      : x,
  );
  expect(await selfTest(otherNoise)).toMatch(/other random numbers/);
  const nothing = spoilt((x) =>
    floats(
      Array.from(x.data, () => Number.NaN),
      x.shape,
    ),
  );
  expect(await selfTest(nothing)).toMatch(/off by NaN/);
});
