/** Adapters at work: worked into the base, and as methods that go on training or are swapped. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, flatten, type HostArray, type Result, treeMap } from '../../autodiff/index.js';
import {
  type AdapterMethod,
  adaLora,
  dora,
  doraLayer,
  hostLowRankSum,
  lora,
  rslora,
} from '../../flatlora/index.js';
import { listed } from '../pretrained.js';
import type { PeftAdapter, PeftLayer } from './adapter.js';

/** Row i of a matrix [r, n] times e_i, for AdaLoRA. */
function scaledRows(a: HostArray, e: HostArray | undefined): HostArray {
  if (e === undefined) return a;
  const n = a.shape[1] as number;
  const out = a.data.slice(a.offset, a.offset + a.size) as Float32Array;
  for (let i = 0; i < out.length; i++) {
    out[i] = (out[i] as number) * (e.data[e.offset + Math.floor(i / n)] as number);
  }
  return { ...a, data: out, offset: 0 } as HostArray;
}

function mergedLayer(weight: HostArray, { a, b, e, magnitude, scale }: PeftLayer): HostArray {
  if (magnitude === undefined) return hostLowRankSum(weight, scaledRows(a, e), b, scale);
  const rank = a.shape[0] as number;
  const layer = doraLayer({ rank, alpha: scale * rank, targetModules: [] });
  return layer.merge(weight, { a, b, magnitude });
}

/** The base with an adapter worked in; a problem when the base has other layers. */
export function mergePeft<Base>(base: Base, { layers, replaced }: PeftAdapter): Result<Base> {
  const { paths } = flatten(base);
  const missing = [...layers.keys(), ...replaced.keys()].filter((path) => !paths.includes(path));
  return missing.length > 0
    ? fail('checkpoint', `adapter: the base has no ${listed(missing)}`)
    : E.right(
        treeMap((weight: HostArray, path) => {
          const layer = layers.get(path);
          return replaced.get(path) ?? (layer === undefined ? weight : mergedLayer(weight, layer));
        }, base) as Base,
      );
}

/** Trained arrays by the path of their matrix, as the methods of `flatlora` take them. */
export type Adapters = Readonly<Record<string, Readonly<Record<string, HostArray>>>>;

/** An adapter as a method and its arrays. */
export interface AdapterInUse {
  readonly method: AdapterMethod<Adapters>;
  readonly adapters: Adapters;
}

/**
 * The adapter as a fine-tuning method with arrays: to train on, or to run the model without merging.
 * Arrays are inputs of compiled programs, so adapters of one rank and one set of modules are swapped by
 * calling the same program with others.
 * @returns a problem where modules differ in rank or alpha, or where the adapter replaces arrays of the
 *   base; `mergePeft` takes those.
 */
export function peftMethod({ config, layers, replaced }: PeftAdapter): Result<AdapterInUse> {
  const all = [...layers.values()];
  const rank = all[0]?.a.shape[0] as number;
  const scale = all[0]?.scale as number;
  if (all.some((layer) => layer.a.shape[0] !== rank || layer.scale !== scale)) {
    return fail('checkpoint', 'adapter: its modules differ in rank or alpha; merge it instead');
  }
  if (replaced.size > 0) {
    return fail(
      'checkpoint',
      `adapter: it replaces ${listed([...replaced.keys()])}; merge it instead`,
    );
  }
  const targetModules = [...layers.keys()];
  const options = { rank, targetModules, dropout: config.dropout };
  const method = {
    lora: () => lora({ ...options, alpha: scale * rank }),
    rslora: () => rslora({ ...options, alpha: scale * Math.sqrt(rank) }),
    dora: () => dora({ ...options, alpha: scale * rank }),
    adalora: () => adaLora({ ...options, initialRank: rank, alpha: config.alpha }),
  }[config.kind]() as unknown as AdapterMethod<Adapters>;
  return E.right({
    method,
    adapters: Object.fromEntries(
      [...layers].map(([path, { scale: _, ...arrays }]) => [path, arrays]),
    ) as Adapters,
  });
}
