/**
 * Adapters in the layout of PEFT: read and merged as NumPy does it by PEFT's formulas, written so that
 * reading gives the same update back.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as E from 'fp-ts/lib/Either.js';
import {
  constant,
  flatData,
  type HostArray,
  hostArray,
  key,
  orThrow,
} from '../../src/autodiff/index.js';
import { adapt, dora, lora, pissa, rslora } from '../../src/flatlora/index.js';
import {
  type Adapters,
  causalLm,
  mergePeft,
  type PeftAdapter,
  type Pretrained,
  peftMethod,
  readPeft,
  targetPaths,
  tensorsToSave,
  writePeft,
} from '../../src/huggingface/index.js';
import {
  loadAdapter,
  loadModel,
  saveAdapter,
  saveModel,
} from '../../src/huggingface/node/index.js';
import { compile, download, wasmBackend } from '../../src/kernels/index.js';
import { gaussian } from '../models/support.js';
import { arrayOf, readExpected, readModel, type StoredArray } from './golden.js';

const folder = (name: string) =>
  fileURLToPath(new URL(`../fixtures/peft/${name}`, import.meta.url));

const read = async (name: string) => {
  const { model, merged } = JSON.parse(
    readFileSync(path.join(folder(name), 'merged.json'), 'utf8'),
  ) as { model: string; merged: Record<string, StoredArray> };
  const base = await readModel(model);
  return { base, merged, adapter: orThrow(await loadAdapter(folder(name), base)()) };
};

/** The tensors of a tree by the names of the checkpoint. */
const tensorsOf = ({ architecture, config }: Pretrained, weights: unknown) =>
  new Map(
    [...orThrow(tensorsToSave(architecture, config, weights))].map(
      ([name, make]) => [name, make().array] as const,
    ),
  );

const difference = (a: HostArray | undefined, b: ArrayLike<number>): number =>
  a === undefined
    ? Number.POSITIVE_INFINITY
    : Array.from(flatData(a)).reduce(
        (worst, x, i) => Math.max(worst, Math.abs(x - (b[i] as number))),
        0,
      );

const CASES = ['lora', 'rslora', 'dora', 'adalora', 'patterns', 'c_attn'];

test.each(CASES)('%s: merged as PEFT merges it, and nothing else changed', async (name) => {
  const { base, merged, adapter } = await read(name);
  const found = tensorsOf(base, orThrow(mergePeft(base.weights, adapter)));
  const before = tensorsOf(base, base.weights);
  for (const [tensor, array] of found) {
    const expected = merged[tensor]?.data ?? flatData(before.get(tensor) as HostArray);
    expect([tensor, difference(array, expected) < 1e-6]).toEqual([tensor, true]);
  }
  expect(Object.keys(merged).every((tensor) => found.has(tensor))).toBe(true);
});

test.each(['lora', 'rslora', 'dora', 'adalora'])(
  '%s: as a method it is the same model without merging',
  async (name) => {
    const { base, adapter } = await read(name);
    const { method, adapters } = orThrow(peftMethod(adapter));
    const whole = orThrow(method.merge(base.weights, adapters));
    const expected = tensorsOf(base, orThrow(mergePeft(base.weights, adapter)));
    for (const [tensor, array] of tensorsOf(base, whole)) {
      expect(difference(array, flatData(expected.get(tensor) as HostArray))).toBeLessThan(1e-6);
    }
  },
);

describe('written and read again', () => {
  const METHODS = {
    lora: () => lora({ rank: 3, alpha: 6, targetModules: ['query', 'fc1'] }),
    rslora: () => rslora({ rank: 3, alpha: 6, targetModules: ['query', 'fc1'] }),
    dora: () => dora({ rank: 3, alpha: 6, targetModules: ['query', 'fc1'] }),
  };
  /** Adapters that do something: B is zero at the start. */
  const stirred = (adapters: Adapters): Adapters =>
    Object.fromEntries(
      Object.entries(adapters).map(([name, layer], i) => [
        name,
        { ...layer, b: gaussian(i, (layer.b as HostArray).shape, 0.1) },
      ]),
    );
  const again = async (base: Pretrained, files: Parameters<typeof saveAdapter>[1]) => {
    const to = mkdtempSync(path.join(tmpdir(), 'peft-'));
    orThrow(await saveAdapter(to, files)());
    const adapter = orThrow(await loadAdapter(to, base)());
    rmSync(to, { recursive: true });
    return adapter;
  };
  const same = (base: Pretrained, adapter: PeftAdapter, expected: unknown) => {
    const found = tensorsOf(base, orThrow(mergePeft(base.weights, adapter)));
    for (const [tensor, array] of tensorsOf(base, expected)) {
      expect([tensor, difference(found.get(tensor), flatData(array)) < 2e-6]).toEqual([
        tensor,
        true,
      ]);
    }
  };

  test.each(Object.keys(METHODS) as (keyof typeof METHODS)[])('%s on a Llama', async (kind) => {
    const base = await readModel('llama');
    const method = METHODS[kind]() as never as ReturnType<typeof lora>;
    const { adapters } = orThrow(method.init(base.weights, key(1)));
    const trained = stirred(adapters as Adapters);
    const files = orThrow(
      writePeft(base.architecture, base.config, trained, { kind, alpha: 6, baseModel: 'tiny' }),
    );
    expect(files.config).toMatchObject({
      target_modules: ['q_proj', 'up_proj'],
      r: 3,
      lora_alpha: 6,
      use_dora: kind === 'dora',
      use_rslora: kind === 'rslora',
      base_model_name_or_path: 'tiny',
    });
    same(base, await again(base, files), orThrow(method.merge(base.weights, trained as never)));
  });

  test('matrices of one module with A of their own: the same update at a higher rank', async () => {
    const base = await readModel('gpt2');
    const method = lora({ rank: 2, alpha: 5, targetModules: ['query', 'value', 'fc1'] });
    const trained = stirred(orThrow(method.init(base.weights, key(2))).adapters as Adapters);
    const files = orThrow(
      writePeft(base.architecture, base.config, trained, { kind: 'lora', alpha: 5 }),
    );
    expect(files.config).toMatchObject({
      fan_in_fan_out: true,
      rank_pattern: { 'transformer.h.0.attn.c_attn': 4, 'transformer.h.1.attn.c_attn': 4 },
    });
    same(base, await again(base, files), orThrow(method.merge(base.weights, trained as never)));
  });

  test('PiSSA becomes plain LoRA of twice the rank on the base that others have', async () => {
    const base = await readModel('llama');
    const method = pissa({ rank: 2, alpha: 4, targetModules: ['query'] });
    const start = orThrow(method.init(base.weights, key(3)));
    const trained = stirred(start.adapters as Adapters);
    const files = orThrow(
      writePeft(base.architecture, base.config, trained, {
        kind: 'lora',
        alpha: 4,
        start: start.adapters as Adapters,
      }),
    );
    expect(files.config).toMatchObject({ r: 4, lora_alpha: 8 });
    same(base, await again(base, files), orThrow(method.merge(start.base, trained as never)));
  });
});

test('two adapters on one base: one program, the arrays are swapped', async () => {
  const { base, adapter } = await read('lora');
  const { method, adapters } = orThrow(peftMethod(adapter));
  const other = orThrow(method.init(base.weights, key(9))).adapters;
  const { outputs } = causalLm(base.config as never);
  const backend = await wasmBackend({ threads: 1 });
  const loss = adapt(base.weights, method)((w: never, x: never) => outputs(w, x));
  const { inputs } = readExpected('llama/expected.json');
  const tokens = arrayOf(inputs.input_ids);
  const context = { training: false, weight: (w: unknown) => w, vector: (x: unknown) => x };
  const program = compile(
    (a: never) => loss(a, { tokens: constant(tokens) } as never, context as never),
    backend,
  );
  const logits = async (arrays: unknown) =>
    Array.from(flatData((await download(backend, await program(arrays))) as unknown as HostArray));
  const direct = compile((w: never) => outputs(w, { tokens: constant(tokens) } as never), backend);
  for (const arrays of [adapters, other, adapters]) {
    const merged = orThrow(method.merge(base.weights, arrays));
    const expected = Array.from(
      flatData((await download(backend, await direct(merged))) as unknown as HostArray),
    );
    const found = await logits(arrays);
    expect(Math.max(...found.map((x, i) => Math.abs(x - (expected[i] as number))))).toBeLessThan(
      1e-5,
    );
  }
  await program.dispose();
  await direct.dispose();
  await backend.dispose();
});

test('targets by either name', async () => {
  const llama = await readModel('llama');
  const paths = (targets: string[], model = llama) =>
    orThrow(targetPaths(model.architecture, model.config, targets));
  expect(paths(['q_proj'])).toEqual(paths(['query']));
  expect(paths(['layers.1.mlp.down_proj'])).toEqual(['blocks.1.mlp.fc2.weight']);
  const gpt2 = await readModel('gpt2');
  expect(paths(['h.0.attn.c_attn'], gpt2)).toEqual(
    ['query', 'key', 'value'].map((name) => `blocks.0.attention.${name}.weight`),
  );
  const wrong = targetPaths(llama.architecture, llama.config, ['c_attn']);
  expect(E.isLeft(wrong) && wrong.left.message).toMatch(/"c_attn" names no weight matrix.*q_proj/);
});

describe('adapters that do not fit', () => {
  const ones = (...shape: number[]): HostArray =>
    hostArray(new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(1), shape);
  const MODULE = 'base_model.model.model.layers.0.self_attn.q_proj';
  const good = {
    [`${MODULE}.lora_A.weight`]: ones(8, 32),
    [`${MODULE}.lora_B.weight`]: ones(32, 8),
  };
  test.each([
    ['bias', { bias: 'all' }, good, /bias "all" is not supported/],
    ['type', { peft_type: 'IA3' }, good, /peft_type is "IA3", expected/],
    ['rank', { r: -1 }, good, /adapter_config.json: r is -1, expected/],
    ['NaN', { lora_alpha: Number.NaN }, good, /lora_alpha is NaN/],
    ['stated rank', { r: 4 }, good, /has rank 8, adapter_config.json says 4/],
    [
      'shape',
      {},
      { ...good, [`${MODULE}.lora_B.weight`]: ones(31, 8) },
      /lora_B \[31,8\], expected \[32,8\]/,
    ],
    ['half', {}, { [`${MODULE}.lora_A.weight`]: ones(8, 32) }, /lora_A or lora_B alone/],
    [
      'foreign',
      {},
      { ...good, 'base_model.model.nothing.lora_A.weight': ones(8, 2) },
      /not of this model: .*nothing/,
    ],
    ['DoRA without lengths', { use_dora: true }, good, /has no lora_magnitude_vector/],
    ['nothing', {}, {}, /no lora_A and lora_B/],
  ] as const)('%s', async (_, config, tensors, expected) => {
    const { architecture, config: model } = await readModel('llama');
    const found = readPeft(
      architecture,
      model,
      { peft_type: 'LORA', r: 8, lora_alpha: 8, ...config },
      new Map(Object.entries(tensors)),
    );
    expect(E.isLeft(found) && found.left.message).toMatch(expected);
    expect(E.isLeft(found) && found.left.message).not.toContain('\n');
  });
});

test('a merged model is saved as a checkpoint, and reads back to the same numbers', async () => {
  const { base, adapter } = await read('lora');
  const weights = orThrow(mergePeft(base.weights, adapter));
  const to = mkdtempSync(path.join(tmpdir(), 'merged-'));
  orThrow(await saveModel(to, { ...base, weights })());
  const again = orThrow(await loadModel(to)());
  rmSync(to, { recursive: true });
  expect(again.json).toEqual(base.json);
  expect([...tensorsOf(base, again.weights)].map(([name, x]) => [name, flatData(x)])).toEqual(
    [...tensorsOf(base, weights)].map(([name, x]) => [name, flatData(x)]),
  );
});
