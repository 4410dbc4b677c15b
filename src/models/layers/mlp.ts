/** The position-wise network of a transformer block. */
import { type HostArray, type Key, mul, split, type Value } from '../../autodiff/index.js';
import type { MatrixOf } from '../weights.js';
import { type Activation, activations } from './activations.js';
import { initLinear, type LinearWeights, linear } from './linear.js';

export interface MlpWeights<V = Value, M = MatrixOf<V>> {
  /** [hidden, width] */
  readonly fc1: LinearWeights<V, M>;
  /** [width, hidden] */
  readonly fc2: LinearWeights<V, M>;
  /** [hidden, width], in gated networks. */
  readonly gate?: LinearWeights<V, M>;
}

/**
 * fc2(a(fc1 x)), or with a gate fc2(a(gate x) · fc1 x): with `silu` SwiGLU, with `gelu` GEGLU
 * (Shazeer, "GLU variants improve transformer", 2020). Llama calls gate, fc1 and fc2 gate_proj,
 * up_proj and down_proj.
 */
export function mlp({ fc1, fc2, gate }: MlpWeights, x: Value, activation: Activation): Value {
  const act = activations[activation];
  const hidden =
    gate === undefined ? act(linear(fc1, x)) : mul(act(linear(gate, x)), linear(fc1, x));
  return linear(fc2, hidden);
}

export interface MlpConfig {
  readonly width: number;
  readonly mlpWidth: number;
  readonly gatedMlp: boolean;
  readonly biases: boolean;
}

export function initMlp(
  { width, mlpWidth, gatedMlp, biases: bias }: MlpConfig,
  key: Key,
): MlpWeights<HostArray> {
  const [k1, k2, k3] = split(key, 3) as [Key, Key, Key];
  return {
    fc1: initLinear(k1, width, mlpWidth, { bias }),
    fc2: initLinear(k2, mlpWidth, width, { bias }),
    ...(gatedMlp && { gate: initLinear(k3, width, mlpWidth, { bias }) }),
  };
}
