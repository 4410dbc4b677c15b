/**
 * LoRA-MGPO: A and B perturbed along the momentum of their gradients, as far as gradients are small.
 *
 *     gradient at  θ + ε,   θ = (A, B) of all layers                                    Eq. 5
 *     ε = ρ·m_{t−1}/‖m_{t−1}‖ · min(1/ḡ_{t−1}, 10)                                      Eq. 3
 *     m_t = μ·m_{t−1} + ∇                                                               Eq. 4
 *     ḡ_t = β·ḡ_{t−1} + (1 − β)·‖∇‖,   ḡ_0 = ‖∇_0‖                                      Eq. 6
 *
 * ∇ is the gradient at the perturbed point, norms are over all layers together, and m = 0 at the start.
 * The paper takes m from the optimiser; here it is kept by itself, so that any optimiser will do. From
 * the authors' code are the bound of 10 on 1/ḡ and the start of ḡ. That code differs from the paper in
 * more: it perturbs W layer by layer, and *against* the momentum; we follow the paper.
 *
 * Reference: Chang et al., "LoRA-MGPO: Mitigating double descent in low-rank adaptation via
 * momentum-guided perturbation optimization", Findings of EMNLP 2025 (arXiv 2502.14538).
 */
import {
  add,
  div,
  equal,
  floats,
  globalNorm,
  gt,
  type HostArray,
  lowRankSum,
  min,
  mul,
  select,
  stopGradient,
  treeLeaves,
  type Value,
} from '../../autodiff/index.js';
import { zerosLikeParams } from '../../optimisers/transformation.js';
import type { AdapterMethod, LayerAdapters } from '../adapterMethod.js';
import {
  type AuxiliaryRule,
  auxiliaryLora,
  type LayerTree,
  mapLayers,
  requireBelowOne,
  requirePositive,
  trainedParts,
} from './auxiliary.js';
import { adapterDropout, type LoraOptions, type LoraPart } from './lora.js';

/** ε of A [r, n] and of B [m, r]. */
export type MgpoPart = 'auxiliaryA' | 'auxiliaryB';

export interface MgpoOptions extends LoraOptions {
  /** ρ > 0; 0.05 by default (the paper's for T5-base on GLUE; 0.01 for LLaMA-2-7B). */
  readonly rho?: number;
  /** μ in (0, 1); 0.9 by default (the same). */
  readonly momentum?: number;
  /** β in (0, 1); 0.9 by default (the same). */
  readonly beta?: number;
}

/** The greatest 1/ḡ. */
const LARGEST_FACTOR = 10;

interface MgpoState {
  readonly momentum: LayerTree;
  readonly gradientNorm: Value;
}

const alongMomentum = (rho: number, momentum: number, beta: number): AuxiliaryRule => ({
  stateSize: 1,
  init: (params) => [
    {
      momentum: zerosLikeParams(trainedParts<HostArray>(params)),
      gradientNorm: floats([0], []),
    },
  ],
  next: ({ gradients, state: [own], context: { step } }) => {
    const old = own as MgpoState;
    const trained = trainedParts(gradients);
    const m = mapLayers(
      (layer, path) =>
        Object.fromEntries(
          Object.entries(layer).map(([part, g]) => [
            part,
            add(mul(momentum, old.momentum[path]?.[part] as Value), g),
          ]),
        ),
      trained,
    );
    const norm = globalNorm(treeLeaves<Value>(trained));
    const average = add(mul(beta, old.gradientNorm), mul(1 - beta, norm));
    const gradientNorm = select(equal(step, 0), norm, average);
    const length = globalNorm(treeLeaves<Value>(m));
    const moves = gt(length, 0);
    const damped = min(div(1, select(gt(gradientNorm, 0), gradientNorm, 1)), LARGEST_FACTOR);
    const factor = select(moves, div(mul(rho, damped), select(moves, length, 1)), 0);
    return {
      auxiliary: mapLayers(
        ({ a, b }) => ({
          auxiliaryA: mul(factor, a as Value),
          auxiliaryB: mul(factor, b as Value),
        }),
        m,
      ),
      state: [{ momentum: m, gradientNorm }],
    };
  },
});

/**
 * LoRA-MGPO on the target modules of a tree of weights: one gradient a step, twice LoRA's parameters
 * in memory beyond it.
 *
 * @throws FlatloraError 'argument' when an option is out of range.
 */
export function mgpo({
  rho = 0.05,
  momentum = 0.9,
  beta = 0.9,
  ...options
}: MgpoOptions): AdapterMethod<LayerAdapters<LoraPart | MgpoPart>> {
  requirePositive('mgpo', 'rho', rho);
  for (const [argument, x] of Object.entries({ momentum, beta })) {
    requirePositive('mgpo', argument, x);
    requireBelowOne('mgpo', argument, x);
  }
  const { rank = 8, alpha = 16, dropout = 0 } = options;
  return auxiliaryLora<MgpoPart>({
    name: 'mgpo',
    lora: options,
    shapes: ([m, n], r) => ({ auxiliaryA: [r, n], auxiliaryB: [m, r] }),
    perturbed: ({ name, frozen }, { a, b, auxiliaryA, auxiliaryB }, context) =>
      lowRankSum(frozen, {
        a: add(a, stopGradient(auxiliaryA)),
        b: add(b, stopGradient(auxiliaryB)),
        scale: alpha / rank,
        onInput: adapterDropout(dropout, name, context),
      }),
    rule: () => alongMomentum(rho, momentum, beta),
  });
}
