/** The linear layer, the only place where weight matrices are applied. */
import { add, asOperator, type HostArray, type Key, type Value } from '../../autodiff/index.js';
import { filled, xavierUniform } from '../initialisers.js';
import type { MatrixOf } from '../weights.js';

export interface LinearWeights<V = Value, M = MatrixOf<V>> {
  /** [outputs, inputs], as in PyTorch. */
  readonly weight: M;
  /** [outputs] */
  readonly bias?: V;
}

/** x·Wᵀ + b over the last axis: [b…, inputs] → [b…, outputs]. */
export function linear({ weight, bias }: LinearWeights, x: Value): Value {
  const product = asOperator(weight).apply(x);
  return bias === undefined ? product : add(product, bias);
}

/** Xavier-uniform weight and, unless told otherwise, a zero bias. */
export const initLinear = (
  key: Key,
  inputs: number,
  outputs: number,
  { bias = true }: { readonly bias?: boolean } = {},
): LinearWeights<HostArray> => ({
  weight: xavierUniform(key, outputs, inputs),
  ...(bias && { bias: filled([outputs], 0) }),
});
