/**
 * An adapter in the layout of PEFT as layers of ours, and back. Flat-LoRA's adapters are plain LoRA
 * adapters: the base is never changed, so that PEFT loads them like any other.
 *
 * A module that holds several matrices of ours (GPT-2's `c_attn`) has one A for all of them; reading
 * gives each matrix that A and its rows of B. In writing, whose matrices may have different A, the
 * module gets all of them one above the other, and a B with blocks: the same update at a higher rank.
 */
import * as E from 'fp-ts/lib/Either.js';
import {
  fail,
  flatData,
  type HostArray,
  hostArray,
  type Result,
  sameShape,
  toFloat,
} from '../../autodiff/index.js';
import type { AnyArchitecture } from '../architecture.js';
import { oursOf, type Place } from '../places.js';
import { listed } from '../pretrained.js';
import { type PeftConfig, patternOf, readPeftConfig } from './config.js';
import { type Module, modulesOf } from './modules.js';

/** What stands on one weight matrix [m, n]. */
export interface PeftLayer {
  /** [r, n] */
  readonly a: HostArray;
  /** [m, r] */
  readonly b: HostArray;
  /** AdaLoRA's singular values, [r, 1]. */
  readonly e?: HostArray;
  /** DoRA's row lengths, [m]. */
  readonly magnitude?: HostArray;
  /** The factor of B·A. */
  readonly scale: number;
}

export interface PeftAdapter {
  readonly config: PeftConfig;
  /** By the path of the weight matrix. */
  readonly layers: ReadonlyMap<string, PeftLayer>;
  /** Arrays that the adapter brings in the place of the base's (`modules_to_save`), by path. */
  readonly replaced: ReadonlyMap<string, HostArray>;
}

export const PREFIX = 'base_model.model.';

/** Part of a name behind the module: which array of the adapter it is. */
const ARRAYS: Readonly<Record<string, keyof Omit<PeftLayer, 'scale'>>> = {
  'lora_A.weight': 'a',
  'lora_B.weight': 'b',
  lora_A: 'a',
  lora_B: 'b',
  lora_E: 'e',
  lora_magnitude_vector: 'magnitude',
  'lora_magnitude_vector.weight': 'magnitude',
};

/** AdaLoRA's count of ranks is that of its configuration. */
const COUNTS = /\.ranknum$/;

type Parts = Partial<Record<keyof Omit<PeftLayer, 'scale'>, HostArray>>;

const bad = (message: string) => fail('checkpoint', `adapter: ${message}`);

/** Rows `from` … `to` of a matrix or vector. */
function rows(x: HostArray, from: number, to: number): HostArray {
  const width = x.size / (x.shape[0] as number);
  return hostArray(flatData(x).slice(from * width, to * width), [to - from, ...x.shape.slice(1)]);
}

/** α/r, α/√r for rsLoRA; AdaLoRA's is that of its first rank, however many are left. */
function scaleOf(config: PeftConfig, module: string, rank: number): number {
  const alpha = patternOf(config.alphaPattern, module, config.alpha);
  switch (config.kind) {
    case 'rslora':
      return alpha / Math.sqrt(rank);
    case 'adalora':
      return alpha / (config.rank + 1e-5);
    default:
      return alpha / rank;
  }
}

/** The layers of one module. */
function layersOf(
  { name, places }: Module,
  { a, b, e, magnitude }: Parts,
  config: PeftConfig,
): Result<readonly (readonly [string, PeftLayer])[]> {
  if (a === undefined || b === undefined) return bad(`"${name}" has lora_A or lora_B alone`);
  const [m, n] = [
    places.reduce((sum, { shape }) => sum + (shape[0] as number), 0),
    places[0]?.shape[1] as number,
  ];
  const rank = a.shape[0] ?? 0;
  const shapes = [
    ['lora_A', a, [rank, n]],
    ['lora_B', b, [m, rank]],
    ['lora_E', e, config.kind === 'adalora' ? [rank, 1] : undefined],
    ['lora_magnitude_vector', magnitude, config.kind === 'dora' ? [m] : undefined],
  ] as const;
  for (const [part, array, expected] of shapes) {
    if (array === undefined && expected !== undefined) return bad(`"${name}" has no ${part}`);
    if (array === undefined) continue;
    if (expected === undefined)
      return bad(`"${name}" has a ${part} in an adapter of ${config.kind}`);
    if (rank < 1 || !sameShape(array.shape, expected)) {
      return bad(`"${name}" has ${part} [${array.shape.join()}], expected [${expected.join()}]`);
    }
  }
  const stated = patternOf(config.rankPattern, name, config.rank);
  if (config.kind !== 'adalora' && stated !== rank) {
    return bad(`"${name}" has rank ${rank}, adapter_config.json says ${stated}`);
  }
  const scale = scaleOf(config, name, rank);
  let row = 0;
  return E.right(
    places.map(({ path, shape }) => {
      const [from, to] = [row, row + (shape[0] as number)];
      row = to;
      return [
        path,
        {
          a,
          b: rows(b, from, to),
          scale,
          ...(e && { e }),
          ...(magnitude && { magnitude: rows(magnitude, from, to) }),
        },
      ] as const;
    }),
  );
}

/** A trained array that stands for one of the base. */
function replacement(
  name: string,
  array: HostArray,
  places: readonly Place[],
): Result<readonly (readonly [string, HostArray])[]> {
  const bare = name.replace(/\.modules_to_save(\.default)?\./, '.');
  const here = places.filter((place) => place.name === bare);
  const [place] = here;
  if (here.length !== 1 || place === undefined) {
    return bad(`"${name}" is no array of an adapter on this model`);
  }
  if (place.part !== undefined) return bad(`"${name}" replaces a part of a module`);
  const ours = place.form === undefined ? array : oursOf(array, place);
  return sameShape(ours.shape, place.shape)
    ? E.right([[place.path, ours]])
    : bad(`"${name}" is [${array.shape.join()}], expected [${place.shape.join()}]`);
}

/**
 * Reads an adapter.
 * @param json the content of adapter_config.json
 * @param tensors those of adapter_model.safetensors
 * @returns a problem of kind `checkpoint` that names the array and what is wrong with it.
 */
export const readPeft = (
  architecture: AnyArchitecture,
  config: unknown,
  json: unknown,
  tensors: ReadonlyMap<string, HostArray>,
): Result<PeftAdapter> =>
  E.flatMap(readPeftConfig(json), (peft): Result<PeftAdapter> => {
    const modules = modulesOf(architecture, config);
    const places = architecture.places(config) as readonly Place[];
    const byModule = new Map<string, Parts>();
    const replaced = new Map<string, HostArray>();
    const foreign: string[] = [];
    for (const [full, given] of tensors) {
      if (COUNTS.test(full)) continue;
      const name = full.startsWith(PREFIX) ? full.slice(PREFIX.length) : full;
      const array = toFloat(given);
      const suffix = Object.keys(ARRAYS).find((s) => name.endsWith(`.${s}`));
      if (suffix === undefined) {
        const found = replacement(name, array, places);
        if (E.isLeft(found)) foreign.push(full);
        else for (const [path, ours] of found.right) replaced.set(path, ours);
        continue;
      }
      const module = name.slice(0, -suffix.length - 1);
      if (!modules.has(module)) foreign.push(full);
      else byModule.set(module, { ...byModule.get(module), [ARRAYS[suffix] as string]: array });
    }
    if (foreign.length > 0) return bad(`not of this model: ${listed(foreign)}`);
    if (byModule.size === 0) return bad('there is no lora_A and lora_B');
    const layers = new Map<string, PeftLayer>();
    for (const [name, parts] of byModule) {
      const found = layersOf(modules.get(name) as Module, parts, peft);
      if (E.isLeft(found)) return found;
      for (const [path, layer] of found.right) layers.set(path, layer);
    }
    return E.right({ config: peft, layers, replaced });
  });
