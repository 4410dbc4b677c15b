/**
 * Floating-point operations that a work cannot do without (multiplications and additions of its
 * products), by which its time becomes a rate and a share of the machine's limit. Work that an engine
 * adds (norms, activations, computing things twice) is not counted.
 */
import type { Spec, StepSpec } from './job.js';

/** Multiply-adds of an [m, k]·[k, n] product, counted as two operations each. */
const product = (m: number, n: number, k: number): number => 2 * m * n * k;

/** Scores and mixing, over the half of the pairs that a causal mask leaves where there is one. */
const attentionProducts = (batch: number, tokens: number, width: number, causal: boolean): number =>
  (2 * batch * product(tokens, tokens, width)) / (causal ? 2 : 1);

export function flopsOf(spec: Spec): number {
  switch (spec.kind) {
    case 'matmul':
      return product(spec.m, spec.n, spec.k);
    case 'mlp':
      // Two products forward; each has two in its derivative.
      return 6 * product(spec.rows, spec.hidden, spec.width);
    case 'attention': {
      const { batch, tokens, heads, d, causal } = spec;
      // Two products forward, four backward; the scores computed again are not counted.
      return 3 * attentionProducts(batch, tokens, heads * d, causal);
    }
    case 'step':
      return stepFlops(spec);
  }
}

/**
 * Forward, and backward without gradients of the frozen weights: nothing flows below the first
 * block's adapters, so its input needs no gradient.
 */
function stepFlops({ family, size, classes, patch, channels, rank }: StepSpec): number {
  const { width, depth, tokens, batch } = size;
  const rows = batch * tokens;
  const linear = (inputs: number, outputs: number) => product(rows, outputs, inputs);
  const adapter = (inputs: number, outputs: number) => linear(inputs, rank) + linear(rank, outputs);
  const layers: readonly (readonly [number, number])[] = [
    ...Array.from({ length: 4 }, () => [width, width] as const),
    [width, 4 * width],
    [4 * width, width],
  ];
  const sum = (f: (inputs: number, outputs: number) => number) =>
    layers.reduce((total, [inputs, outputs]) => total + f(inputs, outputs), 0);
  const attention = attentionProducts(batch, tokens, width, family === 'decoder');
  // Frozen layers: forward and the gradient of their input. Factors: those and their own gradient.
  const block = 2 * sum(linear) + 3 * sum(adapter) + 3 * attention;
  const firstQueryKeyValue = 3 * (linear(width, width) + linear(width, rank));
  const headRows = family === 'vit' ? batch : rows;
  const head = 2 * product(headRows, classes, width);
  const stem = family === 'vit' ? linear(patch * patch * channels, width) : 0;
  return depth * block - firstQueryKeyValue + head + stem;
}
