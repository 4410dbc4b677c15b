/** From a method for one weight matrix to a method for a tree of weights. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  fail,
  flatten,
  foldIn,
  type HostArray,
  type LossContext,
  type MapLeaves,
  orThrow,
  type Result,
  sameShape,
  showShape,
  treeMap,
  type Value,
} from '../autodiff/index.js';
import { chain, scaleByMultipliers } from '../optimisers/index.js';
import type {
  AdapterMethod,
  LayerAdapter,
  LayerAdapters,
  LayerMethod,
  NamedArrays,
} from './adapterMethod.js';
import { type BaseLeaf, frozenOperators, frozenValue, shown } from './frozen.js';
import { distinctLayerIds, layerId } from './layerNames.js';
import { nearMatches } from './nearMatches.js';
import { moduleName, selectTargets } from './targets.js';

const SAVED_PREFIX = 'base_model.model.';

type MatrixShape = readonly [number, number];

export function layerwise<K extends string>(
  method: LayerMethod<K>,
): AdapterMethod<LayerAdapters<K>> {
  type Host = LayerAdapters<K>;

  const shapesIn = (base: unknown) => {
    const { leaves, paths } = flatten<BaseLeaf>(base);
    return new Map(paths.map((path, i) => [path, (leaves[i] as BaseLeaf).shape as MatrixShape]));
  };

  const targets = (base: unknown): Result<readonly string[]> =>
    pipe(
      selectTargets(base, method.targetModules),
      E.chainFirst(() => distinctLayerIds(flatten(base).paths)),
      E.chainFirst((paths) => {
        const shapes = shapesIn(base);
        return pipe(
          paths,
          E.traverseArray((path) => method.check(path, shapes.get(path) as MatrixShape)),
        );
      }),
    );

  /** The problem with adapters that do not belong to the base, if there is one. */
  const fitting = (base: unknown, adapters: LayerAdapters<K, { shape: readonly number[] }>) =>
    pipe(
      targets(base),
      E.chainFirst((paths): Result<void> => {
        const shapes = shapesIn(base);
        const foreign = Object.keys(adapters).find((path) => !paths.includes(path));
        if (foreign !== undefined) {
          return fail('tree', `${method.name}: adapter "${foreign}" stands on no target module`);
        }
        for (const path of paths) {
          const expected = method.shapes(shapes.get(path) as MatrixShape);
          for (const part of Object.keys(expected) as K[]) {
            const given = adapters[path]?.[part];
            if (given === undefined || !sameShape(given.shape, expected[part])) {
              return fail(
                given === undefined ? 'tree' : 'shape',
                `${method.name}: adapter "${path}.${part}" is ${given === undefined ? 'missing' : showShape(given.shape)}, expected ${showShape(expected[part])}`,
              );
            }
          }
        }
        return E.right(undefined);
      }),
    );

  /** The base with a function of weight and adapter applied at each target. */
  const rewritten = <Base>(
    base: Base,
    adapters: Host,
    rewrite: (weight: HostArray, adapter: LayerAdapter<K, HostArray>) => HostArray,
  ): Result<Base> =>
    pipe(
      fitting(base, adapters),
      E.map(
        () =>
          treeMap((leaf: HostArray, path) => {
            const adapter = adapters[path];
            return adapter === undefined ? leaf : rewrite(leaf, adapter);
          }, base) as Base,
      ),
    );

  /** The first layer that the method cannot start on, if there is one. */
  const ready = (base: unknown, paths: readonly string[]): Result<unknown> => {
    const { leaves, paths: all } = flatten<HostArray>(base);
    return pipe(
      paths,
      E.traverseArray(
        (path) =>
          method.ready?.(path, leaves[all.indexOf(path)] as HostArray) ?? E.right(undefined),
      ),
    );
  };

  const savedName = (path: string, part: K) =>
    `${SAVED_PREFIX}${moduleName(path)}.${method.savedNames[part]}`;

  return {
    name: method.name,
    targets,
    init: <Base>(base: Base, key: Parameters<LayerMethod<K>['init']>[1]) =>
      pipe(
        targets(base),
        E.chainFirst((paths) => ready(base, paths)),
        E.map((paths) => {
          const adapters: Record<string, LayerAdapter<K, HostArray>> = {};
          const changed = treeMap((leaf: HostArray, path) => {
            if (!paths.includes(path)) return leaf;
            const { adapter, weight } = method.init(leaf, foldIn(key, layerId(path)), path);
            adapters[path] = adapter;
            return weight ?? leaf;
          }, base) as Base;
          return { adapters, base: changed };
        }),
      ),
    effective: (base) =>
      pipe(
        targets(base),
        E.map((paths) => {
          const frozen = frozenOperators(base, paths);
          return (adapters: MapLeaves<Host, Value>, context: LossContext) => {
            const given = adapters as unknown as LayerAdapters<K, Value>;
            orThrow(fitting(base, given));
            return treeMap((leaf: BaseLeaf, name) => {
              const operator = frozen[name];
              if (operator === undefined) return shown(context, frozenValue(leaf), name, 'frozen');
              const layer = { name, frozen: operator() };
              const adapter = given[name] as LayerAdapter<K, Value>;
              return shown(context, method.effective(layer, adapter, context), name, 'adapted');
            }, base);
          };
        }),
      ),
    optimiser: (inner, run) => {
      const own = method.optimiser?.(inner, run) ?? inner;
      const factors: Readonly<Record<string, number>> = method.learningRates;
      const factorOf = (path: string) => factors[path.slice(path.lastIndexOf('.') + 1)] as number;
      return Object.values(factors).every((factor) => factor === 1)
        ? own
        : chain(own, scaleByMultipliers(factorOf));
    },
    ...(method.penalty && {
      penalty: method.penalty as unknown as (adapters: MapLeaves<Host, Value>) => Value,
    }),
    merge: (base, adapters) => rewritten(base, adapters, method.merge),
    unmerge: (merged, adapters) =>
      method.unmerge === undefined
        ? fail(
            'argument',
            `${method.name}: the base cannot be found again from merged weights; keep it`,
          )
        : rewritten(merged, adapters, method.unmerge),
    toArrays: (adapters) =>
      Object.fromEntries(
        Object.entries(adapters).flatMap(([path, adapter]) =>
          (Object.keys(adapter) as K[]).map((part) => [savedName(path, part), adapter[part]]),
        ),
      ),
    fromArrays: (base: unknown, arrays: NamedArrays): Result<Host> =>
      pipe(
        targets(base),
        E.chain((paths) => {
          const parts = Object.keys(method.savedNames) as K[];
          const known = paths.flatMap((path) => parts.map((part) => savedName(path, part)));
          const foreign = Object.keys(arrays).find((name) => !known.includes(name));
          if (foreign !== undefined) {
            return fail(
              'checkpoint',
              `${method.name}: array "${foreign}" belongs to no target module; near matches: ${nearMatches(foreign, known).join(', ')}`,
            );
          }
          const adapters = Object.fromEntries(
            paths.map((path) => [
              path,
              Object.fromEntries(parts.map((part) => [part, arrays[savedName(path, part)]])),
            ]),
          ) as Host;
          return pipe(
            fitting(base, adapters),
            E.map(() => adapters),
          );
        }),
      ),
  };
}
