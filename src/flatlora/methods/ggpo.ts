/**
 * LoRA-GGPO: random noise on the merged weight, by the norms of its rows and of their gradients.
 *
 *     W′ + ε,   ε_ij ~ N(0, (σ²·‖W′_i‖² + β²·‖Ĝ_i‖²)/n)
 *     Ĝ = s·(∂B·A + B·∂A) of the step before                 (0 in the first step)
 *
 * The first term is Eq. 7 of Flat-LoRA at a constant σ; β adds noise where the weight is changing. Ĝ is
 * how W′ would move under a step along the gradient; its m row norms are an auxiliary array.
 *
 * The text of the paper's first version, which has this method (later ones have MGPO in its place), was
 * not at hand. Its abstract says that weight and gradient norms scale the perturbation. The one
 * implementation that was, kohya-ss/sd-scripts, adds σ‖W′_i‖ and β‖Ĝ_i‖², divides by √m and takes the
 * mean ‖W_i‖ of sampled rows. We chose: variances that add, as independent noises do (so β = 0 is
 * `flat` with a constant σ), and Eq. 7's n. Defaults of σ and β are those in the documentation of
 * sd-scripts.
 *
 * Reference: Chang et al., "LoRA-GGPO: Mitigating double descent in LoRA fine-tuning via
 * gradient-guided perturbation optimization", arXiv 2502.14538v1.
 */
import {
  add,
  type LinearOperator,
  type LossContext,
  lift,
  type MadeOnDemand,
  matmul,
  matmulTransposed,
  max,
  mul,
  normal,
  reduceSum,
  reshape,
  sqrt,
  square,
  stopGradient,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters } from '../adapterMethod.js';
import { layerKey, plusNoise } from '../objectives/perturb.js';
import { type AuxiliaryRule, auxiliaryLora, mapLayers, requirePositive } from './auxiliary.js';
import { type LoraOptions, type LoraPart, loraLayer } from './lora.js';

/** ‖Ĝ_i‖ [m]. */
export type GgpoPart = 'auxiliaryNorms';

export interface GgpoOptions extends LoraOptions {
  /** σ > 0; 0.03 by default. */
  readonly sigma?: number;
  /** β > 0; 0.01 by default. */
  readonly beta?: number;
}

/** Keeps GGPO's noise apart from that of a `flat` around it. */
const STREAM = 'ggpo.noise';

/** ‖s(∂B_i A + B_i ∂A)‖ of each row, through r×r products. */
function changeNorms(scale: number, [a, b]: [Value, Value], [da, db]: [Value, Value]): Value {
  const form = (x: Value, gram: Value, y: Value) => reduceSum(mul(matmul(x, gram), y), -1);
  const squared = add(
    add(form(db, matmulTransposed(a, a), db), form(b, matmulTransposed(da, da), b)),
    mul(2, form(db, matmulTransposed(a, da), b)),
  );
  return mul(scale, sqrt(max(squared, 0)));
}

const followingGradients = (scale: number): AuxiliaryRule => ({
  stateSize: 0,
  init: () => [],
  next: ({ params, gradients }) => ({
    auxiliary: mapLayers((layer, path) => {
      const of = (x: typeof layer | undefined) => [x?.a, x?.b] as [Value, Value];
      return { auxiliaryNorms: changeNorms(scale, of(layer), of(gradients[path])) };
    }, params),
    state: [],
  }),
});

/** W′ + ε, whose row norms are given as those of W′: what is around it perturbs by W′ alone. */
function noisy(
  clean: LinearOperator,
  gradientNorms: Value,
  { sigma, beta }: { readonly sigma: number; readonly beta: number },
  name: string,
  context: LossContext,
): LinearOperator {
  const [m, n] = clean.shape;
  const variances = add(
    mul((sigma * sigma) / n, stopGradient(clean.rowNormsSquared({ detached: true }))),
    mul((beta * beta) / n, square(stopGradient(gradientNorms))),
  );
  const epsilon: MadeOnDemand = {
    operands: [lift(layerKey(layerKey(context.stepKey, STREAM), name)), sqrt(variances)],
    make: ([key, deviation]) =>
      mul(normal(key as Value, [m, n]), reshape(deviation as Value, [m, 1])),
  };
  const sum = plusNoise(clean, epsilon) as LinearOperator;
  return { ...sum, rowNormsSquared: clean.rowNormsSquared };
}

/**
 * LoRA-GGPO on the target modules of a tree of weights; the noise is drawn as `flat`'s is, and adds to
 * that of a `flat` around it.
 *
 * @throws FlatloraError 'argument' when σ or β is not positive.
 */
export function ggpo({
  sigma = 0.03,
  beta = 0.01,
  ...options
}: GgpoOptions): AdapterMethod<LayerAdapters<LoraPart | GgpoPart>> {
  requirePositive('ggpo', 'sigma', sigma);
  requirePositive('ggpo', 'beta', beta);
  const { rank = 8, alpha = 16 } = options;
  const layer = loraLayer(options);
  return auxiliaryLora<GgpoPart>({
    name: 'ggpo',
    lora: options,
    shapes: ([m]) => ({ auxiliaryNorms: [m] }),
    perturbed: (at, { auxiliaryNorms, ...pair }, context) =>
      noisy(layer.effective(at, pair, context), auxiliaryNorms, { sigma, beta }, at.name, context),
    rule: () => followingGradients(alpha / rank),
  });
}
