/** Inputs of the works: the same numbers on every run and machine, without any engine's help. */
import type { Tensor } from './tensors.js';

/** Uniform numbers in [0, 1) from a 32-bit state (Marsaglia's xorshift32). */
function uniform(seed: number): () => number {
  let state = (Math.imul(seed + 1, 0x9e3779b1) | 1) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);

/** Numbers of mean 0 and the given standard deviation: sums of four uniform ones. */
export function normals(seed: number, shape: readonly number[], deviation = 1): Tensor {
  const next = uniform(seed);
  const factor = deviation * Math.sqrt(3);
  const data = Float32Array.from(
    { length: sizeOf(shape) },
    () => factor * (next() + next() + next() + next() - 2),
  );
  return { data, shape };
}

/** Integers 0 … below − 1. */
export function integers(seed: number, shape: readonly number[], below: number): Tensor {
  const next = uniform(seed);
  const data = Int32Array.from({ length: sizeOf(shape) }, () => Math.floor(next() * below));
  return { data, shape };
}
