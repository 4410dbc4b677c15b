/**
 * LoRA-GA: LoRA whose first steps go where full fine-tuning would go.
 *
 *     G = U S Vᵀ,  the mean gradient ∂L/∂W over a few batches;   W_res = W − s·B₀A₀
 *
 *     authors' code:   B₀ = m^¼/√γ · U[:, r:2r],      A₀ = m^¼/√γ · V[:, :r]ᵀ,   γ = 16
 *     PEFT's code:     B₀ = U[:, r:2r]·S[r:2r],       A₀ = V[:, :r]ᵀ
 *
 * The update of B moves W within the rows of A, that of A within the columns of B, so disjoint singular
 * vectors in the two give the best rank-2r approximation of G (Theorem 3.1 of the paper).
 *
 *     const gradients = await layerGradients(runner, loss, base, targetModules, batches);
 *     const method = loraGa({ targetModules, gradients });
 *
 * Reference: Wang, Yu, Li, "LoRA-GA: Low-rank adaptation with gradient approximation", NeurIPS 2024;
 * `lora_ga_init` of the authors' fork of PEFT (direction ArB2r, scale stable) and of PEFT itself.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import { check, fail, type HostArray } from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { hostColumns, randomisedSvd } from '../decompositions.js';
import { layerwise } from '../layerwise.js';
import { checkStatistic, type LayerStatistics } from '../statistics/index.js';
import { type LoraPart, loraLayer } from './lora.js';
import { factorsFrom, type ResidualOptions, residualLayer } from './residualStart.js';

export interface LoraGaOptions extends ResidualOptions {
  /** The mean gradient of each target's weight; without it nothing can start, only be read. */
  readonly gradients?: LayerStatistics;
  /** `official` (default): the authors' scale. `peft`: singular values on B. */
  readonly form?: 'official' | 'peft';
  /** γ > 0 of the official form; 16 by default (authors' code). */
  readonly gamma?: number;
}

/** LoRA-GA of one weight matrix. */
export function loraGaLayer({
  gradients,
  form = 'official',
  gamma = 16,
  ...options
}: LoraGaOptions): LayerMethod<LoraPart> {
  const { rank = 8 } = options;
  return {
    ...residualLayer(options, {
      name: 'lora-ga',
      ready: (path, { shape }) =>
        checkStatistic('lora-ga', 'gradients', 'layerGradients', gradients, path, shape),
      factors: (weight, _scale, key, path) => {
        const gradient = (gradients as LayerStatistics)[path] as HostArray;
        // Both codes: svd_lowrank with q = 4r and four iterations.
        const { u, s, v } = randomisedSvd(gradient, 2 * rank, key, {
          iterations: 4,
          oversampling: 2 * rank,
        });
        const size = (weight.shape[0] as number) ** 0.25 / Math.sqrt(gamma);
        const [left, right] = [hostColumns(u, rank, 2 * rank), hostColumns(v, 0, rank)];
        return form === 'peft'
          ? factorsFrom(
              left,
              right,
              (k) => s[rank + k] as number,
              () => 1,
            )
          : factorsFrom(
              left,
              right,
              () => size,
              () => size,
            );
      },
    }),
    check: (path, [m, n]) =>
      pipe(
        loraLayer(options).check(path, [m, n]),
        E.chain(() =>
          2 * rank <= Math.min(m, n)
            ? E.right(undefined)
            : fail(
                'argument',
                `lora-ga: rank is ${rank}, expected at most ${Math.floor(Math.min(m, n) / 2)}, half the smaller side of "${path}" [${m},${n}]`,
              ),
        ),
        E.chain(() =>
          check(
            Number.isFinite(gamma) && gamma > 0,
            'argument',
            () => `lora-ga: gamma is ${gamma}, expected a number > 0`,
          ),
        ),
      ),
  };
}

/** LoRA-GA on the target modules of a tree of weights. */
export const loraGa = (options: LoraGaOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(loraGaLayer(options));
