/** `flatlora doctor`: which backends work here, and how fast this machine is. */
import { availableParallelism, totalmem } from 'node:os';
import { key, matmul, uniform, type Value } from '../../autodiff/index.js';
import { type Backend, backendNames, compile, release, selfTest } from '../../kernels/index.js';
import { nodeBackendByName } from '../../kernels/node.js';
import { type Command, onlyKnown } from '../command.js';
import { EXIT } from '../exit.js';

const SIZE = 512;
const SECONDS = 0.5;

/** Billions of operations a second in products of two [512, 512] matrices. */
async function speedOf(backend: Backend): Promise<number> {
  const make = compile((k: Value) => uniform(k, [SIZE, SIZE]), backend);
  const product = compile((a: Value, b: Value) => matmul(a, b), backend);
  const x = await make(key(1));
  const once = async () => {
    const y = await product(x, x);
    // Reading one result is what waits for the device.
    await backend.download((Array.isArray(y) ? y[0] : y) as never);
    release(backend, y);
  };
  await once();
  const started = performance.now();
  let runs = 0;
  while (performance.now() - started < 1000 * SECONDS) {
    await once();
    runs++;
  }
  const seconds = (performance.now() - started) / 1000;
  release(backend, x);
  await make.dispose();
  await product.dispose();
  return (2 * SIZE ** 3 * runs) / seconds / 1e9;
}

interface Health {
  readonly backend: string;
  readonly works: boolean;
  readonly reason?: string;
  readonly gigaflops?: number;
}

async function check(name: string): Promise<Health> {
  let backend: Backend | undefined;
  try {
    backend = await nodeBackendByName(name);
    const wrong = await selfTest(backend);
    return wrong === undefined
      ? { backend: name, works: true, gigaflops: await speedOf(backend) }
      : { backend: name, works: false, reason: wrong };
  } catch (thrown) {
    return {
      backend: name,
      works: false,
      reason: String((thrown as Error).message).split('\n')[0] ?? '',
    };
  } finally {
    await backend?.dispose();
  }
}

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'backends that work here, a self-test of each, and the speed of this machine',
  examples: ['flatlora doctor', 'flatlora doctor --json'],
  flags: [],
  run: async (given, { out }) => {
    onlyKnown(given, []);
    const backends: Health[] = [];
    for (const name of backendNames) backends.push(await check(name));
    const machine = {
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cores: availableParallelism(),
      memoryGiB: Number((totalmem() / 2 ** 30).toFixed(1)),
    };
    out({ machine, backends }, () =>
      [
        `Node ${machine.node}, ${machine.platform}, ${machine.cores} cores, ${machine.memoryGiB} GiB`,
        ...backends.map(({ backend, works, reason, gigaflops }) =>
          works
            ? `✓ ${backend}: passed its self-test; ${gigaflops?.toFixed(1)} GFLOP/s in [512, 512] products`
            : `✗ ${backend}: ${reason}`,
        ),
      ].join('\n'),
    );
    return backends.some(({ works }) => works) ? EXIT.ok : EXIT.backend;
  },
};
