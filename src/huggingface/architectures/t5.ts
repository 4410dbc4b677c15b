/**
 * T5 and Flan-T5: RMS norms, no biases, relative positions as a bias on scores that are not scaled.
 * Version 1.0 has a ReLU and a tied head that reads x/√width; 1.1 a gated GELU and a head of its own.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { type HostArray, range } from '../../autodiff/index.js';
import type { EncoderDecoderConfig, EncoderDecoderWeights } from '../../models/index.js';
import { activationOf } from '../activations.js';
import type { Architecture } from '../architecture.js';
import { checked, or, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, tablePlace } from '../places.js';

export interface T5Config extends EncoderDecoderConfig {
  readonly encoderDepth: number;
  readonly headWidth: number;
  readonly mlpWidth: number;
  readonly gatedMlp: boolean;
  readonly tiedHead: boolean;
  readonly relativeBuckets: number;
  /** What stands before the first written token. */
  readonly startToken: number;
  readonly padToken: number;
}

const schema = v.looseObject({
  d_model: size,
  d_kv: size,
  d_ff: size,
  num_layers: size,
  num_decoder_layers: v.nullish(size),
  num_heads: size,
  vocab_size: size,
  relative_attention_num_buckets: or(size, 32),
  relative_attention_max_distance: or(size, 128),
  feed_forward_proj: or(v.string(), 'relu'),
  layer_norm_epsilon: or(v.number(), 1e-6),
  dropout_rate: or(v.pipe(v.number(), v.minValue(0), v.maxValue(0.99)), 0.1),
  tie_word_embeddings: or(v.boolean(), true),
  decoder_start_token_id: v.nullish(v.number()),
  pad_token_id: or(v.number(), 0),
});

/** Longest text: there is no table of positions that would end. */
const NO_LIMIT = 2 ** 20;
const GATED = 'gated-';

/** The activation and whether there is a gate; of `gated-gelu` the activation is GELU by tanh. */
const feedForward = (name: string) => {
  const gatedMlp = name.startsWith(GATED);
  const activation = name.replace(GATED, '');
  return pipe(
    activationOf(gatedMlp && activation === 'gelu' ? 'gelu_new' : activation),
    E.map((ours) => ({ gatedMlp, activation: ours })),
  );
};

function sidePlaces(
  side: 'encoder' | 'decoder',
  depth: number,
  { width, heads, headWidth, mlpWidth, gatedMlp, relativeBuckets }: T5Config,
): readonly Place[] {
  const inner = heads * headWidth;
  const bias = false;
  const attention = (ours: string, theirs: string): readonly Place[] => [
    ...linearPlaces(`${ours}.query`, `${theirs}.q`, [inner, width], { bias }),
    ...linearPlaces(`${ours}.key`, `${theirs}.k`, [inner, width], { bias }),
    ...linearPlaces(`${ours}.value`, `${theirs}.v`, [inner, width], { bias }),
    ...linearPlaces(`${ours}.out`, `${theirs}.o`, [width, inner], { bias }),
  ];
  return [
    tablePlace(
      `${side}.relativeBias`,
      `${side}.block.0.layer.0.SelfAttention.relative_attention_bias`,
      relativeBuckets,
      heads,
    ),
    ...range(depth).flatMap((i) => {
      const [ours, theirs] = [`${side}.blocks.${i}`, `${side}.block.${i}.layer`];
      const last = side === 'encoder' ? 1 : 2;
      const dense = `${theirs}.${last}.DenseReluDense`;
      const mlp = (path: string, name: string, shape: readonly [number, number]) =>
        linearPlaces(`${ours}.mlp.${path}`, `${dense}.${name}`, shape, { bias });
      return [
        ...attention(`${ours}.attention`, `${theirs}.0.SelfAttention`),
        ...normPlaces(`${ours}.attentionNorm`, `${theirs}.0.layer_norm`, width),
        ...(side === 'encoder'
          ? []
          : [
              ...attention(`${ours}.crossAttention`, `${theirs}.1.EncDecAttention`),
              ...normPlaces(`${ours}.crossAttentionNorm`, `${theirs}.1.layer_norm`, width),
            ]),
        ...(gatedMlp
          ? [...mlp('gate', 'wi_0', [mlpWidth, width]), ...mlp('fc1', 'wi_1', [mlpWidth, width])]
          : mlp('fc1', 'wi', [mlpWidth, width])),
        ...mlp('fc2', 'wo', [width, mlpWidth]),
        ...normPlaces(`${ours}.mlpNorm`, `${theirs}.${last}.layer_norm`, width),
      ];
    }),
    ...normPlaces(`${side}.norm`, `${side}.final_layer_norm`, width),
  ];
}

export const t5: Architecture<'seq2seq-lm', T5Config, EncoderDecoderWeights<HostArray>> = {
  name: 'T5ForConditionalGeneration',
  task: 'seq2seq-lm',
  config: (json) =>
    pipe(
      checked(schema, json, 'config.json'),
      E.bindTo('given'),
      E.bind('mlp', ({ given }) => feedForward(given.feed_forward_proj)),
      E.map(({ given, mlp }) => ({
        vocabulary: given.vocab_size,
        maxLength: NO_LIMIT,
        width: given.d_model,
        depth: given.num_decoder_layers ?? given.num_layers,
        encoderDepth: given.num_layers,
        heads: given.num_heads,
        headWidth: given.d_kv,
        mlpWidth: given.d_ff,
        ...mlp,
        norm: 'rmsNorm' as const,
        normEpsilon: given.layer_norm_epsilon,
        biases: false,
        positions: 'relative' as const,
        relativeBuckets: given.relative_attention_num_buckets,
        relativeMaxDistance: given.relative_attention_max_distance,
        scaledScores: false,
        dropout: given.dropout_rate,
        attentionDropout: given.dropout_rate,
        tiedHead: given.tie_word_embeddings,
        ...(given.tie_word_embeddings && { headScale: given.d_model ** -0.5 }),
        startToken: given.decoder_start_token_id ?? given.pad_token_id,
        padToken: given.pad_token_id,
      })),
    ),
  places: (config) => [
    tablePlace('tokenEmbedding', 'shared', config.vocabulary, config.width),
    ...sidePlaces('encoder', config.encoderDepth, config),
    ...sidePlaces('decoder', config.depth, config),
    ...(config.tiedHead
      ? []
      : linearPlaces('head', 'lm_head', [config.vocabulary, config.width], { bias: false })),
  ],
  ignored: [
    /^(encoder|decoder)\.embed_tokens\.weight$/,
    /^lm_head\.weight$/,
    // Of no effect: cross-attention has no positions; some early checkpoints hold the table.
    /\.EncDecAttention\.relative_attention_bias\.weight$/,
  ],
};
