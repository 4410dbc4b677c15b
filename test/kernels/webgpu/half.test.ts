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
import { type Backend, type WebgpuOptions, webgpuBackend } from '../../../src/kernels/index.js';
import { type ProductPlan, productPlanOf } from '../../../src/kernels/webgpu/products.js';
import { lanesOf } from '../../../src/kernels/webgpu/tiles.js';
import { sampleProduct } from '../../../src/kernels/webgpu/tuning.js';
import { printProduct } from '../../../src/kernels/webgpu/wgsl/product.js';
import { matrixTile } from '../../../src/kernels/webgpu/wgsl/productMatrix.js';
import { webgpuIsRequired, webgpuMissing } from '../../support/backends.js';

const NULL_DEVICE = ['backend=null', 'enable-dawn-features=allow_unsafe_apis'];

/** Dawn's objects end with their instance, so it must not be collected while one is in use. */
const instances: GPU[] = [];
async function nullGpu(): Promise<GPU> {
  const { create } = await import('webgpu');
  const gpu = create(NULL_DEVICE);
  instances.push(gpu);
  return gpu;
}

/** A backend on Dawn's null device. */
async function onNullDevice(options: WebgpuOptions): Promise<Backend> {
  const { navigator } = globalThis;
  const value = { gpu: await nullGpu() };
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
    const backend = await onNullDevice({ products: 'float16', tune: false });
    const executable = await backend.compile(simplify(trace(layer, ...inputs)));
    const text = executable.describe();
    expect(text).toMatch(/enable f16;/);
    expect(text).toMatch(/var<workgroup> leftTile: array<vec4h, \d+>/);
    expect(text).toMatch(/var sum0_0_0 = 0\.0;/);
    await backend.dispose();
  });

  test.each([
    { rows: 8, columns: 8, terms: 8, subgroup: 32 },
    { rows: 16, columns: 16, terms: 16, subgroup: 32 },
    { rows: 16, columns: 8, terms: 16, subgroup: 64 },
  ])('sums on matrix units of $rows × $columns × $terms', async (unit) => {
    const adapter = await (await nullGpu()).requestAdapter();
    const device = (await adapter?.requestDevice({
      requiredFeatures: [
        'shader-f16',
        'subgroups',
        'chromium-experimental-subgroup-matrix' as GPUFeatureName,
      ],
    })) as GPUDevice;
    const problems = async (code: string) => {
      device.pushErrorScope('validation');
      const { messages } = await device.createShaderModule({ code }).getCompilationInfo();
      await device.popErrorScope();
      return messages.filter((m) => m.type === 'error').map((m) => `${m.lineNum}: ${m.message}`);
    };
    const tile = matrixTile(unit);
    expect(lanesOf(tile)).toBe(4 * unit.subgroup);
    for (const terms of [64, 77]) {
      const kernel = sampleProduct({
        batch: 2,
        rows: 100,
        columns: 90,
        terms,
        products: 1,
        noise: { left: false, right: true },
      });
      const product = productPlanOf(kernel) as ProductPlan;
      for (const parts of [1, 2]) {
        const { source } = printProduct(
          product,
          { tile, parts },
          kernel.output,
          { pieceBytes: 2 ** 28 },
          unit,
        );
        expect(source).toMatch(/subgroupMatrixMultiplyAccumulate/);
        expect(await problems(source)).toEqual([]);
      }
    }
    expect(await problems('fn f() -> f32 { return 1u; }')).not.toEqual([]);
    device.destroy();
  });
});
