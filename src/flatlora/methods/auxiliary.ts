/**
 * LoRA with auxiliary arrays: what Bi-LoRA, EFMLoRA, GGPO and MGPO have in common.
 *
 * Each perturbs the weight in training by something that it remembers from earlier steps. What must be
 * remembered stands beside A and B in the tree of trained parameters, because there the loss sees it,
 * checkpoints keep it, and it is a function of the step like all else. But it is not trained: the
 * user's optimiser gets A and B alone, and a rule of the method's own gives the next auxiliary arrays.
 * Merged weights, evaluation and saved adapters are plain LoRA's.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  FlatloraError,
  foldIn,
  type HostArray,
  hostArray,
  type Key,
  key,
  type LinearOperator,
  type LossContext,
  type Shape,
  sub,
  type Value,
} from '../../autodiff/index.js';
import type { GradientTransformation, UpdateContext } from '../../optimisers/index.js';
import type {
  AdapterMethod,
  Layer,
  LayerAdapter,
  LayerAdapters,
  LayerMethod,
  TrainingLength,
} from '../adapterMethod.js';
import { isAuxiliary } from '../auxiliaryNames.js';
import { layerId } from '../layerNames.js';
import { layerwise } from '../layerwise.js';
import { type LoraOptions, type LoraPart, lora, loraLayer } from './lora.js';

/** Arrays of all layers: by the path of the weight matrix, then by their names. */
export type LayerTree<L = Value> = Readonly<Record<string, Readonly<Record<string, L>>>>;

/** What a rule may look at after a step's gradient is known. */
export interface RuleInput {
  /** Everything as it was before the step, auxiliary arrays included. */
  readonly params: LayerTree;
  readonly gradients: LayerTree;
  readonly state: readonly unknown[];
  readonly context: UpdateContext;
}

/** How auxiliary arrays go on from step to step. */
export interface AuxiliaryRule {
  /** Entries of the optimiser's state that are the rule's. */
  readonly stateSize: number;
  readonly init: (params: LayerTree<HostArray>) => readonly unknown[];
  /** The auxiliary arrays of the next step. */
  readonly next: (input: RuleInput) => {
    readonly auxiliary: LayerTree;
    readonly state: readonly unknown[];
  };
}

export interface AuxiliaryLora<K extends string> {
  readonly name: string;
  readonly lora: LoraOptions;
  /** Shapes of the auxiliary arrays for a weight [m, n] and LoRA's rank. */
  readonly shapes: (shape: readonly [number, number], rank: number) => Readonly<Record<K, Shape>>;
  /** The auxiliary arrays before the first step; zeros by default. */
  readonly start?: (shapes: Readonly<Record<K, Shape>>, key: Key) => Readonly<Record<K, HostArray>>;
  /** The weight in training; otherwise it is LoRA's. */
  readonly perturbed: (
    layer: Layer,
    adapter: LayerAdapter<LoraPart | K, Value>,
    context: LossContext,
  ) => LinearOperator;
  readonly rule: (inner: GradientTransformation, run: TrainingLength) => AuxiliaryRule;
}

/** The arrays whose names pass a test, layer by layer. */
const pick = <L>(tree: LayerTree<L>, wanted: (part: string) => boolean): LayerTree<L> =>
  Object.fromEntries(
    Object.entries(tree).map(([path, layer]) => [
      path,
      Object.fromEntries(Object.entries(layer).filter(([part]) => wanted(part))),
    ]),
  );

/** A number > 0 or a typed error. */
export function requirePositive(name: string, argument: string, x: number): void {
  if (!(Number.isFinite(x) && x > 0)) {
    throw new FlatloraError('argument', `${name}: ${argument} is ${x}, expected a number > 0`);
  }
}

/** A number < 1 or a typed error. */
export function requireBelowOne(name: string, argument: string, x: number): void {
  if (!(x < 1)) {
    throw new FlatloraError('argument', `${name}: ${argument} is ${x}, expected a number < 1`);
  }
}

/** A and B alone. */
export const trainedParts = <L>(tree: LayerTree<L>): LayerTree<L> =>
  pick(tree, (part) => !isAuxiliary(part));

/** A new record of arrays for each layer. */
export const mapLayers = <L, M>(
  f: (layer: Readonly<Record<string, L>>, path: string) => Readonly<Record<string, M>>,
  tree: LayerTree<L>,
): LayerTree<M> =>
  Object.fromEntries(Object.entries(tree).map(([path, layer]) => [path, f(layer, path)]));

/** The parameters as layers that have these arrays, or a typed error. */
function requireParts<L>(name: string, tree: unknown, parts: readonly string[]): LayerTree<L> {
  for (const [path, layer] of Object.entries((tree ?? {}) as LayerTree<L>)) {
    const given = Object.keys(layer ?? {}).sort();
    if (given.join() !== [...parts].sort().join()) {
      throw new FlatloraError(
        'tree',
        `${name}: "${path}" has ${given.join(', ')}, expected ${parts.join(', ')}: the adapters that init made`,
      );
    }
  }
  return tree as LayerTree<L>;
}

/** The user's optimiser for A and B, the rule for the rest. */
function withRule(
  name: string,
  parts: readonly string[],
  inner: GradientTransformation,
  rule: AuxiliaryRule,
): GradientTransformation {
  const { stateSize, update: _, init: __, ...about } = inner;
  return {
    ...about,
    stateSize: stateSize + rule.stateSize,
    init: (params) => {
      const layers = requireParts<HostArray>(name, params, parts);
      return [...inner.init(trainedParts(layers)), ...rule.init(layers)];
    },
    update: <P>(gradients: P, state: readonly unknown[], params: P, context: UpdateContext) => {
      const [g, p] = [gradients, params].map((t) => requireParts<Value>(name, t, parts)) as [
        LayerTree,
        LayerTree,
      ];
      const trained = inner.update(
        trainedParts(g),
        state.slice(0, stateSize),
        trainedParts(p),
        context,
      );
      const own = rule.next({ params: p, gradients: g, state: state.slice(stateSize), context });
      const updates = mapLayers((layer, path) => {
        const changes = Object.entries(own.auxiliary[path] ?? {}).map(
          ([part, next]) => [part, sub(next, layer[part] as Value)] as const,
        );
        return { ...trained.updates[path], ...Object.fromEntries(changes) };
      }, p);
      return { updates: updates as P, state: [...trained.state, ...own.state] };
    },
  };
}

/** Zeros in float32. */
export const zeroArray = (shape: Shape): HostArray =>
  hostArray(new Float32Array(shape.reduce((n, d) => n * d, 1)), shape);

const zerosOf = <K extends string>(
  shapes: Readonly<Record<K, Shape>>,
): Readonly<Record<K, HostArray>> =>
  Object.fromEntries(
    Object.entries<Shape>(shapes).map(([part, shape]) => [part, zeroArray(shape)]),
  ) as Readonly<Record<K, HostArray>>;

/** A method from its perturbed weight and its rule. */
export function auxiliaryLora<K extends string>({
  name,
  lora: options,
  shapes,
  start = zerosOf,
  perturbed,
  rule,
}: AuxiliaryLora<K>): AdapterMethod<LayerAdapters<LoraPart | K>> {
  const [plain, layer] = [lora(options), loraLayer(options)];
  const { rank = 8 } = options;
  const named = Object.keys(shapes([rank, rank], rank)) as K[];
  const parts = ['a', 'b', ...named];
  const same = <T>(of: (part: K) => T) =>
    Object.fromEntries(named.map((part) => [part, of(part)])) as Readonly<Record<K, T>>;
  const method: LayerMethod<LoraPart | K> = {
    ...layer,
    name,
    shapes: (shape) => ({ ...layer.shapes(shape), ...shapes(shape, rank) }),
    init: (weight, from, path) => {
      const auxiliary = start(shapes(weight.shape as [number, number], rank), foldIn(from, 1));
      return { adapter: { ...layer.init(weight, from, path).adapter, ...auxiliary } };
    },
    effective: (at, adapter, context) =>
      context.training ? perturbed(at, adapter, context) : layer.effective(at, adapter, context),
    learningRates: { ...layer.learningRates, ...same(() => 1) },
    optimiser: (inner, run) => withRule(name, parts, inner, rule(inner, run)),
    savedNames: { ...layer.savedNames, ...same((part) => part) },
  };
  type Adapters = LayerAdapters<LoraPart | K>;
  return {
    ...layerwise(method),
    toArrays: (adapters) =>
      plain.toArrays(trainedParts(adapters as LayerTree<HostArray>) as LayerAdapters<LoraPart>),
    // Of a saved adapter the auxiliary arrays start anew, from a key of the layer's name alone.
    fromArrays: (base, arrays) =>
      pipe(
        plain.fromArrays(base, arrays),
        E.map(
          (adapters) =>
            mapLayers(
              (pair, path) => {
                const shape = [pair.b?.shape[0], pair.a?.shape[1]] as [number, number];
                return { ...pair, ...start(shapes(shape, rank), foldIn(key(0), layerId(path))) };
              },
              adapters as LayerTree<HostArray>,
            ) as Adapters,
        ),
      ),
  };
}
