/**
 * Conditioning by modulation (adaLN-Zero): a vector that describes what is wanted decides the scale
 * and shift of every layer norm and how much each sub-layer adds.
 *
 * The layer that makes these numbers starts at zero, so that every block starts as the identity.
 * Peebles & Xie, "Scalable diffusion models with transformers", 2023, section 3.2.
 */
import {
  add,
  type HostArray,
  mul,
  range,
  reshape,
  silu,
  sliceAxis,
  type Value,
} from '../../autodiff/index.js';
import { filled } from '../initialisers.js';
import { type LinearWeights, linear } from './linear.js';
import { layerNorm } from './norm.js';

/** ε of the norms: 10⁻⁶, as in the paper's code. */
const EPSILON = 1e-6;

/**
 * Linear(silu(condition)) cut into `count` pieces, each in shape to be combined with tokens.
 * @param weights [count·width, width]
 * @param condition [b, width]
 * @returns `count` values [b, 1, width]
 */
export function modulations(
  weights: LinearWeights,
  condition: Value,
  count: number,
): readonly Value[] {
  const all = linear(weights, silu(condition));
  const [batch, total] = all.shape as readonly [number, number];
  const width = total / count;
  return range(count).map((i) =>
    reshape(sliceAxis(all, 1, i * width, (i + 1) * width), [batch, 1, width]),
  );
}

/** (1 + scale)·norm(x) + shift: x [b, T, width], scale and shift [b, 1, width]. */
export const modulatedNorm = (x: Value, shift: Value, scale: Value): Value =>
  layerNorm({ scale: add(1, scale), bias: shift }, x, EPSILON);

/** x + gate·f(x), the gate [b, 1, width]. */
export const gated = (x: Value, gate: Value, f: (x: Value) => Value): Value =>
  add(x, mul(gate, f(x)));

/** Zeros: nothing is modulated and nothing is added before training says so. */
export const initModulation = (width: number, count: number): LinearWeights<HostArray> => ({
  weight: filled([count * width, width], 0),
  bias: filled([count * width], 0),
});
