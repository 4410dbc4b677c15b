/**
 * Weights are plain trees: `blocks.0.attention.query.weight` is where that matrix stands. The same
 * interface describes them on the host, on a device and inside a traced function; only the type of
 * the leaves differs.
 *
 * - `V` is a leaf: `HostArray` as `init…` makes it, `Value` while tracing.
 * - `M` is a weight matrix of a linear layer. While tracing it may also be a `LinearOperator`, which
 *   is how LoRA puts W + s·B·A where W stood; layers only ever ask what it does to a vector.
 */
import {
  dtypeOfHost,
  flatten,
  foldInTraced,
  type HalfPrecision,
  type HostArray,
  lift,
  type Operand,
  sizeOf,
  toHalf,
  treeMap,
  type Value,
  type Weight,
} from '../autodiff/index.js';

/** What stands for a weight matrix in a tree with leaves `V`. */
export type MatrixOf<V> = V extends Value ? Weight : V;

/** How a model is run. */
export interface RunOptions {
  /** The key of the dropout masks; without one nothing is dropped, as in evaluation. */
  readonly key?: Operand | undefined;
}

/** A key, or `undefined` where nothing is random. */
export type MaybeKey = Value | undefined;

/** The key of a run as a value. */
export const keyOf = ({ key }: RunOptions): MaybeKey => (key === undefined ? undefined : lift(key));

/** Key number `n` of a key, where there is one. Unused ones leave nothing on the tape. */
export const childKey = (key: MaybeKey, n: number): MaybeKey =>
  key === undefined ? undefined : foldInTraced(key, n);

/** Tables of which rows are read; every other matrix is a linear layer's. */
const TABLE = /(^|\.)(tokenEmbedding|positionEmbedding|relativeBias)(\.|$)/;

/** Whether `storeAs` keeps a matrix as it is because it is a table of which rows are read. */
export const isTable = (path: string): boolean => TABLE.test(path);

/**
 * Weights to be stored at half the size: the matrices of linear layers, each number rounded to the
 * nearest. Norms, biases and tokens stay as they are, and so do embeddings unless asked for. Layers
 * and `adapt` take such trees as they take others.
 *
 *     const frozen = storeAs('bfloat16')(weights);
 */
export const storeAs =
  (precision: HalfPrecision, { embeddings = false }: { readonly embeddings?: boolean } = {}) =>
  <W>(weights: W): W =>
    treeMap(
      (x: HostArray, path) =>
        x.shape.length === 2 && dtypeOfHost(x) === 'float' && (embeddings || !isTable(path))
          ? toHalf(x, precision)
          : x,
      weights,
    ) as W;

/** The path of every array in a tree of weights, such as `blocks.0.attention.query.weight`. */
export const parameterNames = (weights: unknown): readonly string[] => flatten(weights).paths;

/** How many numbers a tree of weights holds. */
export const parameterCount = (weights: unknown): number =>
  flatten<HostArray>(weights).leaves.reduce((n, { shape }) => n + sizeOf(shape), 0);
