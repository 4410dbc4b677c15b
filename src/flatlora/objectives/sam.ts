/**
 * Sharpness-aware minimisation as a loss transformer: the loss at the worst point nearby, to first
 * order.
 *
 *     over the factors:   min_{A,B} max_{‖(ε_A, ε_B)‖ ≤ ρ} L(W + s·(B + ε_B)(A + ε_A))       Eq. 2
 *     over the weights:   min_{A,B} max_{‖ε_W‖_F ≤ ρ} L(W + s·B·A + ε_W)                     Eq. 5
 *
 * The inner maximum is taken at ε = ρ·g/‖g‖, g the gradient with respect to what is perturbed, all
 * its arrays together; ε is then a constant, so the outer gradient is that at the perturbed point.
 *
 * References: Foret et al., "Sharpness-aware minimization for efficiently improving generalization",
 * ICLR 2021; the two spaces as in Li et al., "Flat-LoRA", ICML 2025, Section 3.2 and Table 6.
 */
import {
  add,
  asOperator,
  check,
  div,
  FlatloraError,
  flatten,
  globalNorm,
  grad,
  gt,
  isValue,
  type Loss,
  type LossContext,
  mul,
  orThrow,
  select,
  stopGradient,
  treeLeaves,
  treeMap,
  unflatten,
  type Value,
  zeros,
} from '../../autodiff/index.js';
import { isAuxiliary } from '../auxiliaryNames.js';

/**
 * `factors`: the trained parameters themselves, without a method's auxiliary arrays; `weights`: the
 * adapted layers' merged weights.
 */
export type SamSpace = 'factors' | 'weights';

export interface SamOptions {
  /**
   * Radius ρ > 0 of the neighbourhood. By default the best of Section 4.7: 0.003 over the factors,
   * 0.05 over the weights.
   */
  readonly rho?: number;
  /** `factors` by default. */
  readonly over?: SamSpace;
}

/**
 * The sharpness-aware loss. Its value is the loss at the perturbed point; it costs a second forward
 * and backward pass, and over the weights an array of the size of every adapted weight.
 *
 * Outside training it is the given loss. With gradient accumulation each micro-batch climbs along its
 * own gradient ("m-sharpness" of the reference). See `flat` for how the two compose.
 *
 * @throws FlatloraError when ρ is not positive, and while tracing when there is nothing to perturb.
 */
export function sam({
  over = 'factors',
  rho = over === 'factors' ? 0.003 : 0.05,
}: SamOptions = {}): <P, X>(loss: Loss<P, X>) => Loss<P, X> {
  orThrow(
    check(
      Number.isFinite(rho) && rho > 0,
      'argument',
      () => `sam: rho is ${rho}, expected a number > 0`,
    ),
  );
  return <P, X>(loss: Loss<P, X>): Loss<P, X> => {
    const perturbed = over === 'factors' ? overFactors(loss, rho) : overWeights(loss, rho);
    return (params, batch, context) =>
      context.training ? perturbed(params, batch, context) : loss(params, batch, context);
  };
}

/** ρ·g/‖g‖ as a constant, the norm over all arrays of the tree; 0 where g = 0. */
export function ascent<T>(gradient: T, rho: number): T {
  const norm = globalNorm(treeLeaves<Value>(gradient));
  const factor = select(gt(norm, 0), div(rho, norm), 0);
  return treeMap((g: Value) => stopGradient(mul(g, factor)), gradient) as T;
}

/** x + ε at every leaf. */
function plusTree<T>(tree: T, epsilon: unknown): T {
  const { leaves, shape } = flatten<Value>(tree);
  const steps = treeLeaves<Value>(epsilon);
  return unflatten(
    shape,
    leaves.map((x, i) => add(x, steps[i] as Value)),
  );
}

const overFactors =
  <P, X>(loss: Loss<P, X>, rho: number): Loss<P, X> =>
  (params, batch, context) => {
    const gradient = treeMap(
      (g: Value, path) => (isAuxiliary(path) ? zeros(g.shape) : g),
      grad((p: P) => loss(p, batch, context))(params),
    );
    return loss(plusTree(params, ascent(gradient, rho)), batch, context);
  };

type Deltas = Readonly<Record<string, Value>>;

/** A context whose adapted weights W′ are W′ + Δ. */
const displaced = (context: LossContext, deltas: Deltas): LossContext => ({
  ...context,
  weight: (weight, name, role) => {
    const outer = context.weight(weight, name, role);
    const delta = deltas[name];
    if (role !== 'adapted' || delta === undefined) return outer;
    return isValue(outer) ? add(outer, delta) : outer.plus(delta);
  },
});

/** The adapted layers of a loss and the shapes of their weights, found by tracing it once. */
function adaptedShapes<P, X>(loss: Loss<P, X>, params: P, batch: X, context: LossContext) {
  const shapes = new Map<string, readonly number[]>();
  loss(params, batch, {
    ...context,
    weight: (weight, name, role) => {
      if (role === 'adapted') shapes.set(name, asOperator(weight).shape);
      return context.weight(weight, name, role);
    },
  });
  if (shapes.size === 0) {
    throw new FlatloraError(
      'argument',
      'sam: the loss shows no adapted weights to its context; put adapt(base, method) before sam',
    );
  }
  return shapes;
}

const overWeights =
  <P, X>(loss: Loss<P, X>, rho: number): Loss<P, X> =>
  (params, batch, context) => {
    const shapes = adaptedShapes(loss, params, batch, context);
    const start: Deltas = Object.fromEntries([...shapes].map(([name, s]) => [name, zeros(s)]));
    const at = (deltas: Deltas) => loss(params, batch, displaced(context, deltas));
    return at(ascent(grad(at)(start), rho) as Deltas);
  };
