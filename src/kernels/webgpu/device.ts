/**
 * The GPU: the best adapter, a device with all that it offers, and what went wrong with it.
 *
 * A device can be lost at any time (a driver's reset, a laptop's other GPU). Nothing can be saved then:
 * every later call fails with an error that says so, and a new backend can be made.
 */
import { FlatloraError } from '../../autodiff/index.js';
import type { MatrixUnit } from './wgsl/productMatrix.js';

const NAME = 'webgpu';

/** Features that are used where they are there. */
const WANTED = [
  'subgroups',
  'shader-f16',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
] as const;
export type Feature = (typeof WANTED)[number];

/** Limits that are raised to what the adapter has. */
const RAISED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const;

export interface GpuDevice {
  /** Held because Dawn's objects end with their instance. */
  readonly instance: GPU;
  readonly device: GPUDevice;
  readonly features: ReadonlySet<Feature>;
  /** Whether the adapter is a program, as SwiftShader is. */
  readonly software: boolean;
  /** The adapter in a word or two, for people and as a key of what was measured on it. */
  readonly description: string;
  /** Matrix units for float16 operands and float32 sums, where there are some. */
  readonly matrixUnit: MatrixUnit | undefined;
  /** Throws what went wrong since the last call, and for ever once the device is lost. */
  readonly check: () => void;
  readonly destroy: () => void;
}

/** Whether an adapter is a program rather than a GPU. */
const isSoftware = (info: GPUAdapterInfo | undefined): boolean =>
  (info as { isFallbackAdapter?: boolean } | undefined)?.isFallbackAdapter === true ||
  /swiftshader|llvmpipe|lavapipe|software/i.test(`${info?.device} ${info?.description}`);

/** What Dawn tells of matrix units; not in the standard's types. */
interface MatrixInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: readonly {
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }[];
}

/** Matrix units that suit: float16 to float32, sizes that divide a tile, subgroups of one size. */
function matrixUnitOf(info: MatrixInfo, { features, limits }: GPUDevice): MatrixUnit | undefined {
  const { subgroupMinSize = 0, subgroupMaxSize = 0, subgroupMatrixConfigs = [] } = info;
  const has = (feature: Feature) => features.has(feature);
  if (!has('chromium-experimental-subgroup-matrix') || !has('shader-f16')) return undefined;
  const lanes = 4 * subgroupMinSize;
  if (subgroupMinSize !== subgroupMaxSize || lanes < 64) return undefined;
  if (lanes > limits.maxComputeInvocationsPerWorkgroup) return undefined;
  const found = subgroupMatrixConfigs.find(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' &&
      resultComponentType === 'f32' &&
      [M, N, K].every((size) => size >= 8 && 32 % size === 0),
  );
  return found && { rows: found.M, columns: found.N, terms: found.K, subgroup: subgroupMinSize };
}

const gpuOfHere = (): GPU | undefined =>
  (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;

/** Whether the adapter that WebGPU offers here is a program. */
export const isSoftwareAdapter = async (): Promise<boolean> =>
  isSoftware((await gpuOfHere()?.requestAdapter())?.info);

/** @throws FlatloraError (rejection) when there is no adapter, or it gives no device. */
export async function openDevice(): Promise<GpuDevice> {
  const instance = gpuOfHere();
  const adapter = await instance?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter || instance === undefined) {
    throw new FlatloraError('backend', `${NAME}: no WebGPU adapter was found`);
  }
  const features = WANTED.filter((f) => adapter.features.has(f));
  const device = await adapter.requestDevice({
    requiredFeatures: features as GPUFeatureName[],
    requiredLimits: Object.fromEntries(RAISED.map((name) => [name, adapter.limits[name]])),
  });

  let lost: FlatloraError | undefined;
  let failure: FlatloraError | undefined;
  let destroyed = false;
  void device.lost.then(({ reason, message }) => {
    if (destroyed) return;
    lost = new FlatloraError(
      'backend',
      `${NAME}: the device was lost (${reason}: ${message.split('\n')[0]}); make a new backend and resume from the last checkpoint`,
    );
  });
  device.addEventListener('uncapturederror', (event) => {
    const { error } = event as GPUUncapturedErrorEvent;
    failure ??= new FlatloraError('backend', `${NAME}: ${error.message.split('\n')[0]}`);
  });
  const { info } = adapter;
  return {
    instance,
    device,
    features: new Set(features),
    software: isSoftware(info),
    matrixUnit: matrixUnitOf(info, device),
    description: [info?.vendor, info?.architecture, info?.device].filter(Boolean).join(' '),
    check: () => {
      if (lost !== undefined) throw lost;
      const problem = failure;
      failure = undefined;
      if (problem !== undefined) throw problem;
    },
    destroy: () => {
      destroyed = true;
      device.destroy();
    },
  };
}
