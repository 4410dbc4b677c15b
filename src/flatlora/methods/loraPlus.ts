/**
 * LoRA+: B learns faster than A.
 *
 *     A ← A − η u_A,   B ← B − λ η u_B        u: what the optimiser makes of the gradients
 *
 * With one rate for both, features are learned inefficiently in wide models: A needs a rate of order
 * 1/n, B one of order 1. Give about half the rate η that suits LoRA.
 *
 * The reference code also gives λη to parameters with one axis; adapters of ours have none.
 *
 * Reference: Hayou, Ghosh & Yu, "LoRA+: Efficient low rank adaptation of large models", ICML 2024;
 * repository nikhil-ghosh-berkeley/loraplus.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { check } from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { layerwise } from '../layerwise.js';
import { type LoraOptions, type LoraPart, loraLayer } from './lora.js';

export interface LoraPlusOptions extends LoraOptions {
  /** λ > 0, the rate of B over that of A; 16 by default (the set-up of the LoRA+ paper). */
  readonly ratio?: number;
}

/** LoRA+ of one weight matrix. */
export function loraPlusLayer({ ratio = 16, ...options }: LoraPlusOptions): LayerMethod<LoraPart> {
  const lora = loraLayer(options);
  return {
    ...lora,
    name: 'lora+',
    check: (path, shape) =>
      pipe(
        check(
          Number.isFinite(ratio) && ratio > 0,
          'argument',
          () => `lora+: ratio is ${ratio}, expected a number > 0`,
        ),
        E.chain(() => lora.check(path, shape)),
      ),
    learningRates: { a: 1, b: ratio },
  };
}

/** LoRA+ on the target modules of a tree of weights. */
export const loraPlus = (options: LoraPlusOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(loraPlusLayer(options));
