/** Initial weights on the host, in float32, by key: the same key gives the same bits anywhere. */
import {
  type HostArray,
  hostArray,
  hostNormal,
  hostUniform,
  type Key,
  type Shape,
  sizeOf,
} from '../autodiff/index.js';

/** An array filled with one number. */
export const filled = (shape: Shape, value: number): HostArray =>
  hostArray(new Float32Array(sizeOf(shape)).fill(value), shape);

/** The standard deviation of embeddings, class tokens and positions (BERT, GPT-2, ViT). */
export const EMBEDDING_STANDARD_DEVIATION = 0.02;

/**
 * Normal numbers, those beyond two standard deviations drawn again. The embeddings of BERT (Devlin
 * et al. 2019) and ViT (Dosovitskiy et al. 2021) start so.
 */
export function truncatedNormal(
  key: Key,
  shape: Shape,
  standardDeviation = EMBEDDING_STANDARD_DEVIATION,
): HostArray {
  const size = sizeOf(shape);
  // 95.4 % are kept; should a stream give too few, a longer piece of the same stream does.
  for (let drawn = Math.ceil(size * 1.1) + 64; ; drawn *= 2) {
    const kept = [...hostNormal(key, drawn)].filter((z) => Math.abs(z) <= 2);
    if (kept.length >= size) {
      const scaled = kept.slice(0, size).map((z) => z * standardDeviation);
      return hostArray(Float32Array.from(scaled), shape);
    }
  }
}

/**
 * A matrix [outputs, inputs] uniform on ±√(6 / (inputs + outputs)), which keeps the variance of
 * signals and of gradients. Glorot & Bengio 2010; the linear layers of the first Transformer
 * (Vaswani et al. 2017) and of ViT's published code start so.
 */
export function xavierUniform(key: Key, outputs: number, inputs: number): HostArray {
  const limit = Math.sqrt(6 / (inputs + outputs));
  const draws = hostUniform(key, outputs * inputs);
  return hostArray(
    Float32Array.from(draws, (u) => (2 * u - 1) * limit),
    [outputs, inputs],
  );
}
