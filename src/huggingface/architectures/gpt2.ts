/**
 * GPT-2: layer norms, learned positions, GELU by tanh, the head tied to the embedding. Its matrices are
 * stored [inputs, outputs] (`Conv1D`), and those of queries, keys and values side by side.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { fail, type HostArray, range } from '../../autodiff/index.js';
import type { CausalDecoderConfig, CausalDecoderWeights } from '../../models/index.js';
import { activationOf } from '../activations.js';
import type { Architecture } from '../architecture.js';
import { checked, or, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, TRANSPOSED, tablePlace } from '../places.js';

export interface Gpt2Config extends CausalDecoderConfig {
  readonly mlpWidth: number;
}

const schema = v.looseObject({
  activation_function: or(v.string(), 'gelu_new'),
  n_embd: size,
  n_layer: size,
  n_head: size,
  n_inner: v.nullish(size),
  n_positions: size,
  vocab_size: size,
  layer_norm_epsilon: or(v.number(), 1e-5),
  attn_pdrop: or(v.number(), 0.1),
  resid_pdrop: or(v.number(), 0.1),
  scale_attn_weights: or(v.literal(true), true),
  scale_attn_by_inverse_layer_idx: or(v.literal(false), false),
  add_cross_attention: or(v.literal(false), false),
  tie_word_embeddings: or(v.literal(true), true),
});

function places({ width, depth, mlpWidth, vocabulary, maxLength }: Gpt2Config): readonly Place[] {
  const form = TRANSPOSED;
  const bias = true;
  return [
    tablePlace('tokenEmbedding', 'transformer.wte', vocabulary, width),
    tablePlace('positionEmbedding', 'transformer.wpe', maxLength, width),
    ...range(depth).flatMap((i) => {
      const [ours, theirs] = [`blocks.${i}`, `transformer.h.${i}`];
      return [
        ...normPlaces(`${ours}.attentionNorm`, `${theirs}.ln_1`, width, { bias }),
        ...['query', 'key', 'value'].flatMap((path, index) =>
          linearPlaces(`${ours}.attention.${path}`, `${theirs}.attn.c_attn`, [width, width], {
            form,
            part: { index, count: 3, axis: 1 },
          }),
        ),
        ...linearPlaces(`${ours}.attention.out`, `${theirs}.attn.c_proj`, [width, width], { form }),
        ...normPlaces(`${ours}.mlpNorm`, `${theirs}.ln_2`, width, { bias }),
        ...linearPlaces(`${ours}.mlp.fc1`, `${theirs}.mlp.c_fc`, [mlpWidth, width], { form }),
        ...linearPlaces(`${ours}.mlp.fc2`, `${theirs}.mlp.c_proj`, [width, mlpWidth], { form }),
      ];
    }),
    ...normPlaces('norm', 'transformer.ln_f', width, { bias }),
  ];
}

export const gpt2: Architecture<'causal-lm', Gpt2Config, CausalDecoderWeights<HostArray>> = {
  name: 'GPT2LMHeadModel',
  task: 'causal-lm',
  config: (json) =>
    pipe(
      checked(schema, json, 'config.json'),
      E.bindTo('given'),
      E.bind('activation', ({ given }) => activationOf(given.activation_function)),
      E.flatMap(({ given, activation }) =>
        given.attn_pdrop < 1 && given.resid_pdrop < 1
          ? E.right<never, Gpt2Config>({
              vocabulary: given.vocab_size,
              maxLength: given.n_positions,
              width: given.n_embd,
              depth: given.n_layer,
              heads: given.n_head,
              mlpWidth: given.n_inner ?? 4 * given.n_embd,
              activation,
              norm: 'layerNorm',
              normEpsilon: given.layer_norm_epsilon,
              positions: 'learned',
              tiedHead: true,
              dropout: given.resid_pdrop,
              attentionDropout: given.attn_pdrop,
            })
          : fail('checkpoint', 'config.json: dropout rates are not below 1'),
      ),
    ),
  places,
  ignored: [/\.attn\.(masked_)?bias$/, /^lm_head\.weight$/],
};
