/**
 * Choosing a backend: by name, which never falls back, or the fastest that works here, which says
 * what it took and why. In Node use `node.ts`, which brings WebGPU along.
 */
import {
  FlatloraError,
  flatData,
  floats,
  grad,
  key,
  matmul,
  normal,
  reduceSum,
  softmax,
  square,
  type Value,
} from '../autodiff/index.js';
import type { Backend } from './backend.js';
import { evaluate } from './compile.js';
import { gpujsBackend } from './gpujs/backend.js';
import { referenceBackend } from './reference/backend.js';
import { wasmBackend } from './wasm/backend.js';
import { webgpuBackend } from './webgpu/backend.js';
import { isSoftwareAdapter } from './webgpu/device.js';

/** The backends, fastest first as far as one can say without measuring. */
const MAKERS: Readonly<Record<string, () => Promise<Backend>>> = {
  webgpu: () => webgpuBackend(),
  'gpujs-webgpu': () => gpujsBackend('webgpu'),
  wasm: () => wasmBackend(),
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
  const make = Object.hasOwn(MAKERS, name) ? MAKERS[name] : undefined;
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
  /** One line: what was taken, and why not a faster one. */
  readonly reason: string;
}

/** A product, a softmax, its gradient, random numbers: a training step in small. */
const sample = (x: Value, k: Value) => ({
  gradient: grad((w: Value) => reduceSum(square(softmax(matmul(w, normal(k, [20, 16]))))))(x),
  noise: normal(k, [7]),
});
/** Large enough that products are computed in tiles. */
const SAMPLE = floats(
  Float64Array.from({ length: 24 * 20 }, (_, i) => Math.sin(i)),
  [24, 20],
);

/** Why a backend's results cannot be trusted, or `undefined` where the sample comes out right. */
export async function selfTest(backend: Backend): Promise<string | undefined> {
  const [given, expected] = await Promise.all(
    [backend, referenceBackend()].map(async (b) => {
      const { gradient, noise } = await evaluate(sample, b, SAMPLE, key(7));
      return { gradient: [...flatData(gradient as never)], noise: [...flatData(noise as never)] };
    }),
  );
  const worst = Math.max(
    ...(expected?.gradient ?? []).map((e, i) => Math.abs(e - (given?.gradient[i] ?? Number.NaN))),
  );
  if (!(worst <= 1e-5)) return `its self-test was off by ${worst}`;
  return given?.noise.join() === expected?.noise.join()
    ? undefined
    : 'its self-test gave other random numbers';
}

/** The backend of that name where it is worth taking, else why not. */
async function tryOut(name: string): Promise<Backend | string> {
  // WebGPU on a software adapter is right, but slower than WebAssembly.
  if (name.endsWith('webgpu') && (await isSoftwareAdapter())) {
    return `${name}: only a software adapter, used when asked for by name`;
  }
  let backend: Backend | undefined;
  try {
    backend = await backendByName(name);
    const wrong = await selfTest(backend);
    if (wrong === undefined) return backend;
    await backend.dispose();
    return `${name}: ${wrong}`;
  } catch (cause) {
    // Drivers fail in ways of their own; whatever it was, the next backend is tried.
    await backend?.dispose();
    const [line] = String(cause instanceof Error ? cause.message : cause).split('\n');
    return line?.startsWith(name) ? line : `${name}: ${line}`;
  }
}

/**
 * The first backend, fastest first, that is there and passes a short self-test.
 * @throws FlatloraError (rejection) when none does, with each one's reason.
 */
export async function autoBackend(): Promise<ChosenBackend> {
  const passedOver: string[] = [];
  for (const name of backendNames) {
    const tried = await tryOut(name);
    if (typeof tried !== 'string') {
      const reason = ['passed its self-test', ...passedOver].join('; ');
      return { backend: tried, reason };
    }
    passedOver.push(tried);
  }
  throw new FlatloraError(
    'backend',
    `autoBackend: no backend works here (${passedOver.join('; ')})`,
  );
}
