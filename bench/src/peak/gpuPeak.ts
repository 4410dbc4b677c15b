/** The GPU's limits through WebGPU: a chain of fused multiply-adds in registers, and a copy. */
import { provideNodeWebgpu } from '../../../dist/kernels/node.js';
import type { Peak } from '../report/results.js';

const CHAINS = 8;
const ROUNDS = 256;
const THREADS_PER_GROUP = 256;

/** Chains of vec4 that stay in registers; every number of every thread is written at the end. */
const FMA_SHADER = `
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@compute @workgroup_size(${THREADS_PER_GROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = vec4f(0.999);
  let y = vec4f(0.001 * f32(id.x & 7u));
  ${Array.from({ length: CHAINS }, (_, i) => `var a${i} = vec4f(${i}.0);`).join('\n  ')}
  for (var i = 0u; i < ${ROUNDS}u; i++) {
    ${Array.from({ length: CHAINS }, (_, i) => `a${i} = fma(a${i}, x, y);`).join('\n    ')}
  }
  out[id.x] = ${Array.from({ length: CHAINS }, (_, i) => `a${i}`).join(' + ')};
}`;

const FLOPS_PER_THREAD = CHAINS * ROUNDS * 4 * 2;

/** Greatest rate of a submission that is repeated until it fills `ms`: amount per millisecond. */
async function rateOf(
  device: GPUDevice,
  encode: (encoder: GPUCommandEncoder, repeats: number) => void,
  amount: number,
  ms: number,
): Promise<number> {
  const time = async (repeats: number) => {
    const encoder = device.createCommandEncoder();
    encode(encoder, repeats);
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - start;
  };
  await time(1);
  const once = await time(1);
  const repeats = Math.max(1, Math.min(1000, Math.ceil(ms / once)));
  let best = 0;
  for (let i = 0; i < 5; i++) best = Math.max(best, (amount * repeats) / (await time(repeats)));
  return best;
}

async function arithmetic(device: GPUDevice, groups: number, ms: number): Promise<number> {
  const threads = groups * THREADS_PER_GROUP;
  const buffer = device.createBuffer({ size: 16 * threads, usage: GPUBufferUsage.STORAGE });
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: FMA_SHADER }), entryPoint: 'main' },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const rate = await rateOf(
    device,
    (encoder, repeats) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(groups);
      pass.end();
    },
    threads * FLOPS_PER_THREAD,
    ms,
  );
  buffer.destroy();
  return rate / 1e6;
}

/** Bytes read and written a second. */
async function copying(device: GPUDevice, size: number, ms: number): Promise<number> {
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const [from, to] = [device.createBuffer({ size, usage }), device.createBuffer({ size, usage })];
  const rate = await rateOf(
    device,
    (encoder, repeats) => {
      for (let i = 0; i < repeats; i++) encoder.copyBufferToBuffer(from, 0, to, 0, size);
    },
    2 * size,
    ms,
  );
  from.destroy();
  to.destroy();
  return rate / 1e6;
}

/**
 * @param quick small amounts, for adapters that are programs.
 * @returns the limits, or why they could not be measured.
 */
export async function gpuPeaks(quick: boolean): Promise<readonly Peak[] | string> {
  const missing = await provideNodeWebgpu();
  if (missing !== undefined) return missing;
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) return 'no WebGPU adapter was found';
  const device = await adapter.requestDevice();
  const name = adapter.info.description || adapter.info.device || adapter.info.vendor;
  const [groups, bytes, ms] = quick ? [4, 2 ** 22, 5] : [8192, 2 ** 28, 100];
  const flops = await arithmetic(device, groups, ms);
  const copied = await copying(device, bytes, ms);
  device.destroy();
  return [
    { name: `f32 fused multiply-add on ${name}`, value: flops, unit: 'GFLOP/s' },
    { name: `device copy on ${name}, read + written`, value: copied, unit: 'GB/s' },
  ];
}
