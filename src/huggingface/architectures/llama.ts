/**
 * The Llama family: Llama 2 and 3, Mistral, Qwen 2 and 3, SmolLM. One decoder with RMS norms, rotary
 * positions, gated MLP and grouped queries; the members differ in biases, norms of queries and keys,
 * head sizes, windows and how positions are scaled.
 */
import * as E from 'fp-ts/lib/Either.js';
import { pipe } from 'fp-ts/lib/function.js';
import * as v from 'valibot';
import { fail, type HostArray, type Result, range } from '../../autodiff/index.js';
import type {
  CausalDecoderConfig,
  CausalDecoderWeights,
  RotaryScaling,
} from '../../models/index.js';
import type { Architecture } from '../architecture.js';
import { checked, or, shown, size } from '../json.js';
import { linearPlaces, normPlaces, type Place, tablePlace } from '../places.js';

export interface LlamaConfig extends CausalDecoderConfig {
  readonly keyValueHeads: number;
  readonly headWidth: number;
  readonly mlpWidth: number;
  readonly tiedHead: boolean;
  /** Which linear layers have biases. */
  readonly biased: {
    readonly queryKeyValue: boolean;
    readonly out: boolean;
    readonly mlp: boolean;
  };
  /** RMS norms of each head's queries and keys. */
  readonly headNorms: boolean;
}

/** What a member of the family is unless its config.json says otherwise. */
interface Member {
  readonly queryKeyValueBias: boolean;
  readonly headNorms: boolean;
  /** Whether `sliding_window` counts: in Qwen only with `use_sliding_window`. */
  readonly window: 'given' | 'if used';
}

const scaling = v.looseObject({
  rope_type: v.nullish(v.string()),
  type: v.nullish(v.string()),
  factor: v.nullish(v.number()),
  low_freq_factor: v.nullish(v.number()),
  high_freq_factor: v.nullish(v.number()),
  original_max_position_embeddings: v.nullish(size),
  beta_fast: v.nullish(v.number()),
  beta_slow: v.nullish(v.number()),
  attention_factor: v.nullish(v.number()),
  mscale: v.nullish(v.number()),
  mscale_all_dim: v.nullish(v.number()),
  rope_theta: v.nullish(v.number()),
});

const schema = v.looseObject({
  hidden_act: or(v.literal('silu'), 'silu'),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: v.nullish(size),
  head_dim: v.nullish(size),
  vocab_size: size,
  max_position_embeddings: or(size, 2048),
  rms_norm_eps: or(v.number(), 1e-6),
  rope_theta: v.nullish(v.number()),
  rope_scaling: v.nullish(scaling),
  rope_parameters: v.nullish(scaling),
  attention_bias: v.nullish(v.boolean()),
  mlp_bias: or(v.boolean(), false),
  tie_word_embeddings: or(v.boolean(), false),
  attention_dropout: or(v.number(), 0),
  sliding_window: v.nullish(size),
  use_sliding_window: or(v.boolean(), false),
  max_window_layers: v.nullish(v.number()),
});

type Json = v.InferOutput<typeof schema>;

/** `rope_scaling`, of older files, or `rope_parameters`, of newer ones. */
function rotaryScaling(
  given: v.InferOutput<typeof scaling> | null | undefined,
  maxLength: number,
): Result<RotaryScaling | undefined> {
  const kind = given?.rope_type ?? given?.type ?? 'default';
  const factor = given?.factor ?? 1;
  const originalLength = given?.original_max_position_embeddings ?? maxLength;
  switch (kind) {
    case 'default':
      return E.right(undefined);
    case 'dynamic':
      // Positions are scaled only beyond the length that the model was trained on, which is refused here.
      return E.right(undefined);
    case 'linear':
      return E.right({ kind, factor });
    case 'llama3':
      return E.right({
        kind,
        factor,
        lowFrequencyFactor: given?.low_freq_factor ?? 1,
        highFrequencyFactor: given?.high_freq_factor ?? 4,
        originalLength,
      });
    case 'yarn':
      return given?.mscale == null && given?.mscale_all_dim == null
        ? E.right({
            kind,
            factor,
            originalLength,
            betaFast: given?.beta_fast ?? 32,
            betaSlow: given?.beta_slow ?? 1,
            attentionFactor: given?.attention_factor ?? 0.1 * Math.log(factor) + 1,
          })
        : fail('checkpoint', 'config.json: rope_scaling has mscale, expected yarn without it');
    default:
      return fail(
        'checkpoint',
        `config.json: rope_scaling.rope_type is ${shown(kind)}, expected default, linear, dynamic, llama3 or yarn`,
      );
  }
}

/** The window, or why it cannot be kept: it must be that of all layers. */
function slidingWindow(json: Json, { window }: Member): Result<number | undefined> {
  const given = json.sliding_window ?? undefined;
  if (given === undefined || (window === 'if used' && !json.use_sliding_window)) {
    return E.right(undefined);
  }
  const { max_window_layers: full } = json;
  return window === 'if used' && full != null && full > 0
    ? fail(
        'checkpoint',
        `config.json: max_window_layers is ${full}, expected a window in all layers or in none`,
      )
    : E.right(given);
}

const configOf =
  (member: Member) =>
  (given: unknown): Result<LlamaConfig> =>
    pipe(
      checked(schema, given, 'config.json'),
      E.bindTo('json'),
      E.bind('rotaryScaling', ({ json }) =>
        rotaryScaling(json.rope_scaling ?? json.rope_parameters, json.max_position_embeddings),
      ),
      E.bind('slidingWindow', ({ json }) => slidingWindow(json, member)),
      E.map(({ json, ...long }) => ({
        vocabulary: json.vocab_size,
        maxLength: json.max_position_embeddings,
        width: json.hidden_size,
        depth: json.num_hidden_layers,
        heads: json.num_attention_heads,
        keyValueHeads: json.num_key_value_heads ?? json.num_attention_heads,
        headWidth: json.head_dim ?? json.hidden_size / json.num_attention_heads,
        mlpWidth: json.intermediate_size,
        activation: json.hidden_act,
        gatedMlp: true,
        norm: 'rmsNorm',
        normEpsilon: json.rms_norm_eps,
        biases: false,
        positions: 'rotary',
        rotaryTheta: json.rope_theta ?? json.rope_parameters?.rope_theta ?? 10_000,
        attentionDropout: json.attention_dropout,
        tiedHead: json.tie_word_embeddings,
        biased: {
          queryKeyValue: json.attention_bias ?? member.queryKeyValueBias,
          out: (json.attention_bias ?? false) && !member.queryKeyValueBias,
          mlp: json.mlp_bias,
        },
        headNorms: member.headNorms,
        ...long,
      })),
    );

function places(config: LlamaConfig): readonly Place[] {
  const { width, depth, heads, keyValueHeads, headWidth, mlpWidth, vocabulary } = config;
  const { biased } = config;
  const [inner, shared] = [heads * headWidth, keyValueHeads * headWidth];
  return [
    tablePlace('tokenEmbedding', 'model.embed_tokens', vocabulary, width),
    ...range(depth).flatMap((i) => {
      const [ours, theirs] = [`blocks.${i}`, `model.layers.${i}`];
      const attention = (
        path: string,
        name: string,
        shape: readonly [number, number],
        bias: boolean,
      ) =>
        linearPlaces(`${ours}.attention.${path}`, `${theirs}.self_attn.${name}`, shape, { bias });
      const mlp = (path: string, name: string, shape: readonly [number, number]) =>
        linearPlaces(`${ours}.mlp.${path}`, `${theirs}.mlp.${name}`, shape, { bias: biased.mlp });
      return [
        ...normPlaces(`${ours}.attentionNorm`, `${theirs}.input_layernorm`, width),
        ...attention('query', 'q_proj', [inner, width], biased.queryKeyValue),
        ...attention('key', 'k_proj', [shared, width], biased.queryKeyValue),
        ...attention('value', 'v_proj', [shared, width], biased.queryKeyValue),
        ...attention('out', 'o_proj', [width, inner], biased.out),
        ...(config.headNorms
          ? [
              ...normPlaces(`${ours}.attention.queryNorm`, `${theirs}.self_attn.q_norm`, headWidth),
              ...normPlaces(`${ours}.attention.keyNorm`, `${theirs}.self_attn.k_norm`, headWidth),
            ]
          : []),
        ...normPlaces(`${ours}.mlpNorm`, `${theirs}.post_attention_layernorm`, width),
        ...mlp('fc1', 'up_proj', [mlpWidth, width]),
        ...mlp('fc2', 'down_proj', [width, mlpWidth]),
        ...mlp('gate', 'gate_proj', [mlpWidth, width]),
      ];
    }),
    ...normPlaces('norm', 'model.norm', width),
    ...(config.tiedHead
      ? []
      : linearPlaces('head', 'lm_head', [vocabulary, width], { bias: false })),
  ];
}

export type LlamaArchitecture = Architecture<
  'causal-lm',
  LlamaConfig,
  CausalDecoderWeights<HostArray>
>;

const member = (name: string, of: Partial<Member> = {}): LlamaArchitecture => ({
  name,
  task: 'causal-lm',
  config: configOf({ queryKeyValueBias: false, headNorms: false, window: 'given', ...of }),
  places,
  ignored: [/\.rotary_emb\.inv_freq$/, /^lm_head\.weight$/],
});

export const llama = member('LlamaForCausalLM');
export const mistral = member('MistralForCausalLM');
export const qwen2 = member('Qwen2ForCausalLM', { queryKeyValueBias: true, window: 'if used' });
export const qwen3 = member('Qwen3ForCausalLM', { headNorms: true, window: 'if used' });
