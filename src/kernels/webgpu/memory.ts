/** Arrays on the GPU: one buffer each, or several where an array is longer than a binding may be. */
import type { BufferPool, PooledBuffer } from './pool.js';
import { type ArrayLayout, piecesOf } from './wgsl/bindings.js';

/** The buffers of an array, in order; none for an empty one. */
export type GpuArray = readonly PooledBuffer[];

export const acquireArray = (pool: BufferPool, bytes: number, layout: ArrayLayout): GpuArray =>
  piecesOf(bytes, layout).map(pool.acquire);

/** The bytes of host data as words, the last one filled up. */
function wordsOf(data: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length % 4 === 0) return bytes;
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return whole;
}

/** Copies data into an array's buffers. */
export function writeArray(
  device: GPUDevice,
  array: GpuArray,
  data: ArrayBufferView,
  layout: ArrayLayout,
): void {
  const bytes = wordsOf(data);
  let start = 0;
  for (const [i, size] of piecesOf(bytes.length, layout).entries()) {
    const { buffer } = array[i] as PooledBuffer;
    device.queue.writeBuffer(buffer, 0, bytes as Uint8Array<ArrayBuffer>, start, size);
    start += size;
  }
}

/** Copies an array to the host. */
export async function readArray(
  device: GPUDevice,
  array: GpuArray,
  bytes: number,
  layout: ArrayLayout,
): Promise<ArrayBuffer> {
  const whole = new Uint8Array(bytes);
  const encoder = device.createCommandEncoder();
  const staged = piecesOf(bytes, layout).map((size, i) => {
    const staging = device.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.copyBufferToBuffer((array[i] as PooledBuffer).buffer, 0, staging, 0, size);
    return staging;
  });
  if (staged.length > 0) device.queue.submit([encoder.finish()]);
  let start = 0;
  try {
    for (const staging of staged) {
      await staging.mapAsync(GPUMapMode.READ);
      whole.set(new Uint8Array(staging.getMappedRange()), start);
      start += staging.size;
      staging.unmap();
    }
  } finally {
    for (const staging of staged) staging.destroy();
  }
  return whole.buffer;
}
