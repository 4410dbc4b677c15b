/** Whole training steps of the two transformers, LoRA and Flat-LoRA. */
import type { ModelSize, StepSpec } from '../harness/job.js';
import { integers, normals } from '../harness/random.js';
import { TARGETS } from '../harness/steps.js';
import type { Tensor } from '../harness/tensors.js';
import type { Case, Effort } from './work.js';

const SIGMA = 0.05;

const COMMON = {
  kind: 'step',
  rank: 8,
  alpha: 16,
  learningRate: 1e-3,
  weightDecay: 0.01,
} as const;

export const vitSpec = (size: ModelSize, sigma = 0): StepSpec => ({
  ...COMMON,
  family: 'vit',
  size,
  classes: 10,
  patch: 4,
  channels: 3,
  sigma,
});

export const decoderSpec = (size: ModelSize, sigma = 0, classes = 512): StepSpec => ({
  ...COMMON,
  family: 'decoder',
  size,
  classes,
  patch: 0,
  channels: 0,
  sigma,
});

/** Weights of linear layers: rows of about unit norm, biases that are not zero. */
const linearTensors = (name: string, seed: number, inputs: number, outputs: number) => ({
  [`${name}.weight`]: normals(seed, [outputs, inputs], 1 / Math.sqrt(inputs)),
  [`${name}.bias`]: normals(seed + 1, [outputs], 0.02),
});

const normTensors = (name: string, width: number) => ({
  [`${name}.scale`]: { data: new Float32Array(width).fill(1), shape: [width] },
  [`${name}.bias`]: { data: new Float32Array(width), shape: [width] },
});

/** The frozen weights by their places in flatlora's trees. */
function weightsOf({ family, size, classes, patch, channels }: StepSpec): Record<string, Tensor> {
  const { width, depth, tokens } = size;
  const blocks = Array.from({ length: depth }, (_, i) => {
    const at = (name: string) => `blocks.${i}.${name}`;
    const seed = 1000 * (i + 1);
    return {
      ...normTensors(at('attentionNorm'), width),
      ...linearTensors(at('attention.query'), seed, width, width),
      ...linearTensors(at('attention.key'), seed + 10, width, width),
      ...linearTensors(at('attention.value'), seed + 20, width, width),
      ...linearTensors(at('attention.out'), seed + 30, width, width),
      ...normTensors(at('mlpNorm'), width),
      ...linearTensors(at('mlp.fc1'), seed + 40, width, 4 * width),
      ...linearTensors(at('mlp.fc2'), seed + 50, 4 * width, width),
    };
  });
  const ends: Record<string, Tensor> =
    family === 'vit'
      ? {
          ...linearTensors('patchEmbedding', 1, channels * patch ** 2, width),
          ...linearTensors('head', 5, width, classes),
        }
      : {
          'tokenEmbedding.weight': normals(1, [classes, width], 0.5),
          'head.weight': normals(5, [classes, width], 1 / Math.sqrt(width)),
        };
  return Object.assign(
    { 'positionEmbedding.weight': normals(9, [tokens, width], 0.1) },
    ends,
    normTensors('norm', width),
    ...blocks,
  );
}

/** LoRA factors; B is not zero, so that both factors have gradients from the first step. */
function factorsFor(weights: Readonly<Record<string, Tensor>>, rank: number) {
  const layers = Object.entries(weights).filter(([name]) =>
    TARGETS.some((target) => name.startsWith('blocks.') && name.endsWith(`.${target}.weight`)),
  );
  return Object.fromEntries(
    layers.flatMap(([name, { shape }], i) => {
      const [m, n] = shape as readonly [number, number];
      return [
        [`${name}.a`, normals(100_000 + 2 * i, [rank, n], 1 / Math.sqrt(n))],
        [`${name}.b`, normals(100_001 + 2 * i, [m, rank], 0.01)],
      ];
    }),
  );
}

const prefixed = (prefix: string, tensors: Readonly<Record<string, Tensor>>) =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));

export function stepTensors(spec: StepSpec): Readonly<Record<string, Tensor>> {
  const { family, size, classes, patch, channels, rank } = spec;
  const { tokens, batch } = size;
  const weights = weightsOf(spec);
  const side = patch * Math.sqrt(tokens);
  const data: Record<string, Tensor> =
    family === 'vit'
      ? {
          images: normals(50, [batch, side, side, channels], 0.5),
          labels: integers(51, [batch], classes),
        }
      : {
          tokens: integers(50, [batch, tokens], classes),
          targets: integers(51, [batch, tokens], classes),
        };
  return { ...prefixed('w/', weights), ...prefixed('a/', factorsFor(weights, rank)), ...data };
}

const stepCase = (work: string, spec: StepSpec): Case => {
  const { family, size, sigma, rank } = spec;
  const { width, depth, tokens, batch } = size;
  return {
    work,
    about: `${sigma > 0 ? 'Flat-LoRA' : 'LoRA'} step, ${family} d ${width}, depth ${depth}, ${batch} × ${tokens} tokens, rank ${rank}`,
    spec,
    tensors: () => stepTensors(spec),
    tolerance: 2e-3,
  };
};

/** Sizes of the transformers. */
export function modelSizes({ quick, gpu }: Effort): { vit?: ModelSize; decoder: ModelSize } {
  if (gpu) {
    return quick
      ? { decoder: { width: 32, depth: 2, heads: 2, tokens: 32, batch: 1 } }
      : { decoder: { width: 1024, depth: 12, heads: 16, tokens: 1024, batch: 1 } };
  }
  return quick
    ? {
        vit: { width: 32, depth: 2, heads: 2, tokens: 16, batch: 4 },
        decoder: { width: 32, depth: 2, heads: 2, tokens: 16, batch: 4 },
      }
    : {
        vit: { width: 192, depth: 6, heads: 3, tokens: 64, batch: 32 },
        decoder: { width: 256, depth: 6, heads: 4, tokens: 256, batch: 8 },
      };
}

export function stepCases(effort: Effort): readonly Case[] {
  const { vit, decoder } = modelSizes(effort);
  return [
    ...(vit === undefined
      ? []
      : [stepCase('vit-lora', vitSpec(vit)), stepCase('vit-flat-lora', vitSpec(vit, SIGMA))]),
    stepCase('decoder-lora', decoderSpec(decoder)),
    stepCase('decoder-flat-lora', decoderSpec(decoder, SIGMA)),
  ];
}

/** The same step without and with noise, at 2,048 tokens. */
export function flatPairs(
  effort: Effort,
): readonly { readonly work: string; readonly pair: readonly [Case, Case] }[] {
  const { vit, decoder } = modelSizes(effort);
  const pair = (family: string, spec: (sigma: number) => StepSpec) => ({
    work: `flat/${family}`,
    pair: [stepCase(family, spec(0)), stepCase(family, spec(SIGMA))] as const,
  });
  return [
    ...(vit === undefined ? [] : [pair('vit', (sigma) => vitSpec(vit, sigma))]),
    pair('decoder', (sigma) => decoderSpec(decoder, sigma)),
  ];
}
