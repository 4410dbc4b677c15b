/** JSON files of others, checked with valibot and turned into one-line problems. */
import * as E from 'fp-ts/lib/Either.js';
import * as v from 'valibot';
import { fail, type Result } from '../autodiff/index.js';

/**
 * What the schema makes of the data.
 * @param file stands for it in the message, which names the field, what was given and what was expected.
 */
export function checked<S extends v.GenericSchema>(
  schema: S,
  json: unknown,
  file: string,
): Result<v.InferOutput<S>> {
  const parsed = v.safeParse(schema, json, { abortEarly: true });
  if (parsed.success) return E.right(parsed.output);
  const [issue] = parsed.issues;
  const field = v.getDotPath(issue);
  const expected = issue.expected ?? issue.message;
  const given = shown(issue.received);
  return fail(
    'checkpoint',
    `${file}: ${field === null ? 'the file' : shown(field)} is ${given}, expected ${expected}`,
  );
}

/** A text of somebody's file for a message: on one line, and not too long. */
export function shown(text: string): string {
  const line = text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return line.length > 90 ? `${line.slice(0, 87)}…` : line;
}

/** A whole number above zero. */
export const size = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** A field that may be missing or null; then it is the fallback. */
export const or = <S extends v.GenericSchema, const F extends v.InferInput<S>>(
  schema: S,
  fallback: F,
) =>
  v.pipe(
    v.nullish(schema, fallback),
    v.transform((x) => x as v.InferOutput<S>),
  );

/** Fields of a classifier's config.json. */
export const labelled = {
  num_labels: v.nullish(size),
  id2label: v.nullish(v.record(v.string(), v.string())),
};

/** How many classes a classifier has; 2 where nothing is said, as in Hugging Face's code. */
export const classesOf = ({
  num_labels: count,
  id2label: names,
}: {
  readonly num_labels?: number | null | undefined;
  readonly id2label?: Readonly<Record<string, string>> | null | undefined;
}): number => count ?? (names == null ? 2 : Object.keys(names).length);
