/**
 * T5's relative positions: a learned number per head and bucket of distances, added to the scores.
 * Raffel et al., "Exploring the limits of transfer learning", 2020, §2.1.
 */
import {
  constant,
  gather,
  ints,
  moveAxis,
  range,
  type Value,
  widened,
} from '../../autodiff/index.js';

export interface RelativeBuckets {
  /** Rows of the table; 32 by default. */
  readonly buckets?: number;
  /** Distances from here on share the last bucket; 128 by default. */
  readonly maxDistance?: number;
  /** Whether keys behind the query have buckets of their own (encoders) or none (decoders). */
  readonly bidirectional: boolean;
}

/**
 * The bucket of `relativePosition` = key position − query position: one each for small distances,
 * logarithmically wider ones up to `maxDistance`. The logarithm is rounded to float32 at every step
 * as in the models that were trained with it, which decides at bucket borders.
 */
export function relativeBucket(
  relativePosition: number,
  { buckets = 32, maxDistance = 128, bidirectional }: RelativeBuckets,
): number {
  const count = bidirectional ? Math.floor(buckets / 2) : buckets;
  const offset = bidirectional && relativePosition > 0 ? count : 0;
  const distance = bidirectional ? Math.abs(relativePosition) : Math.max(-relativePosition, 0);
  const exact = Math.floor(count / 2);
  if (distance < exact) return offset + distance;
  const { fround } = Math;
  const logarithm = fround(Math.log(fround(distance / exact)));
  const share = fround(logarithm / fround(Math.log(maxDistance / exact)));
  const large = exact + Math.floor(fround(share * (count - exact)));
  return offset + Math.min(large, count - 1);
}

/** The bias [heads, T, S] of T queries and S keys from a table [buckets, heads]. */
export function relativeBias(
  table: Value,
  queries: number,
  keys: number,
  options: RelativeBuckets,
): Value {
  const buckets = table.shape[0] as number;
  const index = range(queries).flatMap((t) =>
    range(keys).map((s) => relativeBucket(s - t, { ...options, buckets })),
  );
  return moveAxis(widened(gather(table, constant(ints(index, [queries, keys])))), 2, 0);
}
