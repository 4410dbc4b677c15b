/**
 * Products whose tiles are float16. SwiftShader has no `shader-f16`, so what can be tested without a GPU
 * is that the kernels are valid WGSL: Dawn's null device checks shaders and runs nothing.
 */
import {
  add,
  floats,
  gelu,
  matmul,
  simplify,
  trace,
  type Value,
} from '../../../src/autodiff/index.js';
import { type Backend, webgpuBackend } from '../../../src/kernels/index.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';

/** A backend on Dawn's null device. */
async function onNullDevice(
  toggles: readonly string[],
  options: Parameters<typeof webgpuBackend>[0],
): Promise<Backend> {
  const { create } = (await import('webgpu')) as {
    create: (options: readonly string[]) => unknown;
  };
  const { navigator } = globalThis;
  const value = { gpu: create(['backend=null', ...toggles]) };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  try {
    return await webgpuBackend(options);
  } finally {
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
  }
}

const array = (...shape: number[]) =>
  floats(new Float64Array(shape.reduce((n, d) => n * d, 1)), shape);
const layer = (x: Value, w: Value, b: Value) => gelu(add(matmul(x, w), b));
const inputs = [array(200, 70), array(70, 90), array(90)] as const;

(webgpuMissing === undefined || webgpuIsRequired ? describe : describe.skip)('float16', () => {
  test('without shader-f16 it is refused', async () => {
    await expect(webgpuBackend({ products: 'float16' })).rejects.toThrow(
      /^webgpu: products is float16, but this device has no shader-f16/,
    );
  });

  test('tiles hold vectors of float16, sums stay float32', async () => {
    const backend = await onNullDevice([], { products: 'float16', tune: false });
    const executable = await backend.compile(simplify(trace(layer, ...inputs)));
    const text = executable.describe();
    expect(text).toMatch(/enable f16;/);
    expect(text).toMatch(/var<workgroup> left0Tile: array<vec4h, \d+>/);
    expect(text).toMatch(/var sum0_0_0 = 0\.0;/);
    await backend.dispose();
  });
});
