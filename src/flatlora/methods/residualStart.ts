/**
 * What PiSSA, LoRA-GA and CorDA share: LoRA whose factors do not start at zero, on a base that gives
 * up what they carry,
 *
 *     W_res = W − s·B₀A₀,   W′ = W_res + s·B A,
 *
 * so that training starts at the pre-trained model all the same. Adapters of this kind mean nothing
 * without W_res: keep the base that `init` gives, or save `toPlainLora`'s adapters instead.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import {
  fail,
  type HostArray,
  type HostData,
  hostArray,
  type Key,
  type Result,
  sameShape,
  showShape,
} from '../../autodiff/index.js';
import type { AdapterMethod, LayerAdapters, LayerMethod } from '../adapterMethod.js';
import { hostLowRankSum, numbersOf, storageLike } from '../hostMatrix.js';
import { type LoraOptions, type LoraPart, lora, loraLayer } from './lora.js';

/** LoRA's options without how A starts. */
export type ResidualOptions = Omit<LoraOptions, 'initialisation'>;

/** The factors of a layer at the start: B₀ [m, r] and A₀ [r, n]. */
export interface Start {
  readonly a: HostArray;
  readonly b: HostArray;
}

export interface ResidualStart {
  readonly name: string;
  /** See `LayerMethod.ready`. */
  readonly ready?: (path: string, weight: HostArray) => Result<void>;
  /** A₀ and B₀ for W, in float64; `scale` is s. */
  readonly factors: (weight: HostArray, scale: number, key: Key, path: string) => Start;
}

const stored = (x: HostArray, like: HostData): HostArray => {
  const out = storageLike(like, x.size);
  out.set(numbersOf(x));
  return hostArray(out, x.shape);
};

/**
 * LoRA of one weight matrix with a start of its own. Factors are rounded to the precision of W (float32
 * for half precision) before W_res is computed from them, so that the sum is W again to the last bits.
 */
export function residualLayer(
  options: ResidualOptions,
  { name, ready, factors }: ResidualStart,
): LayerMethod<LoraPart> {
  const { rank = 8, alpha = 16 } = options;
  const scale = alpha / rank;
  return {
    ...loraLayer(options),
    name,
    ready: (path, weight) =>
      numbersOf(weight).every(Number.isFinite)
        ? (ready?.(path, weight) ?? E.right(undefined))
        : fail('not-finite', `${name}: "${path}" has NaN or infinity in it`),
    init: (weight, key, path) => {
      const start = factors(weight, scale, key, path);
      const like = numbersOf(weight);
      const [a, b] = [stored(start.a, like), stored(start.b, like)];
      return { adapter: { a, b }, weight: hostLowRankSum(weight, a, b, -scale) };
    },
  };
}

/** Row k of Vᵀ and column k of U times a factor: A₀ and B₀ from singular vectors in columns. */
export const factorsFrom = (
  u: HostArray,
  v: HostArray,
  ofB: (k: number) => number,
  ofA: (k: number) => number,
): Start => {
  const [m, rank] = u.shape as [number, number];
  const n = v.shape[0] as number;
  const [left, right] = [numbersOf(u), numbersOf(v)];
  const b = Float64Array.from(left, (x, i) => x * ofB(i % rank));
  const a = new Float64Array(rank * n);
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < rank; k++) a[k * n + j] = (right[j * rank + k] as number) * ofA(k);
  }
  return { a: hostArray(a, [rank, n]), b: hostArray(b, [m, rank]) };
};

/** Adapters of LoRA on the original base. */
export interface PlainLora {
  readonly method: AdapterMethod<LayerAdapters<LoraPart>>;
  readonly adapters: LayerAdapters<LoraPart>;
}

/** Two matrices side by side, [m, p] and [m, q] → [m, p + q], or on top of each other. */
function joined(first: HostArray, second: HostArray, axis: 0 | 1, sign: 1 | -1): HostArray {
  const [x, y] = [numbersOf(first), numbersOf(second)];
  const [rows, p] = axis === 0 ? [1, x.length] : (first.shape as [number, number]);
  const q = y.length / rows;
  const out = storageLike(x, x.length + y.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < p; j++) out[i * (p + q) + j] = x[i * p + j] as number;
    for (let j = 0; j < q; j++) out[i * (p + q) + p + j] = sign * (y[i * q + j] as number);
  }
  const [m, n] = first.shape as [number, number];
  const [o, l] = second.shape as [number, number];
  return hostArray(out, axis === 0 ? [m + o, n] : [m, n + l]);
}

/**
 * The same weights as plain LoRA of rank 2r on the original base, which any LoRA software can load:
 *
 *     W_res + s·B A = W + s·[B, −B₀]·[A; A₀]
 *
 * With rank 2r, α is doubled too, so that s = α/r stays. (PEFT: `path_initial_model_for_weight_conversion`.)
 *
 * @param options those that the method was made with.
 * @param initial the adapters that `init` gave, A₀ and B₀.
 * @param trained the adapters after training.
 * @returns a problem when the two do not belong together. The method refuses a base with a side shorter
 *   than 2r, for which merged weights are the smaller thing to save.
 */
export function toPlainLora(
  { rank = 8, alpha = 16, targetModules }: ResidualOptions,
  initial: LayerAdapters<LoraPart>,
  trained: LayerAdapters<LoraPart>,
): Result<PlainLora> {
  const layers = [...new Set([...Object.keys(initial), ...Object.keys(trained)])];
  return pipe(
    layers,
    E.traverseArray((path): Result<readonly [string, { a: HostArray; b: HostArray }]> => {
      const [before, after] = [initial[path], trained[path]];
      if (before === undefined || after === undefined) {
        return fail('tree', `toPlainLora: "${path}" is in one of initial and trained only`);
      }
      for (const part of ['a', 'b'] as const) {
        if (!sameShape(before[part].shape, after[part].shape)) {
          return fail(
            'shape',
            `toPlainLora: trained "${path}.${part}" is ${showShape(after[part].shape)}, expected the initial ${showShape(before[part].shape)}`,
          );
        }
      }
      const a = joined(after.a, before.a, 0, 1);
      return E.right([path, { a, b: joined(after.b, before.b, 1, -1) }]);
    }),
    E.map((entries) => ({
      method: lora({ rank: 2 * rank, alpha: 2 * alpha, targetModules }),
      adapters: Object.fromEntries(entries),
    })),
  );
}
