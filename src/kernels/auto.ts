/**
 * Choosing a backend: by name, which never falls back, or the fastest that works here, which says
 * what it took and why. In Node use `node.ts`, which brings WebGPU along.
 */
import {
  FlatloraError,
  flatData,
  floats,
  grad,
  reduceSum,
  softmax,
  square,
  type Value,
} from '../autodiff/index.js';
import type { Backend } from './backend.js';
import { evaluate } from './compile.js';
import { gpujsBackend } from './gpujs/backend.js';
import { referenceBackend } from './reference/backend.js';

/** The backends, fastest first as far as one can say without measuring. */
const MAKERS: Readonly<Record<string, () => Promise<Backend>>> = {
  'gpujs-webgpu': () => gpujsBackend('webgpu'),
  'gpujs-webasm': () => gpujsBackend('webasm'),
  'gpujs-webgl2': () => gpujsBackend('webgl2'),
  'gpujs-cpu': () => gpujsBackend('cpu'),
  reference: async () => referenceBackend(),
};

export const backendNames: readonly string[] = Object.keys(MAKERS);

/**
 * The backend of a name.
 * @throws FlatloraError (rejection) when there is none of that name, or when it cannot run here.
 */
export async function backendByName(name: string): Promise<Backend> {
  const make = MAKERS[name];
  if (make === undefined) {
    throw new FlatloraError(
      'backend',
      `backend: there is no "${name}", expected one of ${backendNames.join(', ')}`,
    );
  }
  return make();
}

export interface ChosenBackend {
  readonly backend: Backend;
  /** Why this one: what the others lack. */
  readonly reason: string;
}

/** Whether a backend gets the gradient of a small function right. */
async function selfTest(backend: Backend): Promise<boolean> {
  const x = floats([0.5, -1, 2, 0.25]);
  const f = (v: Value): Value => grad((w: Value) => reduceSum(square(softmax(w))))(v);
  const results = await Promise.all(
    [backend, referenceBackend()].map(async (b) => flatData((await evaluate(f, b, x)) as never)),
  );
  const [given, expected] = results as unknown as [ArrayLike<number>, ArrayLike<number>];
  return Array.from(expected).every((e, i) => Math.abs(e - (given[i] as number)) < 1e-5);
}

/** WebGPU on a software adapter is right, but slower than WebAssembly. */
async function isSoftwareAdapter(): Promise<boolean> {
  const { gpu } = (globalThis as { navigator?: { gpu?: GpuLike } }).navigator ?? {};
  const info = (await gpu?.requestAdapter())?.info;
  return (
    info?.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|software/i.test(`${info?.device} ${info?.description}`)
  );
}

interface GpuLike {
  readonly requestAdapter: () => Promise<{
    readonly info?: {
      readonly device?: string;
      readonly description?: string;
      readonly isFallbackAdapter?: boolean;
    };
  } | null>;
}

/** The first backend, fastest first, that is there and passes a short self-test. */
export async function autoBackend(): Promise<ChosenBackend> {
  const passed: string[] = [];
  for (const name of backendNames) {
    try {
      const backend = await backendByName(name);
      const software = name === 'gpujs-webgpu' && (await isSoftwareAdapter());
      if (!software && (await selfTest(backend))) {
        const reason =
          passed.length === 0 ? 'the fastest kind' : `the fastest that works: ${passed.join('; ')}`;
        return { backend, reason };
      }
      await backend.dispose();
      passed.push(software ? `${name}: only a software adapter` : `${name}: failed its self-test`);
    } catch (error) {
      if (!(error instanceof FlatloraError)) throw error;
      passed.push(error.message);
    }
  }
  throw new FlatloraError('backend', `autoBackend: no backend works here (${passed.join('; ')})`);
}
