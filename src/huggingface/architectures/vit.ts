/** The vision transformer: pre-norm blocks, a class token, learned positions. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { type HostArray, range } from '../../autodiff/index.js';
import type { VisionTransformerConfig, VisionTransformerWeights } from '../../models/index.js';
import { activationOf } from '../activations.js';
import type { Architecture } from '../architecture.js';
import { checked, classesOf, labelled, or, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, reshaped } from '../places.js';
import { encoderConfig, encoderFields } from './encoder.js';

export interface VitConfig extends VisionTransformerConfig {
  readonly imageSize: number;
  readonly channels: number;
  readonly mlpWidth: number;
  readonly queryKeyValueBias: boolean;
}

const schema = v.looseObject({
  ...encoderFields,
  image_size: size,
  patch_size: size,
  num_channels: or(size, 3),
  qkv_bias: or(v.boolean(), true),
  hidden_dropout_prob: or(v.number(), 0),
  attention_probs_dropout_prob: or(v.number(), 0),
  ...labelled,
});

function places(config: VitConfig): readonly Place[] {
  const { width, depth, mlpWidth, patchSize, channels, classes, queryKeyValueBias } = config;
  const tokens = (config.imageSize / patchSize) ** 2 + 1;
  const bias = true;
  const [patch] = linearPlaces(
    'patchEmbedding',
    'vit.embeddings.patch_embeddings.projection',
    [width, channels * patchSize ** 2],
    { bias: false, form: reshaped([width, channels, patchSize, patchSize]) },
  ) as [Place];
  return [
    patch,
    {
      path: 'patchEmbedding.bias',
      name: 'vit.embeddings.patch_embeddings.projection.bias',
      shape: [width],
    },
    {
      path: 'classToken',
      name: 'vit.embeddings.cls_token',
      shape: [width],
      form: reshaped([1, 1, width]),
    },
    {
      path: 'positionEmbedding.weight',
      name: 'vit.embeddings.position_embeddings',
      shape: [tokens, width],
      form: reshaped([1, tokens, width]),
    },
    ...range(depth).flatMap((i) => {
      const [ours, theirs] = [`blocks.${i}`, `vit.encoder.layer.${i}`];
      const square = [width, width] as const;
      return [
        ...normPlaces(`${ours}.attentionNorm`, `${theirs}.layernorm_before`, width, { bias }),
        ...['query', 'key', 'value'].flatMap((name) =>
          linearPlaces(
            `${ours}.attention.${name}`,
            `${theirs}.attention.attention.${name}`,
            square,
            { bias: queryKeyValueBias },
          ),
        ),
        ...linearPlaces(`${ours}.attention.out`, `${theirs}.attention.output.dense`, square),
        ...normPlaces(`${ours}.mlpNorm`, `${theirs}.layernorm_after`, width, { bias }),
        ...linearPlaces(`${ours}.mlp.fc1`, `${theirs}.intermediate.dense`, [mlpWidth, width]),
        ...linearPlaces(`${ours}.mlp.fc2`, `${theirs}.output.dense`, [width, mlpWidth]),
      ];
    }),
    ...normPlaces('norm', 'vit.layernorm', width, { bias }),
    ...linearPlaces('head', 'classifier', [classes, width]),
  ];
}

export const vit: Architecture<
  'image-classification',
  VitConfig,
  VisionTransformerWeights<HostArray>
> = {
  name: 'ViTForImageClassification',
  task: 'image-classification',
  config: (json) =>
    pipe(
      checked(schema, json, 'config.json'),
      E.bindTo('given'),
      E.bind('activation', ({ given }) => activationOf(given.hidden_act)),
      E.map(({ given, activation }) => ({
        imageSize: given.image_size,
        patchSize: given.patch_size,
        channels: given.num_channels,
        classes: classesOf(given),
        ...encoderConfig(given, activation),
        dropout: given.hidden_dropout_prob,
        attentionDropout: given.attention_probs_dropout_prob,
        queryKeyValueBias: given.qkv_bias,
      })),
    ),
  places,
  ignored: [/^vit\.pooler\./],
};
