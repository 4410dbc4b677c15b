/**
 * A diffusion time as a vector: cosines and sines of many frequencies through a small network.
 * Ho, Jain, Abbeel, "Denoising diffusion probabilistic models", 2020; the form is that of Peebles &
 * Xie 2023, whose cosines come first.
 */
import {
  concat,
  constant,
  cos,
  FlatloraError,
  floats,
  type HostArray,
  type Key,
  mul,
  range,
  reshape,
  silu,
  sin,
  split,
  type Value,
} from '../../autodiff/index.js';
import { filled, truncatedNormal } from '../initialisers.js';
import type { MatrixOf } from '../weights.js';
import { type LinearWeights, linear } from './linear.js';

export interface TimeEmbeddingWeights<V = Value, M = MatrixOf<V>> {
  /** [width, frequencies] */
  readonly inner: LinearWeights<V, M>;
  /** [width, width] */
  readonly outer: LinearWeights<V, M>;
}

/**
 * cos(t·ωᵢ) and then sin(t·ωᵢ), ωᵢ = 10000^(−i/h), i = 0 … h − 1 with h = size/2: times float[b] →
 * [b, size].
 * @throws FlatloraError when the size is odd.
 */
export function timeFrequencies(times: Value, size: number): Value {
  if (!Number.isInteger(size) || size < 2 || size % 2 !== 0) {
    throw new FlatloraError(
      'argument',
      `timeFrequencies: size is ${size}, expected a positive even number`,
    );
  }
  const half = size / 2;
  const frequencies = constant(floats(range(half).map((i) => 10_000 ** (-i / half))));
  const angles = mul(reshape(times, [...times.shape, 1]), frequencies);
  return concat([cos(angles), sin(angles)], -1);
}

/** outer(silu(inner(frequencies of t))): float[b] → [b, width]. */
export const timeEmbedding = (
  { inner, outer }: TimeEmbeddingWeights,
  times: Value,
  frequencies: number,
): Value => linear(outer, silu(linear(inner, timeFrequencies(times, frequencies))));

/** Truncated normal weights, standard deviation 0.02, and zero biases. */
export function initTimeEmbedding(
  key: Key,
  frequencies: number,
  width: number,
): TimeEmbeddingWeights<HostArray> {
  const [ki, ko] = split(key) as [Key, Key];
  return {
    inner: { weight: truncatedNormal(ki, [width, frequencies]), bias: filled([width], 0) },
    outer: { weight: truncatedNormal(ko, [width, width]), bias: filled([width], 0) },
  };
}
