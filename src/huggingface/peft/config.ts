/**
 * `adapter_config.json` as PEFT writes it (huggingface/peft, `LoraConfig` and `AdaLoraConfig`): what of
 * it decides the weights is read, what this library cannot do is refused by name.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as v from 'valibot';
import { fail, type Result } from '../../autodiff/index.js';
import type { Json } from '../../checkpoints/index.js';
import { checked, or, shown, size } from '../json.js';

export type PeftKind = 'lora' | 'rslora' | 'dora' | 'adalora';

export interface PeftConfig {
  readonly kind: PeftKind;
  /** Of AdaLoRA that of the start, by which its updates are scaled to the end. */
  readonly rank: number;
  readonly alpha: number;
  readonly dropout: number;
  /** Ranks and alphas of single modules, by name or its last parts. */
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly baseModel: string | undefined;
}

const FILE = 'adapter_config.json';
const positive = v.pipe(v.number(), v.finite(), v.minValue(Number.MIN_VALUE));

const schema = v.looseObject({
  peft_type: v.picklist(['LORA', 'ADALORA']),
  r: or(size, 8),
  init_r: or(size, 12),
  lora_alpha: or(positive, 8),
  lora_dropout: or(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0),
  rank_pattern: or(v.record(v.string(), v.unknown()), {}),
  alpha_pattern: or(v.record(v.string(), positive), {}),
  bias: or(v.string(), 'none'),
  use_rslora: or(v.boolean(), false),
  use_dora: or(v.boolean(), false),
  base_model_name_or_path: v.nullish(v.string()),
  layer_replication: v.nullish(v.unknown()),
  trainable_token_indices: v.nullish(v.unknown()),
  target_parameters: v.nullish(v.unknown()),
  lora_bias: or(v.boolean(), false),
});

/** Reads the parsed file; a problem of kind `checkpoint` that names the field otherwise. */
export const readPeftConfig = (json: unknown): Result<PeftConfig> =>
  E.flatMap(checked(schema, json, FILE), (given) => {
    const refuse = (field: string, expected: string) =>
      fail('checkpoint', `${FILE}: ${field} is not supported, expected ${expected}`);
    if (given.bias !== 'none') return refuse(`bias "${shown(given.bias)}"`, '"none"');
    for (const field of [
      'layer_replication',
      'trainable_token_indices',
      'target_parameters',
    ] as const) {
      if (given[field] != null) return refuse(field, 'null');
    }
    if (given.lora_bias) return refuse('lora_bias', 'false');
    if (given.use_dora && given.use_rslora)
      return refuse('use_dora with use_rslora', 'one of them');
    const isAda = given.peft_type === 'ADALORA';
    return E.right({
      kind: isAda ? 'adalora' : given.use_dora ? 'dora' : given.use_rslora ? 'rslora' : 'lora',
      rank: isAda ? given.init_r : given.r,
      alpha: given.lora_alpha,
      dropout: given.lora_dropout,
      // AdaLoRA's holds masks, whose effect is in the arrays already.
      rankPattern: isAda
        ? {}
        : Object.fromEntries(
            Object.entries(given.rank_pattern).filter(
              (entry): entry is [string, number] => typeof entry[1] === 'number',
            ),
          ),
      alphaPattern: given.alpha_pattern,
      baseModel: given.base_model_name_or_path ?? undefined,
    });
  });

/** The value of a pattern for a module, as PEFT looks it up, or the general one. */
export const patternOf = (
  pattern: Readonly<Record<string, number>>,
  module: string,
  otherwise: number,
): number => {
  const key = Object.keys(pattern).find((k) => module === k || module.endsWith(`.${k}`));
  return key === undefined ? otherwise : (pattern[key] as number);
};

/** The file's content. */
export const peftConfigJson = (
  config: PeftConfig,
  {
    targetModules,
    transposed,
    task,
  }: {
    readonly targetModules: readonly string[];
    /** Whether the modules keep their matrices [inputs, outputs]. */
    readonly transposed: boolean;
    /** PEFT's name of the task; null for none. */
    readonly task: string | null;
  },
): Json => ({
  peft_type: config.kind === 'adalora' ? 'ADALORA' : 'LORA',
  task_type: task,
  base_model_name_or_path: config.baseModel ?? null,
  revision: null,
  inference_mode: true,
  r: config.rank,
  lora_alpha: config.alpha,
  lora_dropout: config.dropout,
  target_modules: [...targetModules],
  fan_in_fan_out: transposed,
  bias: 'none',
  modules_to_save: null,
  init_lora_weights: true,
  layers_to_transform: null,
  layers_pattern: null,
  rank_pattern: config.kind === 'adalora' ? null : { ...config.rankPattern },
  alpha_pattern: { ...config.alphaPattern },
  ...(config.kind === 'adalora'
    ? { target_r: config.rank, init_r: config.rank, tinit: 0, tfinal: 0, deltaT: 1 }
    : { use_rslora: config.kind === 'rslora', use_dora: config.kind === 'dora' }),
});
