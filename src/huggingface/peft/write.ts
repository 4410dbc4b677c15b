/** Trained adapters in the layout of PEFT: `adapter_config.json` and the tensors beside it. */
import * as E from 'fp-ts/lib/Either.js';
import { fail, flatData, type HostArray, hostArray, type Result } from '../../autodiff/index.js';
import {
  type Json,
  type StoredTensor,
  stored,
  type WritableType,
} from '../../checkpoints/index.js';
import type { AnyArchitecture, Task } from '../architecture.js';
import { listed } from '../pretrained.js';
import { PREFIX } from './adapter.js';
import { type PeftConfig, type PeftKind, peftConfigJson } from './config.js';
import type { Adapters } from './merge.js';
import { type Module, modulesOf, shortNames } from './modules.js';

export interface PeftFiles {
  /** Content of adapter_config.json. */
  readonly config: Json;
  /** Of adapter_model.safetensors. */
  readonly tensors: ReadonlyMap<string, StoredTensor<WritableType>>;
}

export interface PeftOptions {
  readonly kind: PeftKind;
  /** α of training; for methods that start elsewhere (PiSSA, LoRA-GA, CorDA) α of LoRA, too. */
  readonly alpha: number;
  readonly dropout?: number;
  /** Name or folder of the base model, for whoever loads the adapter. */
  readonly baseModel?: string;
  /**
   * The arrays at the start, for methods whose base gives up what they start with. The base that others
   * have has not, so what is saved is s·(B·A − B₀·A₀): plain LoRA of twice the rank.
   */
  readonly start?: Adapters;
}

const PEFT_TASKS: Readonly<Partial<Record<Task, string>>> = {
  'causal-lm': 'CAUSAL_LM',
  'seq2seq-lm': 'SEQ_2_SEQ_LM',
  'text-classification': 'SEQ_CLS',
};

type Pair = { readonly a: HostArray; readonly b: HostArray };

/** Matrices one above the other; their widths are equal. */
function stacked(parts: readonly HostArray[]): HostArray {
  const rows = parts.reduce((n, { shape }) => n + (shape[0] as number), 0);
  const width = parts[0]?.shape[1] ?? 1;
  const out = new Float32Array(rows * width);
  let at = 0;
  for (const part of parts) {
    out.set(flatData(part) as Float32Array, at);
    at += part.size;
  }
  return hostArray(out, [rows, width]);
}

/** Blocks [mᵢ, rᵢ] at the rows and columns of their turn, zeros elsewhere. */
function blockDiagonal(parts: readonly { b: HostArray | undefined; m: number; r: number }[]) {
  const [rows, columns] = [
    parts.reduce((n, { m }) => n + m, 0),
    parts.reduce((n, { r }) => n + r, 0),
  ];
  const out = new Float32Array(rows * columns);
  let [row, column] = [0, 0];
  for (const { b, m, r } of parts) {
    if (b !== undefined) {
      const from = flatData(b);
      for (let i = 0; i < m; i++) {
        out.set(from.subarray(i * r, (i + 1) * r) as Float32Array, (row + i) * columns + column);
      }
    }
    row += m;
    column += r;
  }
  return hostArray(out, [rows, columns]);
}

/** B·A − B₀·A₀ as one product: A above A₀, B beside −B₀. */
function difference({ a, b }: Pair, { a: a0, b: b0 }: Pair): Pair {
  const [m, r] = b.shape as [number, number];
  const both = new Float32Array(2 * m * r);
  const [now, before] = [flatData(b), flatData(b0)];
  for (let i = 0; i < m * r; i++) {
    const at = Math.floor(i / r) * 2 * r + (i % r);
    both[at] = now[i] as number;
    both[at + r] = -(before[i] as number);
  }
  return { a: stacked([a, a0]), b: hostArray(both, [m, 2 * r]) };
}

/** One module's arrays out of its matrices' adapters. */
function moduleArrays({ name, places }: Module, adapters: Adapters, { kind }: PeftOptions) {
  const layers = places.map(({ path, shape }) => ({
    layer: adapters[path],
    m: shape[0] as number,
  }));
  const there = layers.filter(({ layer }) => layer !== undefined);
  if (layers.length === 1) return E.right(layers[0]?.layer as Record<string, HostArray>);
  if (kind !== 'lora' && kind !== 'rslora') {
    return fail(
      'checkpoint',
      `adapter: "${name}" holds several matrices; ${kind} on it cannot be written as one module, merge it instead`,
    );
  }
  return E.right({
    a: stacked(there.map(({ layer }) => layer?.a as HostArray)),
    b: blockDiagonal(
      layers.map(({ layer, m }) => ({ b: layer?.b, m, r: layer?.b?.shape[1] ?? 0 })),
    ),
  });
}

/**
 * The files of an adapter that PEFT loads on the same base model.
 * @param adapters by path; auxiliary arrays of a method are left out beforehand (`trainedParts`)
 * @returns a problem of kind `checkpoint` for arrays that are no adapter's.
 */
export function writePeft(
  architecture: AnyArchitecture,
  config: unknown,
  adapters: Adapters,
  options: PeftOptions,
): Result<PeftFiles> {
  const { kind, alpha, dropout = 0, baseModel, start } = options;
  const modules = modulesOf(architecture, config);
  const all = [...modules.values()];
  const known = new Set(all.flatMap(({ places }) => places.map(({ path }) => path)));
  const paths = Object.keys(adapters);
  const odd = paths.filter((path) => !known.has(path) || !adapters[path]?.a || !adapters[path]?.b);
  if (odd.length > 0 || paths.length === 0) {
    return fail(
      'checkpoint',
      `adapter: ${odd.length > 0 ? listed(odd) : 'nothing'} has no A and B to save; save the merged weights instead`,
    );
  }
  if (start !== undefined && kind !== 'lora') {
    return fail('checkpoint', `adapter: a start that the base gave up cannot be saved as ${kind}`);
  }
  const plain: Adapters =
    start === undefined
      ? adapters
      : Object.fromEntries(
          paths.map((path) => [
            path,
            difference(adapters[path] as never, start[path] as never) as never,
          ]),
        );
  const rank = Math.max(...Object.values(plain).map((layer) => layer.a?.shape[0] as number));
  const growth = rank / (adapters[paths[0] as string]?.a?.shape[0] as number);
  const tensors = new Map<string, StoredTensor<WritableType>>();
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  const adapted = all.filter(({ places }) => places.some(({ path }) => plain[path] !== undefined));
  for (const module of adapted) {
    const arrays = moduleArrays(module, plain, options);
    if (E.isLeft(arrays)) return arrays;
    const { a, b, e, magnitude } = arrays.right as Record<string, HostArray>;
    const own = a?.shape[0] as number;
    if (own !== rank) {
      rankPattern[module.name] = own;
      // The same factor of B·A at another rank.
      const times = kind === 'rslora' ? Math.sqrt(own / rank) : own / rank;
      alphaPattern[module.name] = alpha * growth * times;
    }
    const weight = kind === 'adalora' ? '' : '.weight';
    const named = {
      [`lora_A${weight}`]: a,
      [`lora_B${weight}`]: b,
      lora_E: e,
      lora_magnitude_vector: magnitude,
    };
    for (const [suffix, array] of Object.entries(named)) {
      if (array !== undefined) tensors.set(`${PREFIX}${module.name}.${suffix}`, stored(array));
    }
  }
  const written: PeftConfig = {
    kind,
    rank,
    alpha: alpha * growth,
    dropout,
    rankPattern,
    alphaPattern,
    baseModel,
  };
  return E.right({
    tensors,
    config: peftConfigJson(written, {
      targetModules: shortNames(
        adapted.map(({ name }) => name),
        modules.keys(),
      ),
      transposed: adapted.some(({ places }) =>
        places.some(({ form }) => form?.name === 'transposed'),
      ),
      task: PEFT_TASKS[architecture.task] ?? null,
    }),
  });
}
