/** CLIP: its two towers, each alone and both together. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { type HostArray, type Result, range } from '../../autodiff/index.js';
import type {
  ContrastiveConfig,
  ContrastiveWeights,
  TextTowerConfig,
  TextTowerWeights,
  VisionTransformerConfig,
  VisionTransformerWeights,
} from '../../models/index.js';
import { activationOf } from '../activations.js';
import type { Architecture } from '../architecture.js';
import { checked, or, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, reshaped, tablePlace } from '../places.js';
import { encoderConfig } from './encoder.js';

export interface ClipVisionConfig extends VisionTransformerConfig {
  readonly imageSize: number;
  readonly channels: number;
  readonly mlpWidth: number;
}

export interface ClipTextConfig extends TextTowerConfig {
  readonly mlpWidth: number;
}

export interface ClipConfig extends ContrastiveConfig {
  readonly vision: ClipVisionConfig;
  readonly text: ClipTextConfig;
}

const shared = {
  hidden_act: or(v.string(), 'quick_gelu'),
  num_hidden_layers: or(size, 12),
  layer_norm_eps: or(v.number(), 1e-5),
  attention_dropout: or(v.number(), 0),
  projection_dim: or(size, 512),
};

// Defaults are CLIPConfig's own: files leave out what equals them.
const visionSchema = v.looseObject({
  ...shared,
  hidden_size: or(size, 768),
  intermediate_size: or(size, 3072),
  num_attention_heads: or(size, 12),
  image_size: or(size, 224),
  patch_size: or(size, 32),
  num_channels: or(size, 3),
});

const textSchema = v.looseObject({
  ...shared,
  hidden_size: or(size, 512),
  intermediate_size: or(size, 2048),
  num_attention_heads: or(size, 8),
  vocab_size: or(size, 49408),
  max_position_embeddings: or(size, 77),
  eos_token_id: or(v.number(), 49407),
});

/** Checkpoints with this id have it from a faulty default; their texts end with the highest id. */
const FAULTY_END = 2;

const visionConfig = (json: unknown): Result<ClipVisionConfig> =>
  pipe(
    checked(visionSchema, json, 'config.json'),
    E.bindTo('given'),
    E.bind('activation', ({ given }) => activationOf(given.hidden_act)),
    E.map(({ given, activation }) => ({
      imageSize: given.image_size,
      patchSize: given.patch_size,
      channels: given.num_channels,
      classes: given.projection_dim,
      ...encoderConfig(given, activation),
      attentionDropout: given.attention_dropout,
    })),
  );

const textConfig = (json: unknown): Result<ClipTextConfig> =>
  pipe(
    checked(textSchema, json, 'config.json'),
    E.bindTo('given'),
    E.bind('activation', ({ given }) => activationOf(given.hidden_act)),
    E.map(({ given, activation }) => ({
      vocabulary: given.vocab_size,
      maxLength: given.max_position_embeddings,
      projection: given.projection_dim,
      end: given.eos_token_id === FAULTY_END ? ('highest' as const) : given.eos_token_id,
      ...encoderConfig(given, activation),
      attentionDropout: given.attention_dropout,
    })),
  );

const bias = true;

function blockPlaces(
  ours: string,
  theirs: string,
  { width, depth, mlpWidth }: { width: number; depth: number; mlpWidth: number },
): readonly Place[] {
  return range(depth).flatMap((i) => {
    const [block, layer] = [`${ours}blocks.${i}`, `${theirs}.encoder.layers.${i}`];
    const square = [width, width] as const;
    return [
      ...normPlaces(`${block}.attentionNorm`, `${layer}.layer_norm1`, width, { bias }),
      ...linearPlaces(`${block}.attention.query`, `${layer}.self_attn.q_proj`, square),
      ...linearPlaces(`${block}.attention.key`, `${layer}.self_attn.k_proj`, square),
      ...linearPlaces(`${block}.attention.value`, `${layer}.self_attn.v_proj`, square),
      ...linearPlaces(`${block}.attention.out`, `${layer}.self_attn.out_proj`, square),
      ...normPlaces(`${block}.mlpNorm`, `${layer}.layer_norm2`, width, { bias }),
      ...linearPlaces(`${block}.mlp.fc1`, `${layer}.mlp.fc1`, [mlpWidth, width]),
      ...linearPlaces(`${block}.mlp.fc2`, `${layer}.mlp.fc2`, [width, mlpWidth]),
    ];
  });
}

/** Of the vision tower; paths begin with `ours`. */
const visionPlaces =
  (ours: string) =>
  (config: ClipVisionConfig): readonly Place[] => {
    const { width, patchSize, channels, classes, imageSize } = config;
    const theirs = 'vision_model';
    return [
      ...linearPlaces(
        `${ours}patchEmbedding`,
        `${theirs}.embeddings.patch_embedding`,
        [width, channels * patchSize ** 2],
        { bias: false, form: reshaped([width, channels, patchSize, patchSize]) },
      ),
      { path: `${ours}classToken`, name: `${theirs}.embeddings.class_embedding`, shape: [width] },
      tablePlace(
        `${ours}positionEmbedding`,
        `${theirs}.embeddings.position_embedding`,
        (imageSize / patchSize) ** 2 + 1,
        width,
      ),
      // Their spelling.
      ...normPlaces(`${ours}embeddingNorm`, `${theirs}.pre_layrnorm`, width, { bias }),
      ...blockPlaces(ours, theirs, config),
      ...normPlaces(`${ours}norm`, `${theirs}.post_layernorm`, width, { bias }),
      ...linearPlaces(`${ours}head`, 'visual_projection', [classes, width], { bias: false }),
    ];
  };

/** Of the text tower; paths begin with `ours`. */
const textPlaces =
  (ours: string) =>
  (config: ClipTextConfig): readonly Place[] => {
    const { width, vocabulary, maxLength, projection } = config;
    const theirs = 'text_model';
    const embeddings = `${theirs}.embeddings`;
    return [
      tablePlace(`${ours}tokenEmbedding`, `${embeddings}.token_embedding`, vocabulary, width),
      tablePlace(`${ours}positionEmbedding`, `${embeddings}.position_embedding`, maxLength, width),
      ...blockPlaces(ours, theirs, config),
      ...normPlaces(`${ours}norm`, `${theirs}.final_layer_norm`, width, { bias }),
      ...linearPlaces(`${ours}projection`, 'text_projection', [projection, width], {
        bias: false,
      }),
    ];
  };

const ignored = [/\.embeddings\.position_ids$/];

export const clipVision: Architecture<
  'image-features',
  ClipVisionConfig,
  VisionTransformerWeights<HostArray>
> = {
  name: 'CLIPVisionModelWithProjection',
  task: 'image-features',
  config: visionConfig,
  places: visionPlaces(''),
  ignored,
};

export const clipText: Architecture<
  'text-features',
  ClipTextConfig,
  TextTowerWeights<HostArray>
> = {
  name: 'CLIPTextModelWithProjection',
  task: 'text-features',
  config: textConfig,
  places: textPlaces(''),
  ignored,
};

const both = v.looseObject({
  projection_dim: or(size, 512),
  vision_config: v.looseObject({}),
  text_config: v.looseObject({}),
});

export const clip: Architecture<'contrastive', ClipConfig, ContrastiveWeights<HostArray>> = {
  name: 'CLIPModel',
  task: 'contrastive',
  config: (json) =>
    pipe(
      checked(both, json, 'config.json'),
      E.bindTo('given'),
      E.bind('vision', ({ given: { vision_config: of, projection_dim } }) =>
        visionConfig({ ...of, projection_dim }),
      ),
      E.bind('text', ({ given: { text_config: of, projection_dim } }) =>
        textConfig({ ...of, projection_dim }),
      ),
      E.map(({ vision, text }) => ({ vision, text })),
    ),
  places: ({ vision, text }) => [
    ...visionPlaces('vision.')(vision),
    ...textPlaces('text.')(text),
    { path: 'logitScale', name: 'logit_scale', shape: [] },
  ],
  ignored,
};
