/** BERT and RoBERTa as classifiers of texts: post-norm blocks, learned positions, segments. */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { type HostArray, range } from '../../autodiff/index.js';
import type { TextEncoderConfig, TextEncoderWeights } from '../../models/index.js';
import { activationOf } from '../activations.js';
import type { Architecture } from '../architecture.js';
import { checked, classesOf, labelled, or, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, tablePlace } from '../places.js';
import { encoderConfig, encoderFields } from './encoder.js';

export interface BertConfig extends TextEncoderConfig {
  readonly mlpWidth: number;
  readonly tokenTypes: number;
}

/** What differs between the two. */
interface Member {
  readonly name: string;
  /** What all names but the head's begin with. */
  readonly prefix: string;
  /** The layer before tanh, and the one behind it. */
  readonly head: readonly [string, string];
  /** Whether positions are counted from the padding's id. */
  readonly counted: boolean;
}

const schema = v.looseObject({
  ...encoderFields,
  vocab_size: size,
  max_position_embeddings: size,
  type_vocab_size: or(size, 2),
  hidden_dropout_prob: or(v.number(), 0.1),
  attention_probs_dropout_prob: or(v.number(), 0.1),
  position_embedding_type: or(v.literal('absolute'), 'absolute'),
  pad_token_id: v.nullish(v.number()),
  ...labelled,
});

const places =
  ({ prefix, head: [pooler, head] }: Member) =>
  (config: BertConfig): readonly Place[] => {
    const { width, depth, mlpWidth, vocabulary, maxLength, tokenTypes, classes } = config;
    const embeddings = `${prefix}.embeddings`;
    const bias = true;
    const square = [width, width] as const;
    return [
      tablePlace('tokenEmbedding', `${embeddings}.word_embeddings`, vocabulary, width),
      tablePlace('positionEmbedding', `${embeddings}.position_embeddings`, maxLength, width),
      tablePlace('typeEmbedding', `${embeddings}.token_type_embeddings`, tokenTypes, width),
      ...normPlaces('embeddingNorm', `${embeddings}.LayerNorm`, width, { bias }),
      ...range(depth).flatMap((i) => {
        const [ours, theirs] = [`blocks.${i}`, `${prefix}.encoder.layer.${i}`];
        return [
          ...['query', 'key', 'value'].flatMap((name) =>
            linearPlaces(`${ours}.attention.${name}`, `${theirs}.attention.self.${name}`, square),
          ),
          ...linearPlaces(`${ours}.attention.out`, `${theirs}.attention.output.dense`, square),
          ...normPlaces(`${ours}.attentionNorm`, `${theirs}.attention.output.LayerNorm`, width, {
            bias,
          }),
          ...linearPlaces(`${ours}.mlp.fc1`, `${theirs}.intermediate.dense`, [mlpWidth, width]),
          ...linearPlaces(`${ours}.mlp.fc2`, `${theirs}.output.dense`, [width, mlpWidth]),
          ...normPlaces(`${ours}.mlpNorm`, `${theirs}.output.LayerNorm`, width, { bias }),
        ];
      }),
      ...linearPlaces('pooler', pooler, square),
      ...linearPlaces('head', head, [classes, width]),
    ];
  };

const member = (
  of: Member,
): Architecture<'text-classification', BertConfig, TextEncoderWeights<HostArray>> => ({
  name: of.name,
  task: 'text-classification',
  config: (json) =>
    pipe(
      checked(schema, json, 'config.json'),
      E.bindTo('given'),
      E.bind('activation', ({ given }) => activationOf(given.hidden_act)),
      E.map(({ given, activation }) => ({
        vocabulary: given.vocab_size,
        maxLength: given.max_position_embeddings,
        tokenTypes: given.type_vocab_size,
        classes: classesOf(given),
        ...encoderConfig(given, activation),
        normPlacement: 'post' as const,
        dropout: given.hidden_dropout_prob,
        attentionDropout: given.attention_probs_dropout_prob,
        ...(of.counted && { countedFrom: given.pad_token_id ?? 1 }),
      })),
    ),
  places: places(of),
  ignored: [/\.embeddings\.position_ids$/],
});

export const bert = member({
  name: 'BertForSequenceClassification',
  prefix: 'bert',
  head: ['bert.pooler.dense', 'classifier'],
  counted: false,
});

export const roberta = member({
  name: 'RobertaForSequenceClassification',
  prefix: 'roberta',
  head: ['classifier.dense', 'classifier.out_proj'],
  counted: true,
});
