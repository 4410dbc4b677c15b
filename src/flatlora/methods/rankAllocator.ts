/**
 * AdaLoRA's allocator as part of an optimiser: it lets the user's optimiser have its step, averages the
 * importance of every number, and sets the E of directions outside the budget to 0. Its averages are
 * arrays of the optimiser's state.
 */
import {
  add,
  equal,
  FlatloraError,
  type HostArray,
  reshape,
  select,
  sub,
  type Value,
} from '../../autodiff/index.js';
import type { GradientTransformation, UpdateContext } from '../../optimisers/index.js';
import { zerosLikeParams } from '../../optimisers/transformation.js';
import type { LayerAdapters } from '../adapterMethod.js';
import {
  averaged,
  best,
  budgetAt,
  directionScores,
  type Importance,
  type Timetable,
} from './rankBudget.js';

/** The trained arrays of a layer: A [r₀, n], B [m, r₀], E [r₀, 1]. */
export type AdaLoraPart = 'a' | 'b' | 'e';

export type AdaLayers<L = Value> = LayerAdapters<AdaLoraPart, L>;
type Importances<L = Value> = Readonly<
  Record<string, Readonly<Record<AdaLoraPart, Importance<L>>>>
>;

const PARTS: readonly AdaLoraPart[] = ['a', 'b', 'e'];

/** The layers of a tree, or a typed error. */
function requireLayers<L>(tree: unknown): AdaLayers<L> {
  for (const [path, layer] of Object.entries((tree ?? {}) as Record<string, object>)) {
    if (Object.keys(layer).sort().join() !== PARTS.join()) {
      throw new FlatloraError(
        'tree',
        `adaLora: "${path}" has ${Object.keys(layer).join(', ')}, expected a, b, e: the adapters that init made`,
      );
    }
  }
  return tree as AdaLayers<L>;
}

export interface AllocatorOptions {
  /** r: the mean number of directions of a layer at the end. */
  readonly rank: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly timetable: Timetable;
}

/** What the allocator makes of an optimiser. */
export function allocating(
  inner: GradientTransformation,
  { rank, beta1, beta2, timetable }: AllocatorOptions,
): GradientTransformation {
  const { stateSize, init: _, update: __, ...about } = inner;
  return {
    ...about,
    stateSize: stateSize + 1,
    init: (params) => {
      const layers = requireLayers<HostArray>(params);
      const zeros = (x: HostArray) => zerosLikeParams(x) as HostArray;
      const importances = mapParts(
        (x) => ({ sensitivity: zeros(x), uncertainty: zeros(x) }),
        layers,
      );
      return [...inner.init(params), importances];
    },
    update: <P>(gradients: P, state: readonly unknown[], params: P, context: UpdateContext) => {
      const moved = inner.update(gradients, state.slice(0, stateSize), params, context);
      const [p, g, u] = [params, gradients, moved.updates].map((t) => requireLayers<Value>(t)) as [
        AdaLayers,
        AdaLayers,
        AdaLayers,
      ];
      const old = state[stateSize] as Importances;
      const paths = Object.keys(p);
      const all = paths.reduce((sum, path) => sum + (p[path]?.e.shape[0] as number), 0);
      const budget = budgetAt(context.step, timetable, all, rank * paths.length);
      const importances: Importances = mapParts((w, path, part) => {
        const before = old[path]?.[part] as Importance;
        const after = averaged(
          before,
          add(w, u[path]?.[part] as Value),
          g[path]?.[part] as Value,
          beta1,
          beta2,
        );
        const kept = (key: keyof Importance) => select(budget.learns, after[key], before[key]);
        return { sensitivity: kept('sensitivity'), uncertainty: kept('uncertainty') };
      }, p);
      const stays = best(
        paths.map((path) => directionScores(importances[path] as Importances[string])),
        budget.directions,
      );
      const updates = Object.fromEntries(
        paths.map((path, i) => {
          const [w, change] = [p[path]?.e as Value, u[path]?.e as Value];
          const mask = reshape(select(budget.applies, stays[i] as Value, 1), w.shape);
          return [path, { ...u[path], e: select(equal(mask, 0), sub(0, w), change) }];
        }),
      );
      return { updates: updates as P, state: [...moved.state, importances] };
    },
  };
}

/** A value for each array of each layer. */
const mapParts = <L, M>(
  f: (x: L, path: string, part: AdaLoraPart) => M,
  layers: AdaLayers<L>,
): Readonly<Record<string, Readonly<Record<AdaLoraPart, M>>>> =>
  Object.fromEntries(
    Object.entries(layers).map(([path, layer]) => [
      path,
      { a: f(layer.a, path, 'a'), b: f(layer.b, path, 'b'), e: f(layer.e, path, 'e') },
    ]),
  );
