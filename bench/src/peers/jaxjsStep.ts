/** A LoRA or Flat-LoRA training step in jax-js, the whole of it under `jit`. */
import { jit, nn, numpy as np, random } from '@jax-js/jax';
import type { Runner, StepSpec } from '../harness/job.js';
import { firstSteps, type StepReport, strengthAt } from '../harness/steps.js';
import { withPrefix } from '../harness/tensors.js';
import { type Arrays, disposeAll, lossAndGradients, refs, timesTransposed } from './jaxjs.js';

const EPSILON = 1e-5;

/** Arrays by name; every use takes a reference of its own, so all of them outlive the function. */
interface Parts {
  readonly frozen: Arrays;
  readonly noisy: Arrays;
  readonly factors: Arrays;
  readonly spec: StepSpec;
}

const use = (arrays: Arrays, name: string): np.Array => {
  const found = arrays[name];
  if (found === undefined) throw new Error(`no array "${name}"`);
  return found.ref;
};

/** x·Wᵀ + b, plus s·(x·Aᵀ)·Bᵀ where the layer has factors; consumes x [rows, inputs]. */
function linear({ frozen, noisy, factors, spec }: Parts, name: string, x: np.Array): np.Array {
  const path = `${name}.weight`;
  const hasFactors = factors[`${path}.a`] !== undefined;
  const weight = use(path in noisy ? noisy : frozen, path);
  const product = timesTransposed(hasFactors ? x.ref : x, weight);
  const bias = `${name}.bias`;
  const y = bias in frozen ? product.add(use(frozen, bias)) : product;
  if (!hasFactors) return y;
  const low = timesTransposed(x, use(factors, `${path}.a`));
  const update = timesTransposed(low, use(factors, `${path}.b`));
  return y.add(update.mul(spec.alpha / spec.rank));
}

function layerNorm({ frozen }: Parts, name: string, x: np.Array): np.Array {
  const mean = np.mean(x.ref, -1, { keepdims: true });
  const centred = x.sub(mean);
  const variance = np.mean(np.square(centred.ref), -1, { keepdims: true });
  const scaled = centred.div(np.sqrt(variance.add(EPSILON)));
  return scaled.mul(use(frozen, `${name}.scale`)).add(use(frozen, `${name}.bias`));
}

/** All blocks on [batch·tokens, width]. */
function blocks(parts: Parts, embedded: np.Array, isCausal: boolean): np.Array {
  const { width, depth, heads, tokens, batch } = parts.spec.size;
  let x = embedded;
  for (let i = 0; i < depth; i++) {
    const at = `blocks.${i}`;
    const normed = layerNorm(parts, `${at}.attentionNorm`, x.ref);
    const project = (name: string, y: np.Array) =>
      linear(parts, `${at}.attention.${name}`, y).reshape([batch, tokens, heads, width / heads]);
    const q = project('query', normed.ref);
    const k = project('key', normed.ref);
    const v = project('value', normed);
    const mixed = nn.dotProductAttention(q, k, v, { isCausal }).reshape([batch * tokens, width]);
    x = x.add(linear(parts, `${at}.attention.out`, mixed));
    const normedAgain = layerNorm(parts, `${at}.mlpNorm`, x.ref);
    const hidden = nn.gelu(linear(parts, `${at}.mlp.fc1`, normedAgain), { approximate: true });
    x = x.add(linear(parts, `${at}.mlp.fc2`, hidden));
  }
  return layerNorm(parts, 'norm', x);
}

function withPositions({ frozen, spec }: Parts, x: np.Array): np.Array {
  const { width, tokens, batch } = spec.size;
  const table = use(frozen, 'positionEmbedding.weight');
  return x
    .reshape([batch, tokens, width])
    .add(table)
    .reshape([batch * tokens, width]);
}

/** Patches in the order (channel, y, x), as flatlora's patch embedding wants them. */
function patches({ spec }: Parts, images: np.Array): np.Array {
  const { patch: p, channels, size } = spec;
  const side = Math.sqrt(size.tokens);
  const tiles = images.reshape([size.batch, side, p, side, p, channels]);
  return np
    .transpose(tiles, [0, 1, 3, 5, 2, 4])
    .reshape([size.batch * size.tokens, channels * p * p]);
}

function logits(parts: Parts, data: Arrays): np.Array {
  const { width, tokens, batch } = parts.spec.size;
  if (parts.spec.family === 'vit') {
    const stem = linear(parts, 'patchEmbedding', patches(parts, use(data, 'images')));
    const x = blocks(parts, withPositions(parts, stem), false);
    return linear(parts, 'head', np.mean(x.reshape([batch, tokens, width]), 1));
  }
  const ids = use(data, 'tokens').reshape([batch * tokens]);
  const embedded = np.take(use(parts.frozen, 'tokenEmbedding.weight'), ids, 0);
  return linear(parts, 'head', blocks(parts, withPositions(parts, embedded), true));
}

/** Mean cross-entropy against one-hot rows. */
const crossEntropy = (scores: np.Array, oneHot: np.Array): np.Array =>
  np.mean(np.sum(nn.logSoftmax(scores).mul(oneHot), -1)).mul(-1);

/** W + ε of Eq. 7, norms taken of W + s·B·A. */
function perturbed(
  weight: np.Array,
  factors: { readonly a: np.Array; readonly b: np.Array; readonly scale: number },
  key: np.Array,
  sigma: np.Array,
): np.Array {
  const shape = weight.shape as [number, number];
  const merged = weight.ref.add(np.matmul(factors.b, factors.a).mul(factors.scale));
  const norms = np.sqrt(np.sum(np.square(merged), 1, { keepdims: true }));
  const deviations = norms.mul(sigma).mul(1 / Math.sqrt(shape[1]));
  return weight.add(random.normal(key, shape).mul(deviations));
}

const mapArrays = (arrays: Arrays, f: (name: string) => np.Array): Arrays =>
  Object.fromEntries(Object.keys(arrays).map((name) => [name, f(name)]));

/** What is trained, and AdamW's averages. */
type State = { readonly params: Arrays; readonly mean: Arrays; readonly square: Arrays };

/** What changes from step to step besides the state. */
type Scalars = {
  readonly meanWeight: np.Array;
  readonly squareWeight: np.Array;
  readonly sigma: np.Array;
  readonly key: np.Array;
};

function adamW(
  { learningRate, weightDecay }: StepSpec,
  { params, mean: oldMean, square: oldSquare }: State,
  gradients: Arrays,
  { meanWeight, squareWeight }: Scalars,
): State {
  const mean = mapArrays(params, (name) =>
    use(oldMean, name).mul(0.9).add(use(gradients, name).mul(0.1)),
  );
  const square = mapArrays(params, (name) =>
    use(oldSquare, name)
      .mul(0.999)
      .add(np.square(use(gradients, name)).mul(0.001)),
  );
  const updated = mapArrays(params, (name) => {
    const root = np.sqrt(use(square, name).div(squareWeight.ref)).add(1e-8);
    const adam = use(mean, name).div(meanWeight.ref).div(root);
    return use(params, name).sub(adam.add(use(params, name).mul(weightDecay)).mul(learningRate));
  });
  return { params: updated, mean, square };
}

/** The traceable step. */
const stepOf =
  (spec: StepSpec) =>
  (state: State, frozen: Arrays, data: Arrays, oneHot: np.Array, scalars: Scalars) => {
    const { params } = state;
    const layers = Object.keys(params).flatMap((name) =>
      name.endsWith('.a') ? [name.slice(0, -2)] : [],
    );
    const keys = spec.sigma > 0 ? random.split(scalars.key.ref, layers.length) : undefined;
    const noisy: Arrays =
      keys === undefined
        ? {}
        : Object.fromEntries(
            layers.map((path, i) => [
              path,
              perturbed(
                use(frozen, path),
                {
                  a: use(params, `${path}.a`),
                  b: use(params, `${path}.b`),
                  scale: spec.alpha / spec.rank,
                },
                keys.ref.slice(i),
                scalars.sigma.ref,
              ),
            ]),
          );
    const [loss, gradients] = lossAndGradients((factors) =>
      crossEntropy(logits({ frozen, noisy, factors, spec }, data), oneHot.ref),
    )(refs(params));
    const squares = Object.keys(gradients).map((name) => np.sum(np.square(use(gradients, name))));
    const norm = np.sqrt(squares.reduce((sum, term) => sum.add(term)));
    return { loss, norm, state: adamW(spec, state, gradients, scalars) };
  };

type Step = (...args: readonly unknown[]) => {
  readonly loss: np.Array;
  readonly norm: np.Array;
  readonly state: State;
};

export function jaxjsStep(spec: StepSpec, inputs: Arrays): Runner {
  const frozen = withPrefix('w/', inputs);
  const data = Object.fromEntries(Object.entries(inputs).filter(([name]) => !name.includes('/')));
  const targets = use(inputs, spec.family === 'vit' ? 'labels' : 'targets');
  const oneHot = nn.oneHot(targets.reshape([-1]), spec.classes);
  const params = withPrefix('a/', inputs);
  const zeros = () => mapArrays(params, (name) => np.zeros(use(params, name).shape));
  let state: State = { params, mean: zeros(), square: zeros() };
  let step = 0;
  const compiled = jit(stepOf(spec) as never) as unknown as Step;

  const next = async (): Promise<StepReport> => {
    const scalars: Scalars = {
      meanWeight: np.array(1 - 0.9 ** (step + 1)),
      squareWeight: np.array(1 - 0.999 ** (step + 1)),
      sigma: np.array(strengthAt(step, spec.sigma)),
      key: random.key(step),
    };
    const result = compiled(state, refs(frozen), refs(data), oneHot.ref, scalars);
    state = result.state;
    step += 1;
    const [loss, norm] = [await result.loss.data(), await result.norm.data()];
    for (const x of Object.values(state.params)) await x.blockUntilReady();
    return { loss: loss[0] as number, gradientNorm: norm[0] as number };
  };
  return {
    results: () => firstSteps(next),
    run: async () => {
      await next();
    },
    dispose: () => {
      for (const arrays of [state.params, state.mean, state.square, frozen, data]) {
        disposeAll(arrays);
      }
      oneHot.dispose();
    },
  };
}
