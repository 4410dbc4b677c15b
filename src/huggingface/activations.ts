/** The names that configurations have for activations. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, type Result } from '../autodiff/index.js';
import type { Activation } from '../models/index.js';
import { shown } from './json.js';

const NAMES: Readonly<Record<string, Activation>> = {
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  quick_gelu: 'quickGelu',
  relu: 'relu',
  silu: 'silu',
  swish: 'silu',
  tanh: 'tanh',
};

/** Ours; a problem that lists those we have. */
export function activationOf(name: string): Result<Activation> {
  const ours = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  return ours === undefined
    ? fail(
        'checkpoint',
        `config.json: the activation is ${shown(name)}, expected one of ${Object.keys(NAMES).join(', ')}`,
      )
    : E.right(ours);
}
