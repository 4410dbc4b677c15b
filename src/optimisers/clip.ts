/** Transformations without memory: clipping and scaling. */
import {
  add,
  div,
  FlatloraError,
  globalNorm,
  min,
  mul,
  treeLeaves,
  type Value,
} from '../autodiff/index.js';
import { type GradientTransformation, mapTrees, stateless } from './transformation.js';

/** Keeps the coefficient finite where the gradient is zero; PyTorch's value. */
const NORM_GUARD = 1e-6;

/**
 * Scales all gradients by `min(1, maxNorm / (‖g‖ + 1e-6))`, ‖g‖ the norm of all of them together
 * (as PyTorch's `clip_grad_norm_`).
 */
export function clipByGlobalNorm(maxNorm: number): GradientTransformation {
  if (!(maxNorm > 0)) {
    throw new FlatloraError(
      'argument',
      `clipByGlobalNorm: maxNorm is ${maxNorm}, expected a positive number`,
    );
  }
  return stateless((gradients) => {
    const norm = globalNorm(treeLeaves<Value>(gradients));
    const coefficient = min(1, div(maxNorm, add(norm, NORM_GUARD)));
    return mapTrees(([g]) => mul(g as Value, coefficient), gradients);
  });
}

/**
 * Scales each parameter's update by a number that its place in the tree (`blocks.0.query.B`)
 * decides: per-parameter learning rates, as LoRA+ has for B, when put after the optimiser. A
 * multiplier of 0 freezes the parameter.
 */
export const scaleByMultipliers = (multiplier: (path: string) => number): GradientTransformation =>
  stateless((updates) =>
    mapTrees(([u], path) => {
      const factor = multiplier(path);
      if (!Number.isFinite(factor)) {
        throw new FlatloraError(
          'argument',
          `scaleByMultipliers: the multiplier of "${path}" is ${factor}, expected a finite number`,
        );
      }
      return mul(u as Value, factor);
    }, updates),
  );
