/** TensorFlow.js on its WebAssembly backend: SIMD, and in Node one thread. */
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-wasm';
import { digestAll } from '../harness/digest.js';
import type { AttentionSpec, Digests, Engine, Job, MatmulSpec, Runner } from '../harness/job.js';
import { readTensors } from '../harness/tensors.js';
import { tfjsStep } from './tfjsStep.js';

export type Arrays = Readonly<Record<string, tf.Tensor>>;

export async function tfjsEngine(): Promise<Engine> {
  if (!(await tf.setBackend('wasm'))) throw new Error('its wasm backend does not start here');
  await tf.ready();
  return {
    info: {
      name: 'TensorFlow.js wasm',
      version: tf.version_core,
      threads: 1,
      note: 'its threads need a browser',
    },
    prepare: async ({ spec, tensors }: Job): Promise<Runner> => {
      const inputs = load(tensors);
      switch (spec.kind) {
        case 'matmul':
          return functionRunner(inputs, (x) => ({ product: matmul(spec, x) }));
        case 'mlp':
          return functionRunner(inputs, mlp);
        case 'attention':
          return functionRunner(inputs, (x) => attention(spec, x));
        case 'step':
          return tfjsStep(spec, inputs);
      }
    },
  };
}

const load = (tensors: Job['tensors']): Arrays =>
  Object.fromEntries(
    Object.entries(readTensors(tensors)).map(([name, { data, shape }]) => [
      name,
      tf.tensor(data, [...shape], data instanceof Int32Array ? 'int32' : 'float32'),
    ]),
  );

export const digestsOf = (arrays: Arrays): Digests =>
  digestAll(Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, x.dataSync()])));

/** Kernels of this backend run when they are called, so a call's end is its work's end. */
function functionRunner(inputs: Arrays, f: (inputs: Arrays) => Arrays): Runner {
  return {
    results: async () => {
      const outputs = tf.tidy(() => f(inputs) as tf.NamedTensorMap);
      const digests = digestsOf(outputs);
      tf.dispose(outputs);
      return digests;
    },
    run: async () => tf.dispose(tf.tidy(() => f(inputs) as tf.NamedTensorMap)),
    dispose: () => tf.dispose(inputs as tf.NamedTensorMap),
  };
}

const matmul = ({ transposeA, transposeB }: MatmulSpec, { a, b }: Arrays): tf.Tensor =>
  tf.matMul(a as tf.Tensor, b as tf.Tensor, transposeA, transposeB);

/** A loss and its gradient by the names of the parameters. */
export function lossAndGradients(
  params: Arrays,
  loss: (params: Arrays) => tf.Tensor,
): { readonly loss: tf.Tensor; readonly gradients: Arrays } {
  const names = Object.keys(params);
  const { value, grads } = tf.valueAndGrads((...xs: tf.Tensor[]) =>
    loss(Object.fromEntries(names.map((name, i) => [name, xs[i] as tf.Tensor]))),
  )(Object.values(params));
  return {
    loss: value,
    gradients: Object.fromEntries(names.map((name, i) => [name, grads[i] as tf.Tensor])),
  };
}

function mlp({ target, ...params }: Arrays): Arrays {
  const { loss, gradients } = lossAndGradients(params, ({ x, w1, b1, w2, b2 }) => {
    const hidden = tf.relu(
      tf.add(tf.matMul(x as tf.Tensor, w1 as tf.Tensor, false, true), b1 as tf.Tensor),
    );
    const y = tf.add(tf.matMul(hidden, w2 as tf.Tensor, false, true), b2 as tf.Tensor);
    return tf.mean(tf.squaredDifference(y, target as tf.Tensor));
  });
  return { loss, ...gradients };
}

/** softmax(q·kᵀ/√d)·v on [batch, tokens, heads, d]. */
export function attend(
  q: tf.Tensor,
  k: tf.Tensor,
  v: tf.Tensor,
  hidden: tf.Tensor | undefined,
): tf.Tensor {
  const byHead = (x: tf.Tensor) => tf.transpose(x, [0, 2, 1, 3]);
  const d = q.shape[3] as number;
  const scaled = tf.mul(byHead(q), 1 / Math.sqrt(d));
  const scores = tf.matMul(scaled, byHead(k), false, true);
  const weights = tf.softmax(hidden === undefined ? scores : tf.add(scores, hidden));
  return byHead(tf.matMul(weights, byHead(v)));
}

/** Added to the scores: 0 where query i may see key j, −10⁹ where j > i. */
export const causalBias = (tokens: number): tf.Tensor =>
  tf.tensor(
    Float32Array.from({ length: tokens * tokens }, (_, i) =>
      i % tokens > Math.floor(i / tokens) ? -1e9 : 0,
    ),
    [tokens, tokens],
  );

function attention({ causal, tokens }: AttentionSpec, { g, ...params }: Arrays): Arrays {
  const bias = causal ? causalBias(tokens) : undefined;
  const { loss, gradients } = lossAndGradients(params, ({ q, k, v }) =>
    tf.sum(tf.mul(attend(q as tf.Tensor, k as tf.Tensor, v as tf.Tensor, bias), g as tf.Tensor)),
  );
  return { loss, ...gradients };
}
