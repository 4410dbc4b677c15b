/** A LoRA or Flat-LoRA training step in TensorFlow.js. */
import * as tf from '@tensorflow/tfjs';
import type { Runner, StepSpec } from '../harness/job.js';
import { firstSteps, type StepReport, strengthAt } from '../harness/steps.js';
import { withPrefix } from '../harness/tensors.js';
import { type Arrays, attend, causalBias, lossAndGradients } from './tfjs.js';

const EPSILON = 1e-5;

/** Frozen weights, the weights of this step (with noise, if any) and the factors. */
interface Parts {
  readonly frozen: Arrays;
  readonly noisy: Arrays;
  readonly factors: Arrays;
  readonly spec: StepSpec;
}

const get = (arrays: Arrays, name: string): tf.Tensor => {
  const found = arrays[name];
  if (found === undefined) throw new Error(`no array "${name}"`);
  return found;
};

/** x·Wᵀ + b, plus s·(x·Aᵀ)·Bᵀ where the layer has factors; x is [rows, inputs]. */
function linear({ frozen, noisy, factors, spec }: Parts, name: string, x: tf.Tensor): tf.Tensor {
  const path = `${name}.weight`;
  const weight = noisy[path] ?? get(frozen, path);
  const product = tf.matMul(x, weight, false, true);
  const bias = frozen[`${name}.bias`];
  const y = bias === undefined ? product : tf.add(product, bias);
  const a = factors[`${path}.a`];
  if (a === undefined) return y;
  const low = tf.matMul(x, a, false, true);
  const update = tf.matMul(low, get(factors, `${path}.b`), false, true);
  return tf.add(y, tf.mul(update, spec.alpha / spec.rank));
}

function layerNorm({ frozen }: Parts, name: string, x: tf.Tensor): tf.Tensor {
  const centred = tf.sub(x, tf.mean(x, -1, true));
  const variance = tf.mean(tf.square(centred), -1, true);
  const scaled = tf.mul(centred, tf.rsqrt(tf.add(variance, EPSILON)));
  return tf.add(tf.mul(scaled, get(frozen, `${name}.scale`)), get(frozen, `${name}.bias`));
}

/** x·½(1 + tanh(√(2/π)(x + 0.044715·x³))); TensorFlow.js has no GELU of its own. */
function gelu(x: tf.Tensor): tf.Tensor {
  const cubed = tf.mul(tf.mul(tf.square(x), x), 0.044715);
  const inner = tf.mul(tf.add(x, cubed), Math.sqrt(2 / Math.PI));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1));
}

/** All blocks on [batch·tokens, width]. */
function blocks(parts: Parts, embedded: tf.Tensor, bias: tf.Tensor | undefined): tf.Tensor {
  const { width, depth, heads, tokens, batch } = parts.spec.size;
  const split = (x: tf.Tensor) => tf.reshape(x, [batch, tokens, heads, width / heads]);
  let x = embedded;
  for (let i = 0; i < depth; i++) {
    const at = `blocks.${i}`;
    const normed = layerNorm(parts, `${at}.attentionNorm`, x);
    const [q, k, v] = ['query', 'key', 'value'].map((name) =>
      split(linear(parts, `${at}.attention.${name}`, normed)),
    ) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const mixed = tf.reshape(attend(q, k, v, bias), [batch * tokens, width]);
    x = tf.add(x, linear(parts, `${at}.attention.out`, mixed));
    const hidden = gelu(linear(parts, `${at}.mlp.fc1`, layerNorm(parts, `${at}.mlpNorm`, x)));
    x = tf.add(x, linear(parts, `${at}.mlp.fc2`, hidden));
  }
  return layerNorm(parts, 'norm', x);
}

const withPositions = ({ frozen, spec }: Parts, x: tf.Tensor): tf.Tensor => {
  const { width, tokens, batch } = spec.size;
  const placed = tf.add(
    tf.reshape(x, [batch, tokens, width]),
    get(frozen, 'positionEmbedding.weight'),
  );
  return tf.reshape(placed, [batch * tokens, width]);
};

/** Patches in the order (channel, y, x), as flatlora's patch embedding wants them. */
function patches({ spec }: Parts, images: tf.Tensor): tf.Tensor {
  const { patch: p, channels, size } = spec;
  const side = Math.sqrt(size.tokens);
  const tiles = tf.reshape(images, [size.batch, side, p, side, p, channels]);
  const ordered = tf.transpose(tiles, [0, 1, 3, 5, 2, 4]);
  return tf.reshape(ordered, [size.batch * size.tokens, channels * p * p]);
}

function logits(parts: Parts, data: Arrays, bias: tf.Tensor | undefined): tf.Tensor {
  const { width, tokens, batch } = parts.spec.size;
  if (parts.spec.family === 'vit') {
    const stem = linear(parts, 'patchEmbedding', patches(parts, get(data, 'images')));
    const x = blocks(parts, withPositions(parts, stem), undefined);
    return linear(parts, 'head', tf.mean(tf.reshape(x, [batch, tokens, width]), 1));
  }
  const ids = tf.reshape(get(data, 'tokens'), [batch * tokens]);
  const embedded = tf.gather(get(parts.frozen, 'tokenEmbedding.weight'), ids);
  return linear(parts, 'head', blocks(parts, withPositions(parts, embedded), bias));
}

/** Mean cross-entropy against one-hot rows. */
const crossEntropy = (scores: tf.Tensor, oneHot: tf.Tensor): tf.Tensor =>
  tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(scores), oneHot), -1)));

/** W + ε of Eq. 7, norms taken of W + s·B·A. */
function perturbed(weight: tf.Tensor, a: tf.Tensor, b: tf.Tensor, s: number, sigma: number) {
  const merged = tf.add(weight, tf.mul(tf.matMul(b, a), s));
  const norms = tf.sqrt(tf.sum(tf.square(merged), 1, true));
  const columns = weight.shape[1] as number;
  const noise = tf.randomNormal(weight.shape as [number, number]);
  return tf.add(weight, tf.mul(noise, tf.mul(norms, sigma / Math.sqrt(columns))));
}

export function tfjsStep(spec: StepSpec, inputs: Arrays): Runner {
  const frozen = withPrefix('w/', inputs);
  const { sigma, rank, alpha, learningRate, weightDecay, classes, size, family } = spec;
  const bias = family === 'decoder' ? causalBias(size.tokens) : undefined;
  const targets = get(inputs, family === 'vit' ? 'labels' : 'targets');
  const oneHot = tf.tidy(() => tf.cast(tf.oneHot(tf.reshape(targets, [-1]), classes), 'float32'));
  const start = withPrefix('a/', inputs);
  let params: Arrays = mapArrays(start, (x) => tf.clone(x));
  let mean: Arrays = mapArrays(params, (x) => tf.zerosLike(x));
  let square: Arrays = mapArrays(params, (x) => tf.zerosLike(x));
  let step = 0;

  const noisyWeights = (factors: Arrays, strength: number): Arrays =>
    Object.fromEntries(
      Object.keys(factors)
        .filter((name) => name.endsWith('.a'))
        .map((name) => name.slice(0, -2))
        .map((path) => [
          path,
          perturbed(
            get(frozen, path),
            get(factors, `${path}.a`),
            get(factors, `${path}.b`),
            alpha / rank,
            strength,
          ),
        ]),
    );

  const next = (): StepReport => {
    const result = tf.tidy(() => {
      const noisy = sigma > 0 ? noisyWeights(params, strengthAt(step, sigma)) : {};
      const { loss, gradients } = lossAndGradients(params, (factors) =>
        crossEntropy(logits({ frozen, noisy, factors, spec }, inputs, bias), oneHot),
      );
      const norm = tf.sqrt(tf.addN(Object.values(gradients).map((g) => tf.sum(tf.square(g)))));
      const t = step + 1;
      const newMean = mapArrays(mean, (m, name) =>
        tf.add(tf.mul(m, 0.9), tf.mul(get(gradients, name), 0.1)),
      );
      const newSquare = mapArrays(square, (v, name) =>
        tf.add(tf.mul(v, 0.999), tf.mul(tf.square(get(gradients, name)), 0.001)),
      );
      const newParams = mapArrays(params, (p, name) => {
        const root = tf.sqrt(tf.div(get(newSquare, name), 1 - 0.999 ** t));
        const adam = tf.div(tf.div(get(newMean, name), 1 - 0.9 ** t), tf.add(root, 1e-8));
        return tf.sub(p, tf.mul(tf.add(adam, tf.mul(p, weightDecay)), learningRate));
      });
      return { loss, norm, newMean, newSquare, newParams } as unknown as tf.NamedTensorMap;
    }) as unknown as {
      readonly loss: tf.Tensor;
      readonly norm: tf.Tensor;
      readonly newMean: Arrays;
      readonly newSquare: Arrays;
      readonly newParams: Arrays;
    };
    tf.dispose([params, mean, square] as unknown as tf.NamedTensorMap[]);
    params = result.newParams;
    mean = result.newMean;
    square = result.newSquare;
    step += 1;
    const told = {
      loss: result.loss.dataSync()[0] as number,
      gradientNorm: result.norm.dataSync()[0] as number,
    };
    tf.dispose([result.loss, result.norm]);
    return told;
  };

  return {
    results: () => firstSteps(async () => next()),
    run: async () => {
      next();
    },
    dispose: () =>
      tf.dispose([params, mean, square, inputs, oneHot, bias] as unknown as tf.NamedTensorMap[]),
  };
}

const mapArrays = (arrays: Arrays, f: (x: tf.Tensor, name: string) => tf.Tensor): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, x]) => [name, f(x, name)]));
