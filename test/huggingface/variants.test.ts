/**
 * Architectures and options without a fixture of Hugging Face's own, against plain PyTorch: Qwen 2 and 3,
 * scaled rotary positions, a sliding window, RoBERTa, CLIP with both towers. And every architecture's
 * table of places against the tree that its model starts from.
 */
import { readdirSync } from 'node:fs';
import * as E from 'fp-ts/lib/Either.js';
import {
  flatData,
  flatten,
  type HostArray,
  hostArray,
  key,
  orThrow,
} from '../../src/autodiff/index.js';
import { sourceOfTensors, stored } from '../../src/checkpoints/index.js';
import { completions, decoderPrograms } from '../../src/generation/index.js';
import {
  architectureOf,
  causalLm,
  imagesAndTexts,
  type Place,
  pretrained,
  textClassification,
  textFeatures,
} from '../../src/huggingface/index.js';
import { evaluate, referenceBackend, wasmBackend } from '../../src/kernels/index.js';
import {
  initCausalDecoder,
  initContrastive,
  initEncoderDecoder,
  initTextEncoder,
  initVisionTransformer,
} from '../../src/models/index.js';
import { arrayOf, channelsLast, maskOf, readJson, type StoredArray } from './golden.js';

interface Variant {
  readonly config: unknown;
  readonly tensors: Readonly<Record<string, StoredArray>>;
  readonly inputs: Readonly<Record<string, StoredArray>>;
  readonly outputs: Readonly<Record<string, StoredArray>>;
}

const read = (name: string) => readJson(`variants/${name}.json`) as Variant;

const load = async ({ config, tensors }: Variant) =>
  orThrow(
    await pretrained(
      config,
      sourceOfTensors({
        tensors: new Map(
          Object.entries(tensors).map(([name, x]) => [name, stored(arrayOf(x))] as const),
        ),
      }),
    )(),
  );

const gap = (found: HostArray, expected: StoredArray | undefined): number => {
  const numbers = flatData(found);
  if (expected?.data.length !== numbers.length) return Number.POSITIVE_INFINITY;
  return expected.data.reduce(
    (worst, x, i) => Math.max(worst, Math.abs(x - (numbers[i] as number))),
    0,
  );
};

const DECODERS = ['qwen2', 'qwen3', 'mistral', 'llama_linear', 'llama_llama3', 'llama_yarn'];

test.each(DECODERS)('%s: logits', async (name) => {
  const variant = read(name);
  const { config, weights } = await load(variant);
  const { outputs } = causalLm(config as never);
  const backend = referenceBackend();
  const found = (await evaluate(
    ((w: never, x: never) => outputs(w, x)) as never,
    backend,
    weights,
    { tokens: arrayOf(variant.inputs.input_ids) },
  )) as unknown as HostArray;
  expect(gap(found, variant.outputs.logits)).toBeLessThan(1e-9);
});

test.each(DECODERS)('%s: the cache writes what the whole text says', async (name) => {
  const variant = read(name);
  const { config, weights } = await load(variant);
  const backend = await wasmBackend({ threads: 1 });
  const programs = decoderPrograms(config as never, backend, { length: 16 });
  const prompt = [3, 9, 1, 12, 7, 7, 2, 20];
  const [text] = await completions(programs, weights, [prompt], { maxTokens: 5 });
  await programs.dispose();
  const { outputs } = causalLm(config as never);
  let tokens = prompt;
  for (const written of text ?? []) {
    const logits = (await evaluate(
      ((w: never, x: never) => outputs(w, x)) as never,
      backend,
      weights,
      { tokens: hostArray(Int32Array.from(tokens), [1, tokens.length]) },
    )) as unknown as HostArray;
    const last = Array.from(flatData(logits)).slice(-(logits.shape[2] as number));
    expect(written).toBe(last.indexOf(Math.max(...last)));
    tokens = [...tokens, written];
  }
  await backend.dispose();
});

test('RoBERTa: positions are counted over what is no padding', async () => {
  const variant = read('roberta');
  const { config, weights } = await load(variant);
  const { outputs } = textClassification(config as never);
  const found = (await evaluate(
    ((w: never, x: never) => outputs(w, x)) as never,
    referenceBackend(),
    weights,
    { tokens: arrayOf(variant.inputs.input_ids), mask: maskOf(variant.inputs.attention_mask) },
  )) as unknown as HostArray;
  expect(gap(found, variant.outputs.logits)).toBeLessThan(1e-9);
});

test.each(['clip', 'clip_legacy'])('%s: similarities of images and texts', async (name) => {
  const variant = read(name);
  const { config, weights } = await load(variant);
  const { outputs } = imagesAndTexts(config as never);
  const batch = {
    images: channelsLast(variant.inputs.pixel_values),
    tokens: arrayOf(variant.inputs.input_ids),
  };
  const found = (await evaluate(
    ((w: never, x: never) => outputs(w, x)) as never,
    referenceBackend(),
    weights,
    batch,
  )) as unknown as HostArray;
  expect(gap(found, variant.outputs.logits_per_image)).toBeLessThan(1e-9);
  const texts = textFeatures((config as { text: never }).text);
  const embedded = (await evaluate(
    ((w: { text: never }, tokens: never) => texts.outputs(w.text, { tokens })) as never,
    referenceBackend(),
    weights,
    batch.tokens,
  )) as unknown as HostArray;
  expect(gap(embedded, variant.outputs.text_embeds)).toBeLessThan(1e-9);
});

describe('places cover the trees that models start from', () => {
  const INIT: Readonly<Record<string, (config: never, of: ReturnType<typeof key>) => unknown>> = {
    'causal-lm': initCausalDecoder,
    'seq2seq-lm': initEncoderDecoder,
    'text-classification': initTextEncoder,
    'image-classification': initVisionTransformer,
    contrastive: initContrastive,
  };
  const variants = readdirSync(new URL('../fixtures/huggingface/variants', import.meta.url)).map(
    (file) => [file, (readJson(`variants/${file}`) as Variant).config] as const,
  );
  const models = ['llama', 'llama_tied_mha', 'gpt2', 't5_v1_0', 't5_v1_1', 'bert', 'vit'].map(
    (name) => [name, readJson(`${name}/config.json`)] as const,
  );
  test.each([...models, ...variants])('%s', (_, json) => {
    const architecture = orThrow(architectureOf(json));
    const config = orThrow(architecture.config(json));
    const init = INIT[architecture.task] as (config: never, of: ReturnType<typeof key>) => unknown;
    const { leaves, paths } = flatten<HostArray>(init(config as never, key(0)));
    const expected = new Map(paths.map((path, i) => [path, leaves[i]?.shape.join()]));
    const places = architecture.places(config) as readonly Place[];
    for (const [path, shape] of expected) {
      expect([path, places.find((p) => p.path === path)?.shape.join()]).toEqual([path, shape]);
    }
    // What checkpoints have beyond a fresh model are biases and norms of heads.
    const more = places.filter(({ path }) => !expected.has(path)).map(({ path }) => path);
    expect(more.filter((path) => !/\.bias$|\.(query|key)Norm\.scale$/.test(path))).toEqual([]);
    expect(new Set(places.map(({ path }) => path)).size).toBe(places.length);
  });
});

describe('checkpoints that do not fit', () => {
  const said = async (change: (variant: Variant) => Variant) => {
    const { config, tensors } = change(read('qwen2'));
    const result = await pretrained(
      config,
      sourceOfTensors({
        tensors: new Map(Object.entries(tensors).map(([name, x]) => [name, stored(arrayOf(x))])),
      }),
    )();
    return E.isLeft(result) ? result.left.message : 'read';
  };
  const without = (name: string) => (v: Variant) => {
    const { [name]: _, ...tensors } = v.tensors;
    return { ...v, tensors };
  };
  const configured = (fields: object) => (v: Variant) => ({
    ...v,
    config: { ...(v.config as object), ...fields },
  });
  test.each([
    [without('model.norm.weight'), /missing: model\.norm\.weight/],
    [
      (v: Variant) => ({
        ...v,
        tensors: { ...v.tensors, 'model.extra': v.tensors['model.norm.weight'] as StoredArray },
      }),
      /not of this model: model\.extra/,
    ],
    [
      configured({ vocab_size: 25 }),
      /"model\.embed_tokens\.weight" is \[24,16\], expected \[25,16\]/,
    ],
    [
      configured({ architectures: ['MambaForCausalLM'] }),
      /architectures is MambaForCausalLM, expected one of LlamaForCausalLM/,
    ],
    [configured({ hidden_size: 'x' }), /config\.json: hidden_size is "x", expected number/],
    [configured({ hidden_act: 'relu2' }), /hidden_act is "relu2", expected "silu"/],
    [configured({ rope_scaling: { rope_type: 'longrope', factor: 2 } }), /rope_type is longrope/],
    [configured({ architectures: undefined }), /architectures is undefined/],
  ])('%#', async (change, expected) => {
    const line = await said(change as (v: Variant) => Variant);
    expect(line).toMatch(expected);
    expect(line).not.toContain('\n');
  });
});
