/**
 * What a fine-tuning method is: which parameters it trains, and which weights they stand for.
 *
 * LoRA, its variants and full fine-tuning are values of one interface, so that the loss transformers
 * (`flat`, `sam`), training, merging and saving treat them alike. Variants that re-parametrise one
 * weight matrix at a time are written as a `LayerMethod` and lifted with `layerwise`.
 */
import type {
  HostArray,
  Key,
  LinearOperator,
  LossContext,
  MapLeaves,
  Result,
  Shape,
  Value,
} from '../autodiff/index.js';
import type { GradientTransformation } from '../optimisers/index.js';
import type { Target } from './targets.js';

/** What `init` gives: the parameters to train, and the frozen weights that they belong to. */
export interface Adaptation<H, Base> {
  readonly adapters: H;
  /** The given base itself unless the method changes it (PiSSA subtracts what it moves into B·A). */
  readonly base: Base;
}

/** How long training is going to be, for methods that follow a timetable. */
export interface TrainingLength {
  readonly totalSteps: number;
}

/** Named arrays of a file. */
export type NamedArrays = Readonly<Record<string, HostArray>>;

/** Effective weights for trained parameters: a tree like the base, operators where adapters stand. */
export type EffectiveWeights<H> = (adapters: MapLeaves<H, Value>, context: LossContext) => unknown;

/**
 * A fine-tuning method; `H` is the tree of its trained parameters on the host. Wherever a base is
 * taken, the result is a problem when the method does not fit it.
 */
export interface AdapterMethod<H> {
  readonly name: string;
  /** The paths of the weight matrices whose role is `adapted`. */
  readonly targets: (base: unknown) => Result<readonly string[]>;
  readonly init: <Base>(base: Base, key: Key) => Result<Adaptation<H, Base>>;
  /**
   * Prepares what is computed once (the frozen weights' row norms), and gives the traceable map from
   * trained parameters to the weights that the model sees. Leaves of the base are host arrays, which
   * become constants, or values.
   */
  readonly effective: (base: unknown) => Result<EffectiveWeights<H>>;
  /**
   * The optimiser that training with this method needs, made of the one that the user chose: factors
   * on the learning rate (LoRA+), projected moments (LoRA-Pro), a budget (AdaLoRA). Most methods give
   * the optimiser back as it is.
   */
  readonly optimiser: (
    inner: GradientTransformation,
    run: TrainingLength,
  ) => GradientTransformation;
  /** What the method adds to the loss in training, such as AdaLoRA's orthogonality term. */
  readonly penalty?: (adapters: MapLeaves<H, Value>) => Value;
  /**
   * The base with the adapters worked in: weights of the plain model. Where a weight in half precision
   * changes it comes out as float32, unrounded.
   */
  readonly merge: <Base>(base: Base, adapters: H) => Result<Base>;
  /** The base back from merged weights, up to rounding. */
  readonly unmerge: <Base>(merged: Base, adapters: H) => Result<Base>;
  /** The adapters under the names by which they are saved, and back. */
  readonly toArrays: (adapters: H) => NamedArrays;
  readonly fromArrays: (base: unknown, arrays: NamedArrays) => Result<H>;
}

/** One adapted weight matrix inside a traced function. */
export interface Layer {
  /** Its path, such as `blocks.0.attention.query.weight`. */
  readonly name: string;
  /** The frozen W, [m, n], as an operator that knows its row norms. */
  readonly frozen: LinearOperator;
}

/** The trained arrays of one layer, by their names `K`. */
export type LayerAdapter<K extends string, A> = Readonly<Record<K, A>>;

/** The adapters of a layerwise method: by the path of the weight matrix. */
export type LayerAdapters<K extends string, A = HostArray> = Readonly<
  Record<string, LayerAdapter<K, A>>
>;

/** A re-parametrisation of one weight matrix. */
export interface LayerMethod<K extends string> {
  readonly name: string;
  readonly targetModules: readonly Target[];
  /** Whether the method's options are in range and fit a weight of this shape. */
  readonly check: (path: string, shape: readonly [number, number]) => Result<void>;
  /** Shapes of the trained arrays for a weight [m, n]. */
  readonly shapes: (shape: readonly [number, number]) => Readonly<Record<K, Shape>>;
  /**
   * What a start needs besides a weight that fits, such as LoRA-GA's gradients; asked before `init`
   * and never when trained adapters are read.
   */
  readonly ready?: (path: string, weight: HostArray) => Result<void>;
  /** The trained arrays at the start, and the new W where the method changes it. */
  readonly init: (
    weight: HostArray,
    key: Key,
    path: string,
  ) => { readonly adapter: LayerAdapter<K, HostArray>; readonly weight?: HostArray };
  /** The weight that the layer applies. */
  readonly effective: (
    layer: Layer,
    adapter: LayerAdapter<K, Value>,
    context: LossContext,
  ) => LinearOperator;
  /** Factors on the learning rate, such as LoRA+'s for B. A factor of 0 freezes an array. */
  readonly learningRates: Readonly<Record<K, number>>;
  /** More than factors: see `AdapterMethod.optimiser`; the trees are the adapters of all layers. */
  readonly optimiser?: (
    inner: GradientTransformation,
    run: TrainingLength,
  ) => GradientTransformation;
  /** See `AdapterMethod.penalty`. */
  readonly penalty?: (adapters: LayerAdapters<K, Value>) => Value;
  readonly merge: (weight: HostArray, adapter: LayerAdapter<K, HostArray>) => HostArray;
  /** Left out where the base cannot be found again from merged weights (DoRA). */
  readonly unmerge?: (weight: HostArray, adapter: LayerAdapter<K, HostArray>) => HostArray;
  /** Saved as `base_model.model.<module>.<this>`, PEFT's convention: `lora_A.weight`. */
  readonly savedNames: Readonly<Record<K, string>>;
}
