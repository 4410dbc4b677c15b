/** Normalisation over the last axis. */
import {
  add,
  div,
  type HostArray,
  mean,
  mul,
  reshape,
  sqrt,
  square,
  sub,
  type Value,
} from '../../autodiff/index.js';
import { filled } from '../initialisers.js';

export type NormKind = 'layerNorm' | 'rmsNorm';

export interface NormWeights<V = Value> {
  /** γ, [width] */
  readonly scale: V;
  /** β, [width]; RMS norm has none. */
  readonly bias?: V;
}

/** One number per row, in shape to be combined with the rows themselves. */
const perRow = (x: Value): Value => reshape(x, [...x.shape, 1]);

/** 1/√(mean(x²) + ε) of each row, worked out on one number per row. */
const inverseRootMeanSquare = (x: Value, epsilon: number): Value =>
  perRow(div(1, sqrt(add(mean(square(x), -1), epsilon))));

/**
 * γ·(x − mean x)/√(var x + ε) + β, the variance over n, not n − 1.
 * Ba, Kiros, Hinton, "Layer normalization", 2016.
 */
export function layerNorm({ scale, bias }: NormWeights, x: Value, epsilon = 1e-5): Value {
  const centred = sub(x, perRow(mean(x, -1)));
  const scaled = mul(mul(centred, inverseRootMeanSquare(centred, epsilon)), scale);
  return bias === undefined ? scaled : add(scaled, bias);
}

/** γ·x/√(mean(x²) + ε). Zhang & Sennrich, "Root mean square layer normalization", 2019. */
export const rmsNorm = ({ scale }: NormWeights, x: Value, epsilon = 1e-6): Value =>
  mul(mul(x, inverseRootMeanSquare(x, epsilon)), scale);

/** The norm of the given kind. */
export const norm = (kind: NormKind, weights: NormWeights, x: Value, epsilon: number): Value =>
  kind === 'layerNorm' ? layerNorm(weights, x, epsilon) : rmsNorm(weights, x, epsilon);

/** γ = 1 and, for layer norm unless told otherwise, β = 0. */
export const initNorm = (
  kind: NormKind,
  width: number,
  { bias = true }: { readonly bias?: boolean } = {},
): NormWeights<HostArray> => ({
  scale: filled([width], 1),
  ...(bias && kind === 'layerNorm' && { bias: filled([width], 0) }),
});
