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
import { mergePeft } from '../huggingface/index.js';
import {
  loadAdapter,
  loadTokenizer,
  type OpenedModel,
  placeModel,
  readJson,
} from '../huggingface/node/index.js';
import { type Backend, type DeviceArray, wasmBackend } from '../kernels/index.js';
import { chooseNodeBackend, nodeBackendByName } from '../kernels/node.js';
import { isTable, storeAs } from '../models/index.js';
import type { FinetuneSettings } from './settings.js';
import type { ModelAids } from './tasks/index.js';

const idOf = (x: unknown): number | undefined =>
  typeof x === 'number' ? x : Array.isArray(x) && typeof x[0] === 'number' ? x[0] : undefined;

/** What tasks ask of a model folder. */
export function aidsOf(
  folder: string,
  { config, json }: OpenedModel,
  limits: ModelAids['limits'],
): ModelAids {
  const fields = json as Readonly<Record<string, unknown>>;
  const names = fields.id2label as Readonly<Record<string, string>> | null | undefined;
  return {
    config,
    limits,
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

/** An array as it is to be kept: matrices of linear layers in the precision, everything else as float32. */
const keptAs =
  (precision: Precision) =>
  (array: HostArray, path: string): HostArray => {
    const isMatrix = array.shape.length === 2 && !isTable(path);
    if (precision === 'float32' || !isMatrix) return toFloat(array);
    return dtypeOfHost(array) === precision ? array : toHalf(toFloat(array), precision);
  };

/**
 * The weights on the host in the precision that is wanted, converted tensor by tensor; with an adapter
 * worked in where one is given.
 * @param opened with its halves kept (`keepHalf`), or they are widened first
 */
export async function hostWeights(
  opened: OpenedModel,
  {
    precision = 'float32',
    adapter,
  }: { readonly precision?: Precision; readonly adapter?: string } = {},
): Promise<unknown> {
  const first = adapter === undefined ? precision : 'float32';
  const weights = orThrow(await placeModel(opened, keptAs(first))());
  if (adapter === undefined) return weights;
  const merged = orThrow(mergePeft(weights, orThrow(await loadAdapter(adapter, opened)())));
  return precision === 'float32' ? merged : storeAs(precision)(merged);
}

/** An array that has a shape and no memory: every element is the same zero. */
export function hollow(shape: Shape, dtype: Precision): HostArray {
  const data =
    dtype === 'float32'
      ? new Float32Array(1)
      : dtype === 'bfloat16'
        ? new Bfloat16Bits(1)
        : new Float16Bits(1);
  return ndarray(
    data,
    [...shape],
    shape.map(() => 0),
  ) as HostArray;
}

/**
 * The weights on a device, read and uploaded tensor by tensor, so that no more than one lies on the host;
 * and a tree of arrays with their shapes and nothing in them.
 */
export async function placedWeights(
  opened: OpenedModel,
  precision: Precision,
  backend: Backend,
): Promise<{ readonly hollow: unknown; readonly onDevice: unknown }> {
  const kept = keptAs(precision);
  const onDevice = orThrow(
    await placeModel(opened, (array, path) => backend.upload(kept(array, path)))(),
  );
  return {
    onDevice,
    hollow: treeMap(
      ({ shape, dtype }: DeviceArray) => hollow(shape, dtype === 'float' ? 'float32' : precision),
      onDevice,
    ),
  };
}

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
