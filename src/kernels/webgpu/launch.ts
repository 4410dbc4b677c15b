/** Handing kernels to the GPU: all of a program in one compute pass, or each in a pass that is timed. */
import { range } from '../../autodiff/index.js';

export interface Launch {
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}

/** Dispatches have at most this many workgroups along an axis. */
const MOST_WORKGROUPS = 65535;

/** The shape of a dispatch; kernels that get more workgroups than they have work for return at once. */
export const dispatchOf = (workgroups: number): readonly [number, number] =>
  workgroups <= MOST_WORKGROUPS
    ? [workgroups, 1]
    : [MOST_WORKGROUPS, Math.ceil(workgroups / MOST_WORKGROUPS)];

function encode(pass: GPUComputePassEncoder, { pipeline, bindGroup, workgroups }: Launch): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...workgroups);
}

/** Submits kernels in one pass; each sees what those before it wrote. */
export function submit(device: GPUDevice, launches: readonly Launch[]): void {
  if (launches.length === 0) return;
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const launch of launches) encode(pass, launch);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

/** A set of time stamps holds this many. */
const MOST_STAMPS = 4096;

/** Runs kernels and gives the milliseconds of each, by the GPU's clock (feature `timestamp-query`). */
export async function timeLaunches(
  device: GPUDevice,
  launches: readonly Launch[],
): Promise<readonly number[]> {
  const most = MOST_STAMPS / 2;
  const times: number[] = [];
  for (const start of range(Math.ceil(launches.length / most)).map((i) => i * most)) {
    times.push(...(await timeSome(device, launches.slice(start, start + most))));
  }
  return times;
}

async function timeSome(
  device: GPUDevice,
  launches: readonly Launch[],
): Promise<readonly number[]> {
  const count = 2 * launches.length;
  const stamps = device.createQuerySet({ type: 'timestamp', count });
  const [resolved, read] = [
    GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  ].map((usage) => device.createBuffer({ size: 8 * count, usage })) as [GPUBuffer, GPUBuffer];
  try {
    const encoder = device.createCommandEncoder();
    launches.forEach((launch, i) => {
      const pass = encoder.beginComputePass({
        timestampWrites: {
          querySet: stamps,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        },
      });
      encode(pass, launch);
      pass.end();
    });
    encoder.resolveQuerySet(stamps, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, read, 0, 8 * count);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const nanoseconds = new BigUint64Array(read.getMappedRange());
    return launches.map(
      (_, i) => Number((nanoseconds[2 * i + 1] as bigint) - (nanoseconds[2 * i] as bigint)) / 1e6,
    );
  } finally {
    stamps.destroy();
    resolved.destroy();
    read.destroy();
  }
}
