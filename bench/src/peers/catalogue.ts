/** The engines that are measured, how their processes are started, and who is out from the start. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Launch } from '../harness/process.js';

export interface Peer {
  /** Its name before its process has told one. */
  readonly name: string;
  readonly launch: Launch;
}

export interface Absent {
  readonly name: string;
  readonly reason: string;
}

export interface Catalogue {
  readonly subject: Peer;
  readonly peers: readonly Peer[];
  readonly absent: readonly Absent[];
}

export interface CatalogueOptions {
  readonly backend: string | undefined;
  readonly gpu: boolean;
  readonly quick: boolean;
  readonly threads: number;
  /** The Python to look for PyTorch in; by default the first of the usual ones that has it. */
  readonly python: string | undefined;
}

/** Long enough for the slowest product of the slowest peer. */
const TIMEOUT_MS = 300_000;

const nodeEngine = (engine: string, options: unknown): Launch => ({
  command: process.execPath,
  args: [
    fileURLToPath(new URL('../engineProcess.js', import.meta.url)),
    engine,
    JSON.stringify(options),
  ],
  timeoutMs: TIMEOUT_MS,
});

const torchEngine = (python: string, device: string, precision: string, threads: number) => ({
  command: python,
  args: [
    '-u',
    fileURLToPath(new URL('../../torch/engine.py', import.meta.url)),
    device,
    precision,
    String(threads),
  ],
  timeoutMs: TIMEOUT_MS,
});

/** The first Python that imports torch (and sees CUDA where that is asked for), or why there is none. */
function findTorch(
  candidates: readonly string[],
  needsCuda: boolean,
): { readonly python: string } | { readonly reason: string } {
  const script = needsCuda
    ? 'import torch; assert torch.cuda.is_available(), "this PyTorch sees no CUDA device"'
    : 'import torch';
  const reasons = candidates.map((python) => {
    const { status, stderr, error } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
    const last = `${error?.message ?? stderr}`.trim().split('\n').at(-1);
    return status === 0 ? undefined : `${python}: ${last}`;
  });
  const found = candidates[reasons.indexOf(undefined)];
  return found === undefined ? { reason: reasons.join('; ') } : { python: found };
}

const NODE_HAS_NO_WEBGPU = 'its WebGPU backend runs in browsers only';

/** PyTorch in every precision that is compared, or why it is not. */
function torchPeers({ gpu, quick, threads, python }: CatalogueOptions): {
  readonly peers: readonly Peer[];
  readonly absent: readonly Absent[];
} {
  const pythons = python === undefined ? ['python3', '/usr/bin/python3'] : [python];
  const precisions = gpu ? ['float32', 'bfloat16'] : ['float32'];
  const named = (device: string) => (precision: string) => `PyTorch ${device} ${precision}`;
  const on = (device: string, found: string): readonly Peer[] =>
    precisions.map((precision) => ({
      name: named(device)(precision),
      launch: torchEngine(found, device, precision, threads),
    }));
  const device = gpu ? 'cuda' : 'cpu';
  const torch = findTorch(pythons, gpu);
  if ('python' in torch) return { peers: on(device, torch.python), absent: [] };
  const absent = precisions.map(named(device)).map((name) => ({ name, reason: torch.reason }));
  // A quick run is there to see whether things work: then the processor's results do as well.
  const substitute = gpu && quick ? findTorch(pythons, false) : torch;
  return { peers: 'python' in substitute ? on('cpu', substitute.python) : [], absent };
}

export function catalogue(options: CatalogueOptions): Catalogue {
  const { backend, gpu, threads } = options;
  const chosen = backend ?? (gpu ? 'webgpu' : undefined);
  const subject: Peer = {
    name: 'flatlora',
    launch: nodeEngine('flatlora', { threads, ...(chosen !== undefined && { backend: chosen }) }),
  };
  const torch = torchPeers(options);
  if (gpu) {
    return {
      subject,
      peers: [
        {
          name: 'flatlora webgpu float16',
          launch: nodeEngine('flatlora', { threads, products: 'float16' }),
        },
        ...torch.peers,
      ],
      absent: [
        ...torch.absent,
        { name: 'TensorFlow.js webgpu', reason: NODE_HAS_NO_WEBGPU },
        { name: 'jax-js webgpu', reason: NODE_HAS_NO_WEBGPU },
      ],
    };
  }
  return {
    subject,
    peers: [
      { name: 'TensorFlow.js wasm', launch: nodeEngine('tfjs', { threads }) },
      { name: 'jax-js wasm', launch: nodeEngine('jaxjs', { threads }) },
      ...(threads > 1
        ? [{ name: 'jax-js wasm, threads', launch: nodeEngine('jaxjs-threads', { threads }) }]
        : []),
      { name: 'gpu.js webasm', launch: nodeEngine('gpujs', { threads }) },
      ...torch.peers,
    ],
    absent: torch.absent,
  };
}
