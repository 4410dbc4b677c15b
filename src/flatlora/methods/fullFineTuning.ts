/** Full fine-tuning as a fine-tuning method: the parameters are the weights themselves. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  dtypeOfHost,
  fail,
  flatten,
  type HostArray,
  isHalf,
  type LossContext,
  type MapLeaves,
  type Result,
  sameShape,
  showShape,
  showTreeShape,
  toFloat,
  treeMap,
  unflatten,
  type Value,
} from '../../autodiff/index.js';
import type { AdapterMethod, NamedArrays } from '../adapterMethod.js';
import { type BaseLeaf, shown } from '../frozen.js';
import { distinctLayerIds } from '../layerNames.js';
import { isMatrix, selectTargets, type Target } from '../targets.js';

export interface FullFineTuningOptions {
  /**
   * The matrices whose role is `adapted`, that is, which `flat` and `sam` perturb; by default every
   * matrix. All weights are trained in any case.
   */
  readonly targetModules?: readonly Target[];
}

/** Trees of one form with arrays of equal shapes, or the first difference. */
function alike(base: unknown, weights: unknown): Result<void> {
  const [a, b] = [flatten<BaseLeaf>(base), flatten<BaseLeaf>(weights)];
  if (showTreeShape(a.shape) !== showTreeShape(b.shape)) {
    return fail('tree', 'fullFineTuning: the trained weights do not form the tree of the base');
  }
  const odd = a.leaves.findIndex((x, i) => !sameShape(x.shape, (b.leaves[i] as BaseLeaf).shape));
  return odd < 0
    ? E.right(undefined)
    : fail(
        'shape',
        `fullFineTuning: "${a.paths[odd]}" is ${showShape((b.leaves[odd] as BaseLeaf).shape)}, expected ${showShape((a.leaves[odd] as BaseLeaf).shape)}`,
      );
}

/** The weights to train: the base itself, or a copy in which half precision is float32. */
function trainable(base: unknown): unknown {
  const inHalf = (x: HostArray) => isHalf(dtypeOfHost(x));
  return flatten<HostArray>(base).leaves.some(inHalf)
    ? treeMap((x: HostArray) => (inHalf(x) ? toFloat(x) : x), base)
    : base;
}

/** All weights trained; `H` is the tree of weights. Those in half precision are trained in float32. */
export function fullFineTuning<H = unknown>({
  targetModules,
}: FullFineTuningOptions = {}): AdapterMethod<H> {
  const targets = (base: unknown): Result<readonly string[]> => {
    const { leaves, paths } = flatten<BaseLeaf>(base);
    return pipe(
      targetModules === undefined
        ? E.right(paths.filter((_, i) => isMatrix(leaves[i] as BaseLeaf)))
        : selectTargets(base, targetModules),
      E.chainFirst(() => distinctLayerIds(paths)),
    );
  };
  const instead = (base: unknown, weights: unknown) =>
    pipe(
      alike(base, weights),
      E.map(() => weights),
    );
  return {
    name: 'full fine-tuning',
    targets,
    init: (base) =>
      pipe(
        targets(base),
        E.map(() => ({ adapters: trainable(base) as H, base })),
      ),
    effective: (base) =>
      pipe(
        targets(base),
        E.map((paths) => {
          const adapted = new Set(paths);
          return (weights: MapLeaves<H, Value>, context: LossContext) =>
            treeMap(
              (x: Value, name: string) =>
                shown(context, x, name, adapted.has(name) ? 'adapted' : 'frozen'),
              weights as unknown,
            );
        }),
      ),
    optimiser: (inner) => inner,
    merge: <Base>(base: Base, weights: H) => instead(base, weights) as Result<Base>,
    unmerge: () =>
      fail('argument', 'fullFineTuning: the base cannot be found again from trained weights'),
    toArrays: (weights) => {
      const { leaves, paths } = flatten<HostArray>(weights);
      return Object.fromEntries(leaves.map((leaf, i) => [paths[i] as string, leaf]));
    },
    fromArrays: (base: unknown, arrays: NamedArrays) => {
      const { shape, paths } = flatten<BaseLeaf>(base);
      const missing = paths.find((path) => arrays[path] === undefined);
      if (missing !== undefined) {
        return fail('checkpoint', `fullFineTuning: array "${missing}" is missing`);
      }
      const foreign = Object.keys(arrays).find((name) => !paths.includes(name));
      if (foreign !== undefined) {
        return fail('checkpoint', `fullFineTuning: array "${foreign}" belongs to no weight`);
      }
      const weights = unflatten<H>(
        shape,
        paths.map((path) => arrays[path]),
      );
      return instead(base, weights) as Result<H>;
    },
  };
}
