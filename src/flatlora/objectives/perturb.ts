/**
 * The random weight perturbation of Flat-LoRA.
 *
 * For a merged weight W′ [m, n] (m outputs, n inputs):
 *
 *     (ε_W)_ij ~ N(0, σ²/n · ‖W′_i‖²)            Eq. 7
 *
 * so every output row is disturbed in proportion to its own norm, and the variance that this adds to
 * an activation does not depend on n (Proposition 3.2).
 *
 * A perturbed weight is the value W + ε. W is never written, its derivative is the identity, and the
 * norms are constants of the differentiation.
 *
 * Reference: Li et al., "Flat-LoRA: Low-Rank Adaptation over a Flat Loss Landscape", ICML 2025,
 * Section 3.3; the noise by filters is that of Bisla et al., "Low-pass filtering SGD", 2022.
 */
import {
  abs,
  add,
  asOperator,
  FlatloraError,
  foldInTraced,
  type HalfPrecision,
  isValue,
  type LinearOperator,
  lift,
  type MadeOnDemand,
  madeDelta,
  mul,
  normal,
  type Operand,
  reshape,
  roundTo,
  showShape,
  sqrt,
  stopGradient,
  type Value,
  type Weight,
  widened,
} from '../../autodiff/index.js';
import { layerId } from '../layerNames.js';

/**
 * The key of a layer's stream: independent for different names. Equal to `foldIn(key, layerId(name))`
 * on the host; `| 0` reads the same 32 bits as the int that a traced `foldIn` takes.
 */
export const layerKey = (key: Operand, name: string): Value => foldInTraced(key, layerId(name) | 0);

/**
 * The noise ε of Eq. 7 for one weight, as the recipe of an array [m, n] from a key and m norms.
 *
 * @param weight W′; only its row norms and its shape play a part.
 * @param key uint[2], the key of this weight alone (see `layerKey`).
 * @param sigma σ ≥ 0, a number or a scalar that is known only when the program runs.
 */
export function noise(weight: Weight, key: Operand, sigma: Operand): MadeOnDemand {
  const [m, n] = matrixShape(weight);
  const norms = sqrt(stopGradient(asOperator(weight).rowNormsSquared({ detached: true })));
  const deviations = mul(norms, mul(sigma, 1 / Math.sqrt(n)));
  return {
    operands: [lift(key), deviations],
    make: ([k, deviation]) => mul(normal(k as Value, [m, n]), reshape(deviation as Value, [m, 1])),
  };
}

function matrixShape(weight: Weight): readonly [number, number] {
  const { shape } = weight;
  const [m, n] = shape;
  if (shape.length !== 2 || m === undefined || n === undefined) {
    throw new FlatloraError(
      'shape',
      `perturb: weight has shape ${showShape(shape)}, expected a matrix [m,n]`,
    );
  }
  return [m, n];
}

/** W + ε with ε of Eq. 7: an array for an array, an operator for an operator. */
export function perturb(weight: Value, key: Operand, sigma: Operand): Value;
export function perturb(weight: LinearOperator, key: Operand, sigma: Operand): LinearOperator;
export function perturb(weight: Weight, key: Operand, sigma: Operand): Weight;
export function perturb(weight: Weight, key: Operand, sigma: Operand): Weight {
  return plusNoise(weight, noise(weight, key, sigma));
}

/**
 * Adds a recipe.
 * @param recompute whether ε is drawn again in the backward pass (for operators) instead of W + ε
 *   being kept from the forward pass: less memory during a step for about twice the time of drawing.
 */
export const plusNoise = (weight: Weight, delta: MadeOnDemand, recompute = false): Weight => {
  if (isValue(weight)) return add(widened(weight), madeDelta(delta));
  return weight.plus(recompute ? delta : madeDelta(delta));
};

/**
 * A weight rounded to half precision, an array for an array, an operator for an operator. Its
 * derivative is that of the weight: the rounding is passed straight through (Bengio et al.,
 * "Estimating or propagating gradients through stochastic neurons", 2013).
 */
export const rounded = (weight: Weight, precision: HalfPrecision): Weight =>
  isValue(weight) ? roundTo(weight, precision) : weight.rounded(precision);

/**
 * The noise for what is no matrix (biases, norm scales, class tokens): ε_i ~ N(0, σ²·w_i²), the
 * "noise based on the absolute weight |W|" of Appendix C. It is Eq. 7 with every element as a filter
 * of its own.
 */
export const vectorNoise = (x: Value, key: Operand, sigma: Operand): Value =>
  mul(normal(key, x.shape), mul(stopGradient(abs(x)), sigma));
