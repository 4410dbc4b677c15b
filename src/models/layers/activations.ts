/** The activations that configurations name. */
import { gelu, geluTanh, quickGelu, relu, silu, tanh, type Value } from '../../autodiff/index.js';

export const activations = {
  gelu,
  geluTanh,
  quickGelu,
  relu,
  silu,
  tanh,
} as const satisfies Readonly<Record<string, (x: Value) => Value>>;

export type Activation = keyof typeof activations;
