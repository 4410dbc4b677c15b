/**
 * gpu.js alone in its WebAssembly mode: kernels written by hand, one cell of the result each, as its
 * documentation teaches, called asynchronously, for so they use threads. It has neither derivatives nor layers, so of the larger works it does none.
 */
import { createRequire } from 'node:module';
import { GPU, type IKernelRunShortcut } from 'gpu.js';
import { digestAll } from '../harness/digest.js';
import type { Engine, Job, MatmulSpec, MlpSpec, Runner, Spec } from '../harness/job.js';
import { readTensors, type Tensor } from '../harness/tensors.js';

export async function gpujsEngine({ threads }: { readonly threads: number }): Promise<Engine> {
  const require = createRequire(import.meta.url);
  const gpu = new GPU({ mode: 'webasm' as never });
  return {
    info: {
      name: 'gpu.js webasm',
      version: String(require('gpu.js/package.json').version),
      threads,
      note: 'called asynchronously, for threads',
    },
    prepare: async ({ spec, tensors }: Job): Promise<Runner> => {
      const run = launcher(gpu, spec, readTensors(tensors));
      return {
        results: async () => digestAll(await run()),
        run: async () => {
          await run();
        },
        dispose: () => undefined,
      };
    },
  };
}

type Results = Readonly<Record<string, ArrayLike<number>>>;

type Launcher = () => Promise<Results>;

/** The launch of a work's kernels, one after another. */
function launcher(gpu: GPU, spec: Spec, inputs: Readonly<Record<string, Tensor>>): Launcher {
  switch (spec.kind) {
    case 'matmul':
      return matmul(gpu, spec, inputs);
    case 'mlp':
      return mlp(gpu, spec, inputs);
    case 'attention':
    case 'step':
      throw new Error('gpu.js has no derivatives and no layers; all kernels would be ours');
  }
}

/** One cell of the product, as text, for gpu.js compiles a function's text in any case. */
const CELL = `function (a, b) {
  let sum = 0;
  for (let i = 0; i < this.constants.k; i++) {
    sum += a[this.thread.y * this.constants.aRow + i * this.constants.aStep]
      * b[this.thread.x * this.constants.bColumn + i * this.constants.bStep];
  }
  return sum;
}`;

/** Sizes and order of the operands, whose strides make every layout the same kernel. */
interface Layout {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

type Launch = (...args: ArrayLike<number>[]) => Promise<Float32Array>;

const flat = (rows: unknown): Float32Array => {
  const all = rows as readonly Float32Array[];
  const width = all[0]?.length ?? 0;
  const out = new Float32Array(all.length * width);
  all.forEach((row, i) => {
    out.set(row, i * width);
  });
  return out;
};

/** A·B of flat operands, as a flat result. */
function product(gpu: GPU, { m, n, k, transposeA, transposeB }: Layout): Launch {
  const kernel = gpu.createKernel(
    CELL as never,
    {
      output: [n, m],
      constants: {
        k,
        aRow: transposeA ? 1 : k,
        aStep: transposeA ? m : 1,
        bColumn: transposeB ? k : 1,
        bStep: transposeB ? 1 : n,
      },
      argumentTypes: ['Array', 'Array'],
      asyncMode: true,
    } as never,
  ) as IKernelRunShortcut;
  return async (a, b) => flat(await kernel(a as never, b as never));
}

const data = (tensor: Tensor | undefined): Float32Array => tensor?.data as Float32Array;

function matmul(gpu: GPU, spec: MatmulSpec, { a, b }: Readonly<Record<string, Tensor>>) {
  const multiply = product(gpu, spec);
  return async () => ({ product: await multiply(data(a), data(b)) });
}

function mlp(gpu: GPU, { rows, width, hidden }: MlpSpec, inputs: Readonly<Record<string, Tensor>>) {
  const [x, w1, b1] = [data(inputs.x), data(inputs.w1), data(inputs.b1)];
  const [w2, b2, target] = [data(inputs.w2), data(inputs.b2), data(inputs.target)];
  const nt = { transposeA: false, transposeB: true };
  const nn = { transposeA: false, transposeB: false };
  const tn = { transposeA: true, transposeB: false };
  const up = product(gpu, { m: rows, n: hidden, k: width, ...nt });
  const down = product(gpu, { m: rows, n: width, k: hidden, ...nt });
  const hiddenGradient = product(gpu, { m: rows, n: hidden, k: width, ...nn });
  const inputGradient = product(gpu, { m: rows, n: width, k: hidden, ...nn });
  const w1Gradient = product(gpu, { m: hidden, n: width, k: rows, ...tn });
  const w2Gradient = product(gpu, { m: width, n: hidden, k: rows, ...tn });
  // What is not a product is a loop in JavaScript: it is a hundredth of the work.
  return async () => {
    const h = Float32Array.from(await up(x, w1), (value, i) =>
      Math.max(0, value + (b1[i % hidden] as number)),
    );
    const size = rows * width;
    let loss = 0;
    const dy = Float32Array.from(await down(h, w2), (value, i) => {
      const error = value + (b2[i % width] as number) - (target[i] as number);
      loss += error * error;
      return (2 * error) / size;
    });
    const dh = Float32Array.from(await hiddenGradient(dy, w2), (value, i) =>
      (h[i] as number) > 0 ? value : 0,
    );
    return {
      loss: [loss / size],
      x: await inputGradient(dh, w1),
      w1: await w1Gradient(dh, x),
      b1: columnSums(dh, hidden),
      w2: await w2Gradient(dy, h),
      b2: columnSums(dy, width),
    };
  };
}

function columnSums(matrix: Float32Array, columns: number): Float32Array {
  const sums = new Float32Array(columns);
  for (let i = 0; i < matrix.length; i++) {
    sums[i % columns] = (sums[i % columns] as number) + (matrix[i] as number);
  }
  return sums;
}
