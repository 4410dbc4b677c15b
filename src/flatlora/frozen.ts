/** The frozen base inside a traced function. */
import {
  denseOperator,
  flatten,
  type HostArray,
  isHostArray,
  isValue,
  type LinearOperator,
  type LossContext,
  lift,
  type Operand,
  stopGradient,
  type Value,
  type Weight,
  type WeightRole,
  widened,
} from '../autodiff/index.js';
import { hostRowNormsSquared } from './hostMatrix.js';
import { isMatrix } from './targets.js';

/** A leaf of the base: a host array becomes a constant of the tape. */
export type BaseLeaf = HostArray | Value;

/**
 * Shows a weight to the context on its way to the model: matrices through `weight`, floats of other
 * ranks through `vector`; integers pass.
 */
export function shown(
  context: LossContext,
  weight: Weight,
  name: string,
  role: WeightRole,
): Weight {
  if (isValue(weight)) {
    if (weight.dtype !== 'float') return weight;
    if (!isMatrix(weight)) return context.vector(weight, name);
  }
  return context.weight(weight, name, role);
}

/**
 * The operators of frozen matrices. ‖W_i‖² of a host array is computed here, once, and kept as m
 * numbers; that of a value is computed in every step. A matrix in half precision stays so in memory:
 * its operator is that of the widened matrix, whose widening belongs to the products that read it.
 */
export function frozenOperators(
  base: unknown,
  paths: readonly string[],
): Readonly<Record<string, () => LinearOperator>> {
  const { leaves, paths: all } = flatten<BaseLeaf>(base);
  return Object.fromEntries(
    paths.map((path) => {
      const leaf = leaves[all.indexOf(path)] as BaseLeaf;
      if (!isHostArray(leaf) || isValue(leaf)) {
        return [path, () => denseOperator(stopGradient(widened(leaf as Value)))];
      }
      const norms = hostRowNormsSquared(leaf);
      return [path, () => denseOperator(widened(leaf), () => lift(norms))];
    }),
  );
}

/** A leaf of the base as a value that no gradient flows into; half precision is widened. */
export const frozenValue = (leaf: BaseLeaf): Value =>
  isValue(leaf) ? stopGradient(widened(leaf)) : widened(leaf as Operand);
