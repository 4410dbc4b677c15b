/** T5, BERT, ViT and CLIP's image tower against Hugging Face's own numbers. */
import {
  add,
  argmax,
  flatData,
  type HostArray,
  ints,
  mean,
  mul,
  range,
  reduceSum,
  square,
  type Value,
} from '../../src/autodiff/index.js';
import {
  imageClassification,
  imageFeatures,
  type Seq2SeqConfig,
  seq2seqLm,
  textClassification,
} from '../../src/huggingface/index.js';
import { evaluate, wasmBackend } from '../../src/kernels/index.js';
import { type EncoderDecoderWeights, encoderDecoder } from '../../src/models/index.js';
import {
  arrayOf,
  channelsLast,
  type Expected,
  goldenTests,
  maskOf,
  readExpected,
  readModel,
} from './golden.js';

const source = ({ inputs }: Expected) => ({
  source: arrayOf(inputs.input_ids),
  labels: arrayOf(inputs.labels),
  ...(inputs.attention_mask && { sourceMask: maskOf(inputs.attention_mask) }),
});

const T5 = ['t5_v1_0', 't5_v1_1'];

for (const model of T5) {
  goldenTests({
    model,
    task: seq2seqLm as never,
    outputs: ['logits'],
    cases: [
      { file: 'expected', batch: source },
      { file: 'expected_long', batch: source },
    ],
  });
}

test.each(T5)('%s: the greedy text, written token by token', async (model) => {
  const { greedy, inputs } = readExpected(`${model}/expected.json`);
  const ids = greedy?.decoder_ids;
  if (ids === undefined) throw new Error('no greedy text');
  const { config, weights } = await readModel(model);
  const backend = await wasmBackend({ threads: 1 });
  const apply = encoderDecoder(config as Seq2SeqConfig);
  const [count, length] = ids.shape as [number, number];
  const expected = range(count).map((i) => ids.data.slice(i * length, (i + 1) * length));
  const next = (w: EncoderDecoderWeights, s: Value, m: Value, t: Value) =>
    argmax(apply(w, { source: s, sourceMask: m, target: t }), 2);
  // The whole greedy text at once: each token must be the likeliest after those before it.
  const found = (await evaluate(
    next as never,
    backend,
    weights,
    arrayOf(inputs.input_ids),
    maskOf(inputs.attention_mask),
    ints(ids.data, ids.shape),
  )) as HostArray;
  await backend.dispose();
  const written = Array.from(flatData(found));
  for (const [i, text] of expected.entries()) {
    expect(written.slice(i * length, (i + 1) * length - 1)).toEqual(text.slice(1));
  }
});

goldenTests({
  model: 'bert',
  task: textClassification as never,
  outputs: ['logits'],
  cases: [
    {
      file: 'expected',
      batch: ({ inputs }) => ({
        tokens: arrayOf(inputs.input_ids),
        mask: maskOf(inputs.attention_mask),
        types: arrayOf(inputs.token_type_ids),
        labels: arrayOf(inputs.labels),
      }),
    },
  ],
});

goldenTests({
  model: 'vit',
  task: imageClassification as never,
  outputs: ['logits'],
  cases: [
    {
      file: 'expected',
      batch: ({ inputs }) => ({
        images: channelsLast(inputs.pixel_values),
        labels: arrayOf(inputs.labels),
      }),
    },
  ],
});

goldenTests({
  model: 'clip_vision',
  task: ((config: never) => {
    const { outputs } = imageFeatures(config);
    type Given = Parameters<typeof outputs>[1] & { readonly factors: Value };
    return {
      outputs,
      loss: (weights: never, batch: Given) => {
        const embeddings = outputs(weights, batch);
        return add(reduceSum(mul(embeddings, batch.factors)), mul(0.5, mean(square(embeddings))));
      },
    };
  }) as never,
  outputs: ['image_embeds'],
  cases: [
    {
      file: 'expected',
      batch: ({ inputs }) => ({
        images: channelsLast(inputs.pixel_values),
        factors: arrayOf(inputs.loss_weights),
      }),
    },
  ],
});
