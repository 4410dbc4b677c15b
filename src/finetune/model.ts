/** A model folder, opened for a task: what is needed before and beside its weights. */
import path from 'node:path';
import ndarray from 'ndarray';
import {
  Bfloat16Bits,
  dtypeOfHost,
  Float16Bits,
  flatten,
  type HostArray,
  isHostArray,
  orThrow,
  type Shape,
  toFloat,
  toHalf,
  treeMap,
} from '../autodiff/index.js';
import { mergePeft, type Place, treeOfPaths } from '../huggingface/index.js';
import {
  loadAdapter,
  loadTokenizer,
  type OpenedModel,
  placeModel,
  readJson,
} from '../huggingface/node/index.js';
import { type Backend, wasmBackend } from '../kernels/index.js';
import { chooseNodeBackend, nodeBackendByName } from '../kernels/node.js';
import {
  canQuantise,
  isTable,
  type Quantisation,
  type QuantisedMatrix,
  quantise,
  quantisedShapes,
  storeAs,
} from '../models/index.js';
import type { FinetuneSettings } from './settings.js';
import type { ModelAids } from './tasks/index.js';

const idOf = (x: unknown): number | undefined =>
  typeof x === 'number' ? x : Array.isArray(x) && typeof x[0] === 'number' ? x[0] : undefined;

/** The tokens that a model has positions for. */
const positionsOf = (config: unknown): number => {
  const { maxLength } = config as { readonly maxLength?: unknown };
  return typeof maxLength === 'number' ? maxLength : Number.POSITIVE_INFINITY;
};

/** What tasks ask of a model folder; texts are never longer than the model takes. */
export function aidsOf(
  folder: string,
  { config, json }: OpenedModel,
  limits: ModelAids['limits'],
): ModelAids {
  const fields = json as Readonly<Record<string, unknown>>;
  const names = fields.id2label as Readonly<Record<string, string>> | null | undefined;
  return {
    config,
    limits: { ...limits, maxLength: Math.min(limits.maxLength, positionsOf(config)) },
    tokenizer: async () => orThrow(await loadTokenizer(folder)()),
    preprocessor: async () =>
      orThrow(await readJson(path.join(folder, 'preprocessor_config.json'))()),
    classes:
      names == null
        ? undefined
        : Object.keys(names)
            .sort((a, b) => Number(a) - Number(b))
            .map((position) => names[position] as string),
    endToken: idOf(fields.eos_token_id),
    padToken: idOf(fields.pad_token_id),
  };
}

type Precision = FinetuneSettings['precision'];

/** What is kept of an array: itself, or a quantised matrix. */
type Kept = HostArray | QuantisedMatrix<HostArray>;

const isQuantisation = (precision: Precision): precision is Quantisation =>
  precision === 'int8' || precision === 'nf4';

/** The precision that a matrix of linear layers is kept in; everything else is float32. */
const precisionOf = (precision: Precision, shape: Shape, path: string): Precision => {
  if (shape.length !== 2 || isTable(path)) return 'float32';
  return isQuantisation(precision) && !canQuantise(precision, shape) ? 'float32' : precision;
};

/** An array as it is to be kept. */
const keptAs =
  (wanted: Precision) =>
  (array: HostArray, path: string): Kept => {
    const precision = precisionOf(wanted, array.shape, path);
    if (precision === 'float32') return toFloat(array);
    if (isQuantisation(precision)) return quantise(array, precision);
    return dtypeOfHost(array) === precision ? array : toHalf(toFloat(array), precision);
  };

/**
 * The weights on the host in float32 or half precision, converted tensor by tensor; with an adapter worked
 * in where one is given.
 * @param opened with its halves kept (`keepHalf`), or they are widened first
 */
export async function hostWeights(
  opened: OpenedModel,
  {
    precision = 'float32',
    adapter,
  }: { readonly precision?: Exclude<Precision, Quantisation>; readonly adapter?: string } = {},
): Promise<unknown> {
  const first = adapter === undefined ? precision : 'float32';
  const weights = orThrow(await placeModel(opened, keptAs(first))());
  if (adapter === undefined) return weights;
  const merged = orThrow(mergePeft(weights, orThrow(await loadAdapter(adapter, opened)())));
  return precision === 'float32' ? merged : storeAs(precision)(merged);
}

type Hollow = Float32Array | Uint32Array | Bfloat16Bits | Float16Bits;

/** An array that has a shape and no memory: every element is the same zero. */
const hollowArray = (data: Hollow, shape: Shape): HostArray =>
  ndarray(
    data,
    [...shape],
    shape.map(() => 0),
  ) as HostArray;

/** What would be kept of an array of this shape, without numbers. */
export function hollowKept(wanted: Precision, shape: Shape, path: string): Kept {
  const precision = precisionOf(wanted, shape, path);
  switch (precision) {
    case 'float32':
      return hollowArray(new Float32Array(1), shape);
    case 'bfloat16':
      return hollowArray(new Bfloat16Bits(1), shape);
    case 'float16':
      return hollowArray(new Float16Bits(1), shape);
    default: {
      const { words, scales } = quantisedShapes(precision, shape as readonly [number, number]);
      const packed = hollowArray(new Uint32Array(1), words);
      const factors = hollowArray(new Float32Array(1), scales);
      return precision === 'nf4'
        ? { nf4: packed, scales: factors }
        : { int8: packed, scales: factors };
    }
  }
}

/** A tree with the shapes of a model's arrays, as methods look at them: matrices that stay whole. */
export const hollowModel = (places: readonly Place[], wanted: Precision): unknown =>
  treeOfPaths(
    places.map(({ path, shape }) => [
      path,
      hollowKept(isQuantisation(wanted) ? 'float32' : wanted, shape, path),
    ]),
  );

/**
 * The weights on a device, read, converted and uploaded tensor by tensor, so that no more than one lies on
 * the host.
 */
export const placedWeights = async (
  opened: OpenedModel,
  precision: Precision,
  backend: Backend,
): Promise<unknown> => {
  const kept = keptAs(precision);
  return orThrow(
    await placeModel(opened, (array, path) =>
      treeMap((leaf: HostArray) => backend.upload(leaf), kept(array, path)),
    )(),
  );
};

/** Uploads every array of a tree. */
export const uploaded = (backend: Backend, tree: unknown): unknown =>
  treeMap((leaf: HostArray) => backend.upload(leaf), tree);

/** Numbers of a tree of host arrays. */
export const numbersIn = (tree: unknown): number =>
  flatten<unknown>(tree).leaves.reduce<number>((n, x) => n + (isHostArray(x) ? x.size : 0), 0);

/** A backend by name, or the fastest that works here, and why. */
export async function openBackend(
  name: string | undefined,
  threads?: number,
): Promise<{ readonly backend: Backend; readonly reason: string }> {
  if (threads !== undefined && (name === undefined || name === 'wasm')) {
    return { backend: await wasmBackend({ threads }), reason: `${threads} threads asked for` };
  }
  return name === undefined
    ? chooseNodeBackend()
    : { backend: await nodeBackendByName(name), reason: 'asked for by name' };
}
