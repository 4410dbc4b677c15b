/**
 * jax-js on WebAssembly, under `jit`. In Node it runs on one thread, because Node has no global
 * `Worker`; given one it spreads its kernels over threads as it does in browsers.
 *
 * Its arrays are counted references: a call consumes its arguments, and `.ref` keeps one for later.
 */

import { createRequire } from 'node:module';
import { init, jit, nn, numpy as np, valueAndGrad } from '@jax-js/jax';
import { digestAll } from '../harness/digest.js';
import type { AttentionSpec, Digests, Engine, Job, MatmulSpec, Runner } from '../harness/job.js';
import { readTensors } from '../harness/tensors.js';
import { jaxjsStep } from './jaxjsStep.js';

export type Arrays = Readonly<Record<string, np.Array>>;

export async function jaxjsEngine({ threads }: { readonly threads: number }): Promise<Engine> {
  await init('wasm');
  return {
    info: {
      name: threads > 1 ? 'jax-js wasm, threads' : 'jax-js wasm',
      version: versionOf(),
      threads,
      note: threads > 1 ? 'with Workers put in, as in browsers' : 'as it comes in Node',
    },
    prepare: async ({ spec, tensors }: Job): Promise<Runner> => {
      const inputs = load(tensors);
      switch (spec.kind) {
        case 'matmul':
          return functionRunner(inputs, matmul(spec));
        case 'mlp':
          return functionRunner(inputs, mlp);
        case 'attention':
          return functionRunner(inputs, attention(spec));
        case 'step':
          return jaxjsStep(spec, inputs);
      }
    },
  };
}

function versionOf(): string {
  const require = createRequire(import.meta.url);
  const entry = require.resolve('@jax-js/jax');
  const manifest = require(entry.replace(/dist[/\\][^/\\]*$/, 'package.json'));
  return String(manifest.version);
}

const load = (tensors: Job['tensors']): Arrays =>
  Object.fromEntries(
    Object.entries(readTensors(tensors)).map(([name, { data, shape }]) => [
      name,
      np.array(data as Float32Array<ArrayBuffer>).reshape([...shape]),
    ]),
  );

/** Another reference to every array, to be given away. */
export const refs = (arrays: Arrays): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, x.ref]));

export const disposeAll = (arrays: Arrays): void => {
  for (const x of Object.values(arrays)) x.dispose();
};

async function functionRunner(inputs: Arrays, f: (inputs: Arrays) => Arrays): Promise<Runner> {
  const compiled = jit(f as never) as unknown as (inputs: Arrays) => Arrays;
  return {
    results: async () => digestsOf(compiled(refs(inputs))),
    run: async () => {
      const outputs = compiled(refs(inputs));
      for (const x of Object.values(outputs)) await x.blockUntilReady();
      disposeAll(outputs);
    },
    dispose: () => disposeAll(inputs),
  };
}

/** Reading an array gives it away. */
async function digestsOf(arrays: Arrays): Promise<Digests> {
  const data: Record<string, ArrayLike<number>> = {};
  for (const [name, x] of Object.entries(arrays)) data[name] = (await x.data()) as Float32Array;
  return digestAll(data);
}

const matmul =
  ({ transposeA, transposeB }: MatmulSpec) =>
  ({ a, b }: Arrays): Arrays => ({
    product: np.matmul(
      transposeA ? np.transpose(a as np.Array) : (a as np.Array),
      transposeB ? np.transpose(b as np.Array) : (b as np.Array),
    ),
  });

/** `valueAndGrad` for parameters in a record. */
export const lossAndGradients = valueAndGrad as unknown as (
  loss: (params: Arrays, ...rest: np.Array[]) => np.Array,
) => (params: Arrays, ...rest: np.Array[]) => readonly [np.Array, Arrays];

/** x·Wᵀ for W [outputs, inputs]. */
export const timesTransposed = (x: np.Array, weight: np.Array): np.Array =>
  np.matmul(x, np.transpose(weight));

function mlp({ target, ...params }: Arrays): Arrays {
  const [loss, gradients] = lossAndGradients(({ x, w1, b1, w2, b2 }, t) => {
    const hidden = nn.relu(timesTransposed(x as np.Array, w1 as np.Array).add(b1 as np.Array));
    const y = timesTransposed(hidden, w2 as np.Array).add(b2 as np.Array);
    return np.mean(np.square(y.sub(t as np.Array)));
  })(params, target as np.Array);
  return { loss, ...gradients };
}

const attention =
  ({ causal }: AttentionSpec) =>
  ({ g, ...params }: Arrays): Arrays => {
    const [loss, gradients] = lossAndGradients(({ q, k, v }, weights) => {
      const mixed = nn.dotProductAttention(q as np.Array, k as np.Array, v as np.Array, {
        isCausal: causal,
      });
      return np.sum(mixed.mul(weights as np.Array));
    })(params, g as np.Array);
    return { loss, ...gradients };
  };
