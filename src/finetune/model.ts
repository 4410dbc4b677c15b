/** A model folder, opened for a task: what is needed before and beside its weights. */
import path from 'node:path';
import { flatten, type HostArray, isHostArray, orThrow, treeMap } from '../autodiff/index.js';
import { mergePeft } from '../huggingface/index.js';
import {
  loadAdapter,
  loadTokenizer,
  type OpenedModel,
  placeModel,
  readJson,
} from '../huggingface/node/index.js';
import { type Backend, wasmBackend } from '../kernels/index.js';
import { chooseNodeBackend, nodeBackendByName } from '../kernels/node.js';
import { storeAs } from '../models/index.js';
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

/** The weights on the host, in the precision that is wanted, with an adapter worked in where one is given. */
export async function hostWeights(
  opened: OpenedModel,
  {
    precision = 'float32',
    adapter,
  }: { precision?: FinetuneSettings['precision']; adapter?: string },
): Promise<unknown> {
  const weights = orThrow(await placeModel(opened, (array: HostArray) => array)());
  const whole =
    adapter === undefined
      ? weights
      : orThrow(mergePeft(weights, orThrow(await loadAdapter(adapter, opened)())));
  return precision === 'float32' ? whole : storeAs(precision)(whole);
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
