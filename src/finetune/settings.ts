/**
 * What decides a fine-tuning run, checked. The command line's flags and its configuration file are these
 * fields; so are the arguments of `finetune`.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as v from 'valibot';
import { fail, type Result } from '../autodiff/index.js';
import { hasMethod, methodNames } from './methods.js';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(0.99));
const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));

/** Fields, their checks and defaults. */
export const SETTINGS = {
  model: v.pipe(v.string(), v.nonEmpty()),
  train: v.pipe(v.string(), v.nonEmpty()),
  validation: v.optional(v.string()),
  /** Of the training data, where no validation data is given; 0 for none. */
  validationShare: v.optional(share, 0.1),
  out: v.pipe(v.string(), v.nonEmpty()),
  columns: v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
  template: v.optional(v.string()),
  target: v.optional(v.string()),
  label: v.optional(v.string()),
  pair: v.optional(v.string()),
  method: v.optional(
    v.pipe(
      v.string(),
      v.check(hasMethod, `one of ${methodNames.join(', ')}, or flat- and one of them`),
    ),
    'flat-lora',
  ),
  rank: v.optional(count, 8),
  alpha: v.optional(positive, 16),
  /** σ of Eq. 7 for methods with `flat-`; 0.05 by default (Section 4.1 of the paper). */
  sigma: v.optional(v.pipe(v.number(), v.minValue(0)), 0.05),
  rho: v.optional(positive),
  targetModules: v.optional(v.pipe(v.array(v.string()), v.minLength(1))),
  learningRate: v.optional(positive, 5e-4),
  schedule: v.optional(v.picklist(['cosine', 'constant']), 'cosine'),
  warmUp: v.optional(share, 0.03),
  weightDecay: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
  maxNorm: v.optional(positive, 1),
  steps: v.optional(count),
  epochs: v.optional(positive, 1),
  batchSize: v.optional(count, 16),
  /** Parts in which a step's batch is computed, one after the other. */
  microBatches: v.optional(count, 1),
  maxLength: v.optional(count, 512),
  maxTargetLength: v.optional(count, 128),
  pack: v.optional(v.boolean(), false),
  buckets: v.optional(count, 3),
  /** How frozen matrices are kept. */
  precision: v.optional(v.picklist(['float32', 'bfloat16', 'float16', 'int8', 'nf4']), 'float32'),
  /** Whether blocks are computed again in the backward pass. */
  checkpointing: v.optional(v.boolean(), false),
  evaluateEvery: v.optional(count),
  checkpointEvery: v.optional(count, 100),
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 0),
  backend: v.optional(v.string()),
  threads: v.optional(count),
} as const;

const schema = v.strictObject(SETTINGS);

export type FinetuneSettings = v.InferOutput<typeof schema>;
/** What a user gives: everything but the model, the data and the place of the run has a default. */
export type FinetuneInput = v.InferInput<typeof schema>;

/** The settings with their defaults; a problem that names the field, what was given and what is expected. */
export function finetuneSettings(given: unknown): Result<FinetuneSettings> {
  const parsed = v.safeParse(schema, given, { abortEarly: true });
  if (parsed.success) return E.right(parsed.output);
  const [issue] = parsed.issues;
  const field = v.getDotPath(issue) ?? 'settings';
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return fail(
      'argument',
      `${field}: there is no such setting; there are ${Object.keys(SETTINGS).join(', ')}`,
    );
  }
  const expected = issue.expected ?? issue.message;
  return fail('argument', `${field}: given ${issue.received}, expected ${expected}`);
}
