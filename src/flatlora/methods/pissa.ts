/**
 * PiSSA: LoRA that trains the principal part of W and freezes the rest.
 *
 *     W = U S Vᵀ;   B₀ = U_r √(S_r/s),   A₀ = √(S_r/s) V_rᵀ,   W_res = W − s·B₀A₀
 *
 * with the r greatest singular values and s = α/r.
 *
 * The SVD is exact by default. On large weights the randomised one is much faster: PEFT's
 * `pissa_niter_4`, but with a few directions more than r, which makes it more accurate.
 *
 * Reference: Meng, Wang, Zhang, "PiSSA: Principal singular values and singular vectors adaptation of
 * large language models", NeurIPS 2024, Eqs. 2–4; `pissa_init` of PEFT, which brings in s.
 */
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { firstComponents, type SvdMethod } from '../decompositions.js';
import { layerwise } from '../layerwise.js';
import type { LoraPart } from './lora.js';
import { factorsFrom, type ResidualOptions, residualLayer } from './residualStart.js';

export type { HostSvdOptions, SvdMethod } from '../decompositions.js';

export interface PissaOptions extends ResidualOptions {
  /** `exact` (default) or the options of the randomised SVD. */
  readonly svd?: SvdMethod;
}

/** PiSSA of one weight matrix. */
export function pissaLayer({ svd = 'exact', ...options }: PissaOptions): LayerMethod<LoraPart> {
  const { rank = 8 } = options;
  return residualLayer(options, {
    name: 'pissa',
    factors: (weight, scale, key) => {
      const { u, s, v } = firstComponents(weight, rank, svd, key);
      const root = (k: number) => Math.sqrt((s[k] as number) / scale);
      return factorsFrom(u, v, root, root);
    },
  });
}

/** PiSSA on the target modules of a tree of weights. */
export const pissa = (options: PissaOptions): AdapterMethod<LayerAdapters<LoraPart>> =>
  layerwise(pissaLayer(options));
